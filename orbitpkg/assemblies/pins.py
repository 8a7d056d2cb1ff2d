"""Hashes that pin the content of files: SHA-1, as in BrainIO's catalogues, SHA-256 or BLAKE3."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from orbitpkg.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["Digests", "Pin", "digests_of", "hash_file", "parse_pin"]

_DIGITS: Final = {"sha1": 40, "sha256": 64, "blake3": 64}
_HASHERS: Final[dict[str, Callable[[], Any]]] = {
    "sha1": partial(hashlib.sha1, usedforsecurity=False),
    "sha256": hashlib.sha256,
    "blake3": blake3,
}
_BLOCK_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """The hashes of a file, in lower-case hexadecimal digits, and its size in bytes."""

    sha1: str
    sha256: str
    blake3: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pin:
    """A hash that a file must have.

    Attributes:
        kinds: The possible hash functions. 64 digits without a prefix can be SHA-256 or BLAKE3.
        digits: The digest, in lower-case hexadecimal digits.
    """

    kinds: tuple[str, ...]
    digits: str

    def __str__(self) -> str:
        return f"{' or '.join(self.kinds)} {self.digits}"

    @property
    def folder(self) -> str:
        """The name of the cache directory for files with this hash."""
        return f"{'-'.join(self.kinds)}-{self.digits}"

    def matches(self, path: Path) -> bool:
        """Return whether a file has this hash.

        Raises:
            OSError: The file cannot be read.
        """
        return self.digits in hash_file(path, self.kinds).values()


def parse_pin(text: str) -> Pin:
    """Parse a hash: 40 or 64 hexadecimal digits, optionally after ``sha1:``, ``sha256:`` or ``blake3:``.

    Raises:
        UsageError: The text is not a supported hash.
    """
    kind, colon, digits = text.strip().lower().rpartition(":")
    kinds = (kind,) if colon else tuple(each for each, length in _DIGITS.items() if length == len(digits))
    is_hash = re.fullmatch(r"[0-9a-f]+", digits) is not None
    if not is_hash or not kinds or any(_DIGITS.get(each) != len(digits) for each in kinds):
        raise UsageError(
            f"{text!r} is not a supported hash.",
            hint="Give 40 hexadecimal digits for SHA-1, or 64 for SHA-256 or BLAKE3.",
        )
    return Pin(kinds=kinds, digits=digits)


def hash_file(path: Path, kinds: Iterable[str]) -> dict[str, str]:
    """Compute hashes of a file in one pass. Return the digests by the names of the hash functions.

    Raises:
        OSError: The file cannot be read.
    """
    hashers = {kind: _HASHERS[kind]() for kind in kinds}
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            for hasher in hashers.values():
                hasher.update(block)
    return {kind: hasher.hexdigest() for kind, hasher in hashers.items()}


def digests_of(path: Path) -> Digests:
    """Compute all supported hashes of a file, and its size.

    Raises:
        OSError: The file cannot be read.
    """
    return Digests(**hash_file(path, _DIGITS), size=path.stat().st_size)
