"""The manifest, ``package.json``: the metadata of a package and the selection of its files.

:func:`parse_manifest` reports all problems of a manifest at once, each with its location and mostly with a hint. The
JSON schema checks the structure; :mod:`orbitpkg.model.manifest_checks` checks what a schema cannot express, such as
versions, ranges, PEP 440 specifiers and patterns that leave the directory.

The patterns in ``include`` and ``exclude`` are globs (:mod:`orbitpkg.model.patterns`), written as a string
(``"data/**"``) or as a list of components (``["data", "*"]``). Every package includes its ``package.json``.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from orbitpkg.errors import IntegrityError, ManifestError, Problem
from orbitpkg.model.jsontext import json_text, lines_of, parse_json, pretty_json, syntax_hint
from orbitpkg.model.manifest_checks import manifest_problems
from orbitpkg.model.names import canonical_name, nearest
from orbitpkg.model.patterns import compile_glob, is_literal, literal_prefix, literal_suffix
from orbitpkg.model.requirements import parse_range
from orbitpkg.model.versions import parse_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orbitpkg.model.versions import Version

__all__ = [
    "MANIFEST_NAME",
    "MAX_MANIFEST_BYTES",
    "IncludeEntry",
    "Manifest",
    "Selection",
    "find_unmatched",
    "new_manifest",
    "parse_manifest",
]

MANIFEST_NAME = "package.json"
MAX_MANIFEST_BYTES = 1024 * 1024

# Below this number of paths, comparing them takes less time than looking for fewer.
_FEW = 16
# Guessing what a pattern was meant to be takes milliseconds.
_MOST_GUESSES = 20
_MOST_COMPARED = 2000
"""The maximum number of paths compared for a "did you mean" hint. Each comparison takes 10 µs or more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncludeEntry:
    """A pattern in ``include`` or ``exclude``.

    Attributes:
        written: The pattern as written: a glob, or the components of one.
        pointer: Its JSON pointer in the manifest.
        line: Its line in the manifest, from 1.
    """

    written: str | tuple[str, ...]
    pointer: str
    line: int | None = field(default=None, compare=False)

    @property
    def parts(self) -> tuple[str, ...]:
        """The components of the pattern."""
        return tuple(self.glob.split("/"))

    @property
    def glob(self) -> str:
        """The pattern as one string."""
        return self.written if isinstance(self.written, str) else "/".join(self.written)

    def __str__(self) -> str:
        return json_text(self.written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The files of a directory that belong to a package.

    Attributes:
        files: Their paths, sorted, including ``package.json``.
        unmatched: The entries of ``include`` that match no file.
        problems: A problem with a hint for each unmatched entry.
    """

    files: tuple[str, ...]
    unmatched: tuple[IncludeEntry, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A validated manifest.

    Attributes:
        name: The package name as its author spells it.
        version: The version.
        include: Patterns of the files in the package.
        exclude: Patterns of files to leave out, although ``include`` matches them.
        description: A short description; may be empty.
        license: The license, as an SPDX expression or other text.
        compatibility: PEP 440 specifiers by application.
        dependencies: Normalized version ranges by package (``""`` for any version).
        authors: The authors.
        homepage: A URL.
        keywords: Search keywords.
        readme: The path of the readme file in the package directory.
        metadata: Other facts that the author provides.
    """

    name: str
    version: Version
    include: tuple[IncludeEntry, ...]
    exclude: tuple[IncludeEntry, ...] = ()
    description: str = ""
    license: str | None = None
    compatibility: Mapping[str, str] = field(default_factory=dict)
    dependencies: Mapping[str, str] = field(default_factory=dict)
    authors: tuple[str, ...] = ()
    homepage: str | None = None
    keywords: tuple[str, ...] = ()
    readme: str | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """The canonical name."""
        return canonical_name(self.name)

    def select(self, paths: Iterable[str]) -> Selection:
        """Select the files of a directory that belong to the package.

        An ``include`` entry counts as matched even if ``exclude`` removes all of its files. An ``exclude`` entry does
        not have to match anything.

        Args:
            paths: The relative, ``/``-separated paths of all regular files in the directory.
        """
        tree = _Paths(paths)
        chosen: set[str] = set()
        unmatched = []
        for entry in self.include:
            matches = tree.matching(entry.glob)
            chosen.update(matches)
            if not matches and entry.glob != MANIFEST_NAME:
                unmatched.append(entry)
        for entry in self.exclude:
            chosen.difference_update(tree.matching(entry.glob))
        problems = [_unmatched_problem(entry, tree, guess=at < _MOST_GUESSES) for at, entry in enumerate(unmatched)]
        return Selection(
            files=tuple(sorted(chosen | {MANIFEST_NAME})), unmatched=tuple(unmatched), problems=tuple(problems)
        )


def parse_manifest(data: bytes, *, where: str = MANIFEST_NAME) -> Manifest:
    """Parse a manifest.

    Args:
        data: The content of the file.
        where: The name of the file in error messages.

    Raises:
        ManifestError: The manifest is invalid. The error lists all problems in the order of the file, each with its
            JSON pointer and line, and mostly with a hint. Invalid JSON is reported as a single problem.
    """
    document = _parse_json(data, where)
    lines = lines_of(data)
    problems = list(manifest_problems(document))
    if problems:
        raise ManifestError(where, _with_lines(problems, lines))
    return _manifest(cast("dict[str, Any]", document), lines)


def find_unmatched(data: bytes, paths: Iterable[str]) -> list[Problem]:
    """Return a problem for each readable ``include`` pattern of an invalid manifest that matches no file.

    Args:
        data: The content of the manifest.
        paths: As for :meth:`Manifest.select`.
    """
    try:
        document = parse_json(data, what=MANIFEST_NAME, max_bytes=MAX_MANIFEST_BYTES)
    except IntegrityError:
        return []
    # A broken pattern has its own problem already, and one in a broken list may not even be text.
    broken = [problem for problem in manifest_problems(document) if problem.pointer.startswith("/include")]
    if broken or not isinstance(document, dict) or "include" not in document:
        return []
    tree = _Paths(paths)
    entries = _entries(document, "include", lines_of(data))
    unmatched = [entry for entry in entries if entry.glob != MANIFEST_NAME and not tree.matching(entry.glob)]
    return [_unmatched_problem(entry, tree, guess=at < _MOST_GUESSES) for at, entry in enumerate(unmatched)]


def new_manifest(name: str, version: str) -> bytes:
    """Return a template manifest that includes all files except hidden ones at the top of the directory.

    Raises:
        UsageError: The name or the version is invalid.
    """
    canonical_name(name)
    document = {
        "name": name,
        "version": str(parse_version(version)),
        "description": "",
        "include": ["**"],
        "exclude": [".*", ".*/**"],
    }
    return pretty_json(document).encode()


def _parse_json(data: bytes, where: str) -> object:
    try:
        return parse_json(data, what=where, max_bytes=MAX_MANIFEST_BYTES)
    except IntegrityError as error:
        facts: dict[str, Any] = error.data
        reason, line, hint = facts["reason"].removeprefix("not valid: "), facts.get("line"), None
        if line is not None and reason.startswith("not valid JSON"):
            hint = syntax_hint(data, line, facts["column"])
            detail = "" if hint else f": {reason.removeprefix('not valid JSON: ')}"
            reason = f"invalid JSON at column {facts['column']}{detail}"
        raise ManifestError(where, [Problem("", reason, hint, line)]) from None


def _with_lines(problems: list[Problem], lines: Mapping[str, int]) -> list[Problem]:
    """Add the lines to the problems, and sort them in the order of the file."""
    order = {pointer: index for index, pointer in enumerate(lines)}
    located = [Problem(each.pointer, each.message, each.hint, lines.get(each.pointer)) for each in problems]
    return sorted(located, key=lambda problem: order.get(problem.pointer, 0))


def _manifest(document: dict[str, Any], lines: dict[str, int]) -> Manifest:
    return Manifest(
        name=document["name"],
        version=parse_version(document["version"]),
        include=_entries(document, "include", lines),
        exclude=_entries(document, "exclude", lines),
        description=document.get("description", ""),
        license=document.get("license"),
        compatibility=document.get("compatibility", {}),
        dependencies={name: str(parse_range(text)) for name, text in document.get("dependencies", {}).items()},
        authors=tuple(document.get("authors", ())),
        homepage=document.get("homepage"),
        keywords=tuple(document.get("keywords", ())),
        readme=document.get("readme"),
        metadata=document.get("metadata", {}),
    )


def _entries(document: dict[str, Any], key: str, lines: dict[str, int]) -> tuple[IncludeEntry, ...]:
    return tuple(
        IncludeEntry(
            written=written if isinstance(written, str) else tuple(written),
            pointer=f"/{key}/{index}",
            line=lines.get(f"/{key}/{index}"),
        )
        for index, written in enumerate(document.get(key, ()))
    )


class _Paths:
    """The paths of a directory, searched by globs.

    A glob is compiled and compared only with the paths that have its literal prefix, or those that have its literal
    suffix, whichever are fewer. A manifest may have thousands of globs, most of which match few paths.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self.ordered = sorted(paths)

    @cached_property
    def _reversed(self) -> list[str]:
        return sorted(path[::-1] for path in self.ordered)

    def __contains__(self, path: str) -> bool:
        at = bisect_left(self.ordered, path)
        return at < len(self.ordered) and self.ordered[at] == path

    def matching(self, glob: str) -> list[str]:
        """Return the paths that a glob matches."""
        if is_literal(glob):
            return [glob] if glob in self else []
        found = _starting_with(self.ordered, literal_prefix(glob))
        if len(found) > _FEW and literal_suffix(glob):
            ending = _starting_with(self._reversed, literal_suffix(glob)[::-1])
            found = [path[::-1] for path in ending] if len(ending) < len(found) else found
        return list(filter(compile_glob(glob).fullmatch, found)) if found else []


def _starting_with(ordered: list[str], prefix: str) -> list[str]:
    first = bisect_left(ordered, prefix)
    last = bisect_right(ordered, prefix, lo=first, key=lambda path: path[: len(prefix)])
    return ordered[first:last]


def _unmatched_problem(entry: IncludeEntry, tree: _Paths, *, guess: bool) -> Problem:
    hint = _unmatched_hint(entry.glob, tree) if guess else None
    return Problem(entry.pointer, f"{entry} matches no file", hint, entry.line)


def _unmatched_hint(glob: str, tree: _Paths) -> str | None:
    if tree.matching(f"{glob}/**"):
        return f'it is a directory; did you mean "{glob}/**"?'
    if glob in tree:
        return f'to match a "[" in a file name, write "{glob.replace("[", "[[]")}"'
    folder = literal_prefix(glob).rpartition("/")[0]
    if folder and not tree.matching(f"{folder}/**"):
        near = nearest(folder, _folders(tree.ordered), 1)
        rest = glob.removeprefix(folder)
        return f'there is no directory "{folder}"' + (f'; did you mean "{near[0]}{rest}"?' if near else "")
    near = nearest(glob, tree.matching(f"{folder}/*".lstrip("/"))[:_MOST_COMPARED], 1)
    return f'did you mean "{near[0]}"?' if near else None


def _folders(ordered: Sequence[str]) -> list[str]:
    """Return the directories of the files, in order of depth."""
    folders = {path[:at] for path in ordered for at, char in enumerate(path) if char == "/"}
    return sorted(folders, key=lambda folder: (folder.count("/"), folder))[:_MOST_COMPARED]
