"""Globs over the paths of a package: syntax, matching and validation.

A glob consists of components separated by ``/``. Within a component, ``*``, ``?``, ``[abc]`` and ``[!abc]`` work as in
:mod:`fnmatch`, and never match a ``/``. Matching is case-sensitive. Names that start with a dot are not special (a Zarr
array consists of them). ``**`` is a component by itself and matches any number of components, or at least one at the
end: ``data/**`` matches every file below ``data``, ``**/*.csv`` every CSV file.

For each component, the regular expressions compiled here take time linear in the length of the path. The text between
two stars is matched at the first possible position, in an atomic group: that loses no match and prevents backtracking.
"""

from __future__ import annotations

import re
from functools import lru_cache

from orbitpkg.model.paths import path_problem

__all__ = ["compile_glob", "glob_problem", "is_literal", "literal_prefix", "literal_suffix"]

_SPECIAL = re.compile(r"[*?\[]")
_ANY_DEPTH = "**"
_FOLDERS = "(?:[^/]+/)*"


def is_literal(glob: str) -> bool:
    """Return whether a glob has no wildcards and matches only itself."""
    return _SPECIAL.search(glob) is None


def literal_prefix(glob: str) -> str:
    """Return the text before the first wildcard, with which every matching path starts."""
    found = _SPECIAL.search(glob)
    return glob[: found.start()] if found else glob


def literal_suffix(glob: str) -> str:
    """Return the text after the last wildcard, with which every matching path ends."""
    # A "]" that ends no class is left out without harm, and so is the "/" of "**/", which may match nothing.
    return re.split(r"[*?\]\[]", glob)[-1].removeprefix("/")


@lru_cache(maxsize=1024)
def compile_glob(glob: str) -> re.Pattern[str]:
    """Return a regular expression whose ``fullmatch`` accepts the paths that a glob matches."""
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
    """Return why no path in a package can match a glob, and a hint or None; None if a path can match.

    The reason completes the sentence "the pattern …".
    """
    if "\\" in glob and glob[1:2] != ":":
        return "contains a backslash", f'separate directories with "/": "{glob.replace(chr(92), "/")}"'
    # Wildcards can stand for letters. Anything else that is invalid in a path is invalid in the pattern as well.
    problem = path_problem(glob.replace("*", "x").replace("?", "x"))
    if problem:
        return problem, _hint(glob)
    for part in glob.split("/"):
        if _ANY_DEPTH in part and part != _ANY_DEPTH:
            mended = glob.replace(part, re.sub(r"\*\*+", "**/*", part).rstrip("/"))
            return f"combines ** with other characters in {part!r}", f'did you mean "{mended}"?'
    return None


def _hint(glob: str) -> str | None:
    if glob in ("", ".", "./", "/"):
        return 'did you mean "**", which matches every file in the directory?'
    if glob[0] == "/" or glob[1:2] == ":":  # a drive
        return "use a path relative to package.json"
    parts = [part for part in glob.split("/") if part not in ("", ".")]
    if ".." in parts:
        return "a package contains only files in the directory of package.json: move or copy the files there"
    mended = "/".join([*parts, _ANY_DEPTH] if glob.endswith(("/", "/.")) else parts)
    return f'did you mean "{mended}"?' if mended != glob and glob_problem(mended) is None else None


def _runs(parts: list[str]) -> list[list[str]]:
    """Split a list of components at each ``**``."""
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
    """Return regular expressions, each of a fixed length, for the text between the stars of a component."""
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
    """Return the offset after the ``]`` that closes the class at ``at``, or 0 if it is not closed."""
    start = at + 2 if part[at + 1 : at + 2] == "!" else at + 1
    # As in fnmatch, a leading "]" is a member of the class.
    return part.find("]", start + 1) + 1


def _class_pattern(body: str) -> str:
    negated, body = body[:1] == "!", body.removeprefix("!")
    members, at = "", 0
    while at < len(body):
        low, is_range = body[at], body[at + 1 : at + 2] == "-" and at + 2 < len(body)
        high = body[at + 2] if is_range else low
        # A reversed range is empty in fnmatch but an error in re.
        members += f"{re.escape(low)}-{re.escape(high)}" if low <= high else ""
        at += 3 if is_range else 1
    if not members:
        return "[^/]" if negated else "(?!)"
    return f"[^/{members}]" if negated else f"(?!/)[{members}]"
