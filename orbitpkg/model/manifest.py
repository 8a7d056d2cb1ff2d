"""The manifest, ``package.json``: what an author says of a package, and which files belong to it.

:func:`parse_manifest` finds everything that is wrong with a manifest at once, and says of each thing where it is and
how it can be mended: the schema checks the shape, :mod:`orbitpkg.model.manifest_checks` what a schema cannot
say (versions, ranges, PEP 440 specifiers, patterns that leave the directory). What it returns has passed all of that.

Patterns of ``include`` and ``exclude`` are globs, written as a string (``"data/**"``) or as the list of its parts
(``["data", "*"]``); both mean the same, which :mod:`orbitpkg.model.patterns` tells. ``package.json`` belongs to every
package.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from orbitpkg.errors import IntegrityError, ManifestError, Problem
from orbitpkg.model.jsontext import lines_of, parse_json, syntax_hint
from orbitpkg.model.manifest_checks import manifest_problems
from orbitpkg.model.names import canonical_name, nearest
from orbitpkg.model.patterns import compile_glob, is_literal, literal_prefix
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
    "new_manifest",
    "parse_manifest",
]

MANIFEST_NAME = "package.json"
MAX_MANIFEST_BYTES = 1024 * 1024

_MOST_COMPARED = 2000
"""Names looked at for a "did you mean": likeness costs 10 µs and more a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncludeEntry:
    """One pattern of ``include`` or ``exclude``.

    Attributes:
        written: As it stands in the manifest: a glob, or the parts of one.
        pointer: Where it stands there, as a JSON pointer.
        line: The line of the manifest, from 1.
    """

    written: str | tuple[str, ...]
    pointer: str
    line: int | None = field(default=None, compare=False)

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the pattern; ``**`` is any number of parts of a path."""
        return tuple(self.glob.split("/"))

    @property
    def glob(self) -> str:
        """The pattern as one string."""
        return self.written if isinstance(self.written, str) else "/".join(self.written)

    def __str__(self) -> str:
        return json.dumps(self.written, ensure_ascii=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The files of a directory that belong to a package.

    Attributes:
        files: Their paths, sorted; ``package.json`` is among them.
        unmatched: The entries of ``include`` that match nothing.
        problems: The same as problems of the manifest, with hints; empty when all is well.
    """

    files: tuple[str, ...]
    unmatched: tuple[IncludeEntry, ...] = ()
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What an author says of a package.

    Attributes:
        name: As its author writes it.
        version: Its version.
        include: Which files belong to it.
        exclude: Which of those do not after all.
        description: What it is; may be empty.
        license: Under which terms it may be used.
        compatibility: PEP 440 specifiers by app.
        dependencies: Ranges of versions by package, normalised (``""``: any version).
        authors: Who made it.
        homepage: A URL.
        keywords: Words to find it by.
        readme: The path of a file of the directory.
        metadata: Whatever facts the author gives.
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
        """The name in the form that names are compared by."""
        return canonical_name(self.name)

    def select(self, paths: Iterable[str]) -> Selection:
        """Choose from the files of a directory those that belong to the package.

        An entry whose every match is excluded counts as matched; an entry of ``exclude`` may match nothing.

        Args:
            paths: Of all regular files of the directory, relative to it, with ``/`` between parts.
        """
        ordered = sorted(paths)
        chosen: set[str] = set()
        unmatched = []
        for entry in self.include:
            matches = _matches(entry.glob, ordered)
            chosen.update(matches)
            if not matches and entry.glob != MANIFEST_NAME:
                unmatched.append(entry)
        for entry in self.exclude:
            chosen.difference_update(_matches(entry.glob, ordered))
        problems = [_unmatched_problem(entry, ordered) for entry in unmatched]
        return Selection(
            files=tuple(sorted(chosen | {MANIFEST_NAME})), unmatched=tuple(unmatched), problems=tuple(problems)
        )


