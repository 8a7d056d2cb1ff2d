"""What may be the path of a file in a package.

A path is refused unless it can be written on every file system orbitpkg meets (ext4, APFS, NTFS and what stands behind
network shares) and means the same file on all of them: relative, ``/``-separated, NFC, nothing that a shell, a
terminal or Windows reads as something else. Names are refused, never repaired: a repaired name is another file.

Source: "Naming Files, Paths, and Namespaces" (Windows), POSIX.1-2017 section 4.13, Unicode Standard Annex #15 (NFC).
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["MAX_PART_BYTES", "MAX_PATH_BYTES", "path_problem", "tree_problems"]

MAX_PATH_BYTES = 1024
MAX_PART_BYTES = 255

_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789¹²³"]
)
# Forbidden by Windows in names; ":" also begins an alternate stream and, after one letter, a drive.
_FORBIDDEN = frozenset('\\:*?"<>|')
# What nearly every path is: a million of them are to be judged in a second, and the rules one by one take six.
_PLAIN_PART = r"(?!(?:con|prn|aux|nul|(?:com|lpt)[0-9])(?:[./]|$))[a-z0-9_.-]*[a-z0-9_-]"
_PLAIN = re.compile(rf"{_PLAIN_PART}(?:/{_PLAIN_PART})*", re.ASCII | re.IGNORECASE)


def path_problem(path: str) -> str | None:
    """Say why a path may not be in a package, or None when it may.

    The answer completes the sentence "the path … ": for instance ``"has an empty part"``.
    """
    plain = len(path) <= MAX_PART_BYTES and _PLAIN.fullmatch(path)
    return None if plain else _problem(path)


def _problem(path: str) -> str | None:
    if not path:
        return "is empty"
    problem = _character_problem(path)
    if problem:
        return problem
    if path[0] == "/":
        return "is absolute"
    if len(path.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    if not _FORBIDDEN.isdisjoint(path):
        found = next(character for character in path if character in _FORBIDDEN)
        return f"holds {found!r}, which not every system allows in a name"
    return next(filter(None, map(_part_problem, path.split("/"))), None)


def _character_problem(path: str) -> str | None:
    if path.isascii():
        return None if path.isprintable() else "holds a control character"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    for character in path:
        # Cc: controls; Cf: bidi overrides, zero-width joiners; Zl, Zp: line breaks. What cannot be seen can deceive.
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
            return f"holds the invisible or unassigned character U+{ord(character):04X}"
    if not unicodedata.is_normalized("NFC", path):
        return "is not in Unicode's NFC form"
    return None


def _part_problem(part: str) -> str | None:
    if not part:
        return "has an empty part"
    if part in {".", ".."}:
        return f"has the part {part!r}"
    if part[-1] in ". ":
        return f"has a part that ends in {part[-1]!r}: {part!r}"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"has a part longer than {MAX_PART_BYTES} bytes"
    if part.split(".", 1)[0].rstrip(" ").casefold() in _RESERVED:
        return f"has the part {part!r}, a device's name on Windows"
    return None


def tree_problems(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield (path, what is wrong) for all paths that cannot be in one tree together.

    Besides :func:`path_problem` of each: two paths alike but for upper and lower case, and a file that is also the
    directory of another.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        problem = path_problem(path) or _claim(path, files, folders)
        if problem:
            yield path, problem


def _claim(path: str, files: dict[str, str], folders: dict[str, str]) -> str | None:
    folded = _fold(path)
    if folded in files:
        twin = files[folded]
        return "is listed twice" if twin == path else f"differs from {twin!r} in nothing but letter case"
    if folded in folders:
        return f"is a file and a directory (of {folders[folded]!r})"
    files[folded] = path
    position = len(path)
    while (position := path.rfind("/", 0, position)) > 0:
        folder = _fold(path[:position])
        if folder in files:
            return f"lies in {files[folder]!r}, which is a file"
        if folders.setdefault(folder, path)[:position] != path[:position]:
            return f"lies in a directory that differs from one of {folders[folder]!r} in nothing but letter case"
        # The folders above this one were claimed with it, by the same spelling.
        if folders[folder] is not path:
            break
    return None


def _fold(path: str) -> str:
    # Casefolding may undo NFC ("İ"), so that two spellings of one name could pass as two.
    folded = path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())
    # One string for both: of a million paths most are of lower case.
    return path if folded == path else folded
