"""Which paths a file in a package may have.

A path must be valid, and mean the same file, on every file system that orbitpkg supports (ext4, APFS, NTFS and network
shares). It is relative, ``/``-separated and in NFC, and contains nothing that a shell, a terminal or Windows interprets
differently. An invalid path is rejected and never corrected, because a corrected path names a different file.

Source: "Naming Files, Paths, and Namespaces" (Windows), POSIX.1-2017 section 4.13, Unicode Standard Annex #15 (NFC).
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from itertools import islice
from typing import TYPE_CHECKING, Self

from orbitpkg.errors import IntegrityError
from orbitpkg.escaping import is_invisible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["MAX_PART_BYTES", "MAX_PATH_BYTES", "RelativePath", "path_problem", "relative_problem", "tree_problems"]

MAX_PATH_BYTES = 1024
MAX_PART_BYTES = 255

_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{device}{digit}" for device in ("com", "lpt") for digit in "0123456789¹²³"]
)
# Windows forbids these in names. ":" also starts an alternate stream and, after one letter, ends a drive.
_FORBIDDEN = frozenset('\\:*?"<>|')
# Nearly every path matches this. Checking a million paths takes a second this way, and six with the separate rules.
_PLAIN_PART = r"(?!(?:con|prn|aux|nul|(?:com|lpt)[0-9])(?:[./\n]|$))[a-z0-9_.-]*[a-z0-9_-]"
_PLAIN = re.compile(rf"{_PLAIN_PART}(?:/{_PLAIN_PART})*", re.ASCII | re.IGNORECASE)
_PLAIN_LINES = re.compile(rf"{_PLAIN.pattern}(?:\n{_PLAIN.pattern})*+", re.ASCII | re.IGNORECASE)
_BATCH = 4096


def path_problem(path: str) -> str | None:
    """Return why a path is not allowed in a package, or None if it is allowed.

    The reason completes the sentence "the path …", as in ``"has an empty component"``.
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
        return f"contains {found!r}, which some systems do not allow in file names"
    return next(filter(None, map(_part_problem, path.split("/"))), None)


def _character_problem(path: str) -> str | None:
    if path.isascii():
        return None if path.isprintable() else "contains a control character"
    try:
        path.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    for character in path:
        # An invisible character can make a name look like another one: a control, a bidi override, a zero-width joiner,
        # a filler or a variation selector. How an unassigned character will look is unknown.
        if is_invisible(character):
            return f"contains the invisible or unassigned character U+{ord(character):04X}"
    if not unicodedata.is_normalized("NFC", path):
        return "is not in Unicode NFC form"
    return None


def _part_problem(part: str) -> str | None:
    if not part:
        return "has an empty component"
    if part in {".", ".."}:
        return f"contains the component {part!r}"
    if part[-1] == "." or part[-1].isspace():
        return f"has a component that ends in {part[-1]!r}: {part!r}"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"has a component longer than {MAX_PART_BYTES} bytes"
    if part.split(".", 1)[0].rstrip(" ").casefold() in _RESERVED:
        return f"contains {part!r}, which is a reserved device name on Windows"
    return None


class RelativePath(str):
    """A checked path below some folder: it cannot lead out of it.

    Text from a catalogue, an archive or a server becomes part of a local path only through this class. The rules are
    weaker than those for packages, since they apply to names that others chose and nobody can change.

    Raises:
        IntegrityError: The text is not such a path.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        """Check the text."""
        problem = relative_problem(text)
        if problem:
            raise IntegrityError(f"The path {text[:200]!r} {problem}.", path=text[:MAX_PATH_BYTES])
        return super().__new__(cls, text)

    def below(self, folder: Path) -> Path:
        """Return the local path below a folder."""
        return folder / str(self)


def relative_problem(path: str) -> str | None:
    """Return why a text is not a path below a folder, or None if it is; the reason completes "the path …"."""
    if not path:
        return "is empty"
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in path):
        return "contains a control character or is not valid Unicode"
    if path[0] == "/" or "\\" in path:
        return "is absolute" if path[0] == "/" else "contains a backslash"
    return next(filter(None, map(_relative_part_problem, path.split("/"))), None)


def _relative_part_problem(part: str) -> str | None:
    if part in {"", ".", ".."}:
        return f"contains the component {part!r}" if part else "has an empty component"
    return f"has a component longer than {MAX_PART_BYTES} bytes" if len(part.encode()) > MAX_PART_BYTES else None


def tree_problems(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield each path that is invalid or conflicts with an earlier one, with the reason.

    Two paths conflict if they differ only in letter case, or if one names a file and the other a directory. For invalid
    paths, see :func:`path_problem`.
    """
    listed = paths if isinstance(paths, list) else list(paths)
    if _is_plain_tree(listed):
        return
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in listed:
        problem = path_problem(path) or _claim(path, files, folders)
        if problem:
            yield path, problem


def _is_plain_tree(paths: list[str]) -> bool:
    """Return whether all paths are valid, in ASCII, and without conflicts; False means that this is unknown.

    Nearly every tree is one. Checking a million paths takes half a second here, and otherwise two seconds and 100 MB.
    """
    if not all(_are_plain(paths[start : start + _BATCH]) for start in range(0, len(paths), _BATCH)):
        return False
    folders = {path[: path.rindex("/")] for path in paths if "/" in path}
    pending = folders
    while pending := {folder[: folder.rindex("/")] for folder in pending if "/" in folder} - folders:
        folders |= pending
    is_lower = all(map(str.__eq__, paths, map(str.lower, paths)))
    ordered = sorted(paths if is_lower else map(str.lower, paths))
    if any(map(str.__eq__, ordered, islice(ordered, 1, None))):
        return False
    return len(set(map(str.lower, folders))) == len(folders) and not any(
        _contains(ordered, folder) for folder in map(str.lower, folders)
    )


def _contains(ordered: list[str], path: str) -> bool:
    at = bisect_left(ordered, path)
    return at < len(ordered) and ordered[at] == path


def _are_plain(paths: list[str]) -> bool:
    # One match for many paths takes a third of the time of a match for each.
    text = "\n".join(paths)
    if max(map(len, paths)) > MAX_PART_BYTES or text.count("\n") != len(paths) - 1:
        return False
    return _PLAIN_LINES.fullmatch(text) is not None


def _claim(path: str, files: dict[str, str], folders: dict[str, str]) -> str | None:
    folded = _fold(path)
    if folded in files:
        twin = files[folded]
        return "is listed twice" if twin == path else f"differs from {twin!r} only in letter case"
    if folded in folders:
        return f"is a file, but also a directory that contains {folders[folded]!r}"
    files[folded] = path
    position = len(path)
    while (position := path.rfind("/", 0, position)) > 0:
        folder = _fold(path[:position])
        if folder in files:
            return f"is inside {files[folder]!r}, which is a file"
        if folders.setdefault(folder, path)[:position] != path[:position]:
            return f"is in a directory whose name differs only in letter case from one in {folders[folder]!r}"
        # An earlier path with the same spelling also claimed the parents of this directory.
        if folders[folder] is not path:
            break
    return None


def _fold(path: str) -> str:
    # Casefolding can undo NFC ("İ"), which would leave two spellings of the same name.
    folded = path.lower() if path.isascii() else unicodedata.normalize("NFC", path.casefold())
    # Most paths are in lower case. Sharing the string saves memory for a million of them.
    return path if folded == path else folded
