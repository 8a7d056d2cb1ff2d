"""Split a sentence into tokens with the ``tokenizer`` package.

Requires orbitpkg and the installed package (``orbitpkg install tokenizer``), but no network.

    python tokens.py ["a sentence"] [--package "tokenizer==1.0.0"]
"""

from __future__ import annotations

import argparse
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import orbitpkg

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BYTES = 256
SENTENCE = "The classifier was trained in 1998 on 1437 images of handwritten digits."


class Tokenizer:
    """A byte-pair encoding as in ``tokenizer.json``: a pattern for words, and merges in order."""

    def __init__(self, pattern: str, merges: Sequence[Sequence[int]]) -> None:
        self.pattern = re.compile(pattern)
        self.ranks = {(left, right): token for token, (left, right) in enumerate(merges, BYTES)}
        self.tokens = [bytes([value]) for value in range(BYTES)]
        for left, right in merges:
            self.tokens.append(self.tokens[left] + self.tokens[right])

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        return [token for word in self.pattern.findall(text) for token in self._encode_word(word)]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of a list of tokens."""
        return b"".join(self.tokens[token] for token in tokens).decode("utf-8", "replace")

    def _encode_word(self, word: str) -> list[int]:
        symbols = list(word.encode())
        while candidates := [pair for pair in pairwise(symbols) if pair in self.ranks]:
            pair = min(candidates, key=self.ranks.__getitem__)
            symbols = list(self._merged(symbols, pair))
        return symbols

    def _merged(self, symbols: Sequence[int], pair: tuple[int, int]) -> Iterator[int]:
        position = 0
        while position < len(symbols):
            if tuple(symbols[position : position + 2]) == pair:
                yield self.ranks[pair]
                position += 2
            else:
                yield symbols[position]
                position += 1


def main() -> None:
    """Encode the sentence and print its tokens."""
    parser = argparse.ArgumentParser(description="Show the tokens of a sentence.")
    parser.add_argument("sentence", nargs="?", default=SENTENCE)
    parser.add_argument(
        "--package", default="tokenizer", metavar="REQUIREMENT", help="the tokenizer package, such as tokenizer==1.0.0"
    )
    options = parser.parse_args()
    package = orbitpkg.package(options.package)
    tokenizer = Tokenizer(**package.load_json("tokenizer.json"))
    tokens = tokenizer.encode(options.sentence)
    print("|".join(tokenizer.decode([token]) for token in tokens))
    print(f"{len(tokens)} tokens of {len(tokenizer.tokens)}, {package.name} {package.version}")


if __name__ == "__main__":
    main()
