"""Globs over the paths of a package: what they mean, and which are refused.

A glob is parts between ``/``. Within one part ``*``, ``?``, ``[abc]`` and ``[!abc]`` are those of :mod:`fnmatch`, so
that ``*`` never crosses a ``/``; upper and lower case differ; names that begin with a dot are names like others (a Zarr
array is made of them). ``**`` is a whole part and stands for any number of parts, at the end for at least one:
``data/**`` is every file below ``data``, ``**/*.csv`` every CSV file.

The regular expressions made here take time linear in a path for each part of the glob: whatever stands between two
stars is matched at the first place where it can be and never again (an atomic group), which loses no match and leaves
nothing to go back to.
"""

from __future__ import annotations

import re
from functools import lru_cache

from orbitpkg.model.paths import path_problem

__all__ = ["compile_glob", "glob_problem", "is_literal", "literal_prefix"]

_SPECIAL = re.compile(r"[*?\[]")
_ANY_DEPTH = "**"
_FOLDERS = "(?:[^/]+/)*"


def is_literal(glob: str) -> bool:
    """Whether a glob can match no path but itself."""
    return _SPECIAL.search(glob) is None


def literal_prefix(glob: str) -> str:
    """What every path that the glob matches begins with."""
    found = _SPECIAL.search(glob)
    return glob[: found.start()] if found else glob


@lru_cache(maxsize=1024)
def compile_glob(glob: str) -> re.Pattern[str]:
    """A regular expression whose ``fullmatch`` tells whether a glob matches a path."""
    first, *others = _runs(glob.split("/"))
    pattern = "/".join(map(_part_pattern, first))
    if not others:
        return re.compile(pattern)
    *middle, last = others
    pattern += "/" if first else ""
    pattern += "".join(f"(?>{_FOLDERS}?{''.join(f'{_part_pattern(part)}/' for part in run)})" for run in middle if run)
    pattern += _FOLDERS + "/".join(map(_part_pattern, last or ["*"]))
    return re.compile(pattern)


def glob_problem(glob: str) -> tuple[str, str | None] | None:
    """Say why no path of a package can match a glob, and how to mend it; None when one can.

    The first of the two completes the sentence "the pattern … "; the second is a hint, or None.
    """
    if "\\" in glob and glob[1:2] != ":":
        return "has a backslash", f'write "/" between the parts of a path: "{glob.replace(chr(92), "/")}"'
    # A star or a question mark may stand for any letter; whatever else is refused in a path makes the pattern useless.
    problem = path_problem(glob.replace("*", "x").replace("?", "x"))
    if problem:
        return problem, _hint(glob)
    for part in glob.split("/"):
        if _ANY_DEPTH in part and part != _ANY_DEPTH:
            mended = glob.replace(part, re.sub(r"\*\*+", "**/*", part).rstrip("/"))
            return f"has ** beside other characters in {part!r}", f'did you mean "{mended}"?'
    return None


def _hint(glob: str) -> str | None:
    if glob in ("", ".", "./", "/"):
        return 'did you mean "**", every file of the directory?'
    if glob[0] == "/" or glob[1:2] == ":":  # a drive
        return "write paths relative to package.json"
    parts = [part for part in glob.split("/") if part not in ("", ".")]
    if ".." in parts:
        return "a package holds only what lies beside package.json or below: move or copy the files there"
    mended = "/".join([*parts, _ANY_DEPTH] if glob.endswith(("/", "/.")) else parts)
    return f'did you mean "{mended}"?' if mended != glob and glob_problem(mended) is None else None


def _runs(parts: list[str]) -> list[list[str]]:
    """The parts, cut at each ``**``."""
    runs: list[list[str]] = [[]]
    for part in parts:
        if part == _ANY_DEPTH:
            runs.append([])
        else:
            runs[-1].append(part)
    return runs


def _part_pattern(part: str) -> str:
    first, *others = _chunks(part)
    if not others:
        return first
    *middle, last = others
    return first + "".join(f"(?>[^/]*?{chunk})" for chunk in middle if chunk) + "[^/]*" + last


def _chunks(part: str) -> list[str]:
    """Regular expressions for what stands between the stars of a part, each of a fixed length."""
    chunks, at = [""], 0
    while at < len(part):
        char, end = part[at], at + 1
        if char == "*":
            chunks.append("")
        elif char == "?":
            chunks[-1] += "[^/]"
        elif char == "[" and (end := _class_end(part, at)):
            chunks[-1] += _class_pattern(part[at + 1 : end - 1])
        else:
            end = at + 1
            chunks[-1] += re.escape(char)
        at = end
    return chunks


def _class_end(part: str, at: int) -> int:
    """The offset after the ``]`` that closes the class at ``at``; 0 when it is never closed, and so is no class."""
    start = at + 2 if part[at + 1 : at + 2] == "!" else at + 1
    # A "]" that comes first is a member of the class.
    return part.find("]", start + 1) + 1


def _class_pattern(body: str) -> str:
    negated, body = body[:1] == "!", body.removeprefix("!")
    members, at = "", 0
    while at < len(body):
        low, is_range = body[at], body[at + 1 : at + 2] == "-" and at + 2 < len(body)
        high = body[at + 2] if is_range else low
        # A range that runs backwards is empty for fnmatch, and an error for re.
        members += f"{re.escape(low)}-{re.escape(high)}" if low <= high else ""
        at += 3 if is_range else 1
    if not members:
        return "[^/]" if negated else "(?!)"
    return f"[^/{members}]" if negated else f"(?!/)[{members}]"
