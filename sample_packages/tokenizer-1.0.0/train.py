"""Learn a byte-pair encoding from ``corpus.txt`` in plain Python, with reproducible output.

The text is split into words by a pattern, each word starts as its UTF-8 bytes, and the pair of tokens seen most often
is repeatedly merged into one token (R. Sennrich, B. Haddow, A. Birch: Neural Machine Translation of Rare Words with
Subword Units, 2016). Tokens 0 to 255 are the bytes, so any text can be encoded.

    python train.py [FOLDER]
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

Pair = tuple[int, int]
Word = tuple[int, ...]

PATTERN = r" ?\w+| ?[^\w\s]+|\s+"
SIZE = 512
BYTES = 256


def merged(word: Word, pair: Pair, token: int) -> Word:
    """Return the word with each occurrence of the pair, from the left, replaced by the token."""
    result: list[int] = []
    for symbol in word:
        result.append(symbol)
        if tuple(result[-2:]) == pair:
            result[-2:] = [token]
    return tuple(result)


def commonest(words: dict[Word, int]) -> Pair:
    """Return the most frequent pair of adjacent tokens, or in a tie, the pair with the smallest tokens."""
    pairs: Counter[Pair] = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            pairs[pair] += count
    return min(pairs, key=lambda pair: (-pairs[pair], pair))


def learn(text: str) -> list[Pair]:
    """Return the merges in order; the first produces token 256, the last one token ``SIZE - 1``."""
    words: dict[Word, int] = Counter(tuple(word.encode()) for word in re.findall(PATTERN, text))
    merges: list[Pair] = []
    for token in range(BYTES, SIZE):
        pair = commonest(words)
        words = {merged(word, pair, token): count for word, count in words.items()}
        merges.append(pair)
    return merges


def vocabulary(merges: list[Pair]) -> list[bytes]:
    """Return the bytes of each token, indexed by token."""
    tokens = [bytes([value]) for value in range(BYTES)]
    for left, right in merges:
        tokens.append(tokens[left] + tokens[right])
    return tokens


def main(folder: Path) -> None:
    """Write ``tokenizer.json`` for apps, and ``vocabulary.txt`` with one readable token per line."""
    text = Path(__file__).with_name("corpus.txt").read_text(encoding="utf-8")
    merges = learn(text)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join(f"    [{left}, {right}]" for left, right in merges)
    document = f'{{\n  "pattern": {json.dumps(PATTERN)},\n  "merges": [\n{lines}\n  ]\n}}\n'
    (folder / "tokenizer.json").write_bytes(document.encode("ascii"))
    readable = (json.dumps(token.decode("utf-8", "backslashreplace")) for token in vocabulary(merges))
    (folder / "vocabulary.txt").write_bytes(("\n".join(readable) + "\n").encode("ascii"))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