def parse_manifest(data: bytes, *, where: str = MANIFEST_NAME) -> Manifest:
    """Read a manifest.

    Args:
        data: The file.
        where: What to call it in the error.

    Raises:
        ManifestError: With all problems at once, in the order of the file, each with its JSON pointer, its line and
            mostly a hint. (When it is not JSON: the first place where it is not.)
    """
    document = _read_json(data, where)
    lines = lines_of(data)
    problems = list(manifest_problems(document))
    if problems:
        raise ManifestError(where, _placed(problems, lines))
    return _manifest(cast("dict[str, Any]", document), lines)


def new_manifest(name: str, version: str) -> bytes:
    """The manifest to begin a package with: everything in the directory but hidden files at its top.

    Raises:
        UsageError: The name or the version is not valid.
    """
    canonical_name(name)
    document = {
        "name": name,
        "version": str(parse_version(version)),
        "description": "",
        "include": ["**"],
        "exclude": [".*", ".*/**"],
    }
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _read_json(data: bytes, where: str) -> object:
    try:
        return parse_json(data, what=where, max_bytes=MAX_MANIFEST_BYTES)
    except IntegrityError as error:
        facts: dict[str, Any] = error.data
        reason, line, hint = f"is {facts['reason']}", facts.get("line"), None
        if line is not None and facts["reason"].startswith("not valid JSON"):
            hint = syntax_hint(data, line, facts["column"])
            reason = f"{reason} (column {facts['column']})"
        raise ManifestError(where, [Problem("", reason, hint, line)]) from None


def _placed(problems: list[Problem], lines: Mapping[str, int]) -> list[Problem]:
    """The problems with their lines, in the order of the file."""
    order = {pointer: index for index, pointer in enumerate(lines)}
    placed = [problem._replace(line=lines.get(problem.pointer)) for problem in problems]
    return sorted(placed, key=lambda problem: order.get(problem.pointer, 0))


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


# Selecting.


def _matches(glob: str, ordered: Sequence[str]) -> list[str]:
    """The paths that a glob matches, of sorted ones: only those that begin as it does are looked at."""
    if is_literal(glob):
        at = bisect_left(ordered, glob)
        return [glob] if ordered[at : at + 1] == [glob] else []
    prefix = literal_prefix(glob)
    first = bisect_left(ordered, prefix)
    last = bisect_right(ordered, prefix, lo=first, key=lambda path: path[: len(prefix)])
    return list(filter(compile_glob(glob).fullmatch, ordered[first:last]))


def _unmatched_problem(entry: IncludeEntry, ordered: Sequence[str]) -> Problem:
    return Problem(entry.pointer, f"{entry} matches no file", _unmatched_hint(entry.glob, ordered), entry.line)


def _unmatched_hint(glob: str, ordered: Sequence[str]) -> str | None:
    if _matches(f"{glob}/**", ordered):
        return f'it is a directory; did you mean "{glob}/**"?'
    if glob in ordered:
        return f'to name a file with [ in its name, write "{glob.replace("[", "[[]")}"'
    folder = literal_prefix(glob).rpartition("/")[0]
    if folder and not _matches(f"{folder}/**", ordered):
        near = nearest(folder, _folders(ordered), 1)
        rest = glob.removeprefix(folder)
        return f'there is no directory "{folder}"' + (f'; did you mean "{near[0]}{rest}"?' if near else "")
    near = nearest(glob, _matches(f"{folder}/*".lstrip("/"), ordered)[:_MOST_COMPARED], 1)
    return f'did you mean "{near[0]}"?' if near else None


def _folders(ordered: Sequence[str]) -> list[str]:
    """The directories of the files, the shallow ones first."""
    folders = {path[:at] for path in ordered for at, char in enumerate(path) if char == "/"}
    return sorted(folders, key=lambda folder: (folder.count("/"), folder))[:_MOST_COMPARED]
