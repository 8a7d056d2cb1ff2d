"""The index of a package: one small object with the facts about all releases that selecting one requires.

It is derived from the records and may be out of date; where it differs from a record, the record is right.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError, UsageError
from orbitpkg.model.jsontext import canonical_json, parse_json
from orbitpkg.model.versions import Version, parse_version
from orbitpkg.repository.status import State, Status

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orbitpkg.model.release import Release

__all__ = ["MAX_INDEX_BYTES", "Index", "IndexEntry", "NewerIndexError", "newest", "parse_index"]

_FORMAT = 1
MAX_INDEX_BYTES = 64 * 1024 * 1024


class NewerIndexError(IntegrityError):
    """An index has a format of a newer orbitpkg: it is not damaged and must not be overwritten."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """The facts about one release in an index.

    Attributes:
        digest: The release's digest.
        size: The size of its archive in bytes.
        published: When it was published, RFC 3339.
        dependencies: Version ranges by package.
        compatibility: PEP 440 specifiers by app.
        yanked: Why it was yanked (may be empty), or None if it was not.
        deprecated: Why it was deprecated (may be empty), or None if it was not.
    """

    digest: str
    size: int
    published: str
    dependencies: Mapping[str, str] = field(default_factory=dict)
    compatibility: Mapping[str, str] = field(default_factory=dict)
    yanked: str | None = None
    deprecated: str | None = None

    def with_status(self, status: Status | None) -> IndexEntry:
        """Return this entry with another status; None means that no status was set."""
        state = status.state if status is not None else State.AVAILABLE
        reason = status.reason if status is not None else ""
        yanked = reason if state is State.YANKED else None
        deprecated = reason if state is State.DEPRECATED else None
        if (self.yanked, self.deprecated) == (yanked, deprecated):
            return self
        return replace(self, yanked=yanked, deprecated=deprecated)

    def corrected(self, right: IndexEntry) -> IndexEntry:
        """Return the facts of a record with the status of this entry, which records do not contain."""
        return replace(right, yanked=self.yanked, deprecated=self.deprecated)

    @classmethod
    def of(cls, release: Release) -> IndexEntry:
        """Summarize a release."""
        return cls(
            digest=release.digest,
            size=release.archive.size,
            published=release.published,
            dependencies=release.dependencies,
            compatibility=release.compatibility,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The index of a package.

    Attributes:
        name: The package's name as written in its newest release.
        description: The description of its newest release.
        keywords: The keywords of its newest release.
        releases: The facts about each version.
    """

    name: str
    description: str = ""
    keywords: tuple[str, ...] = ()
    releases: Mapping[Version, IndexEntry] = field(default_factory=dict)

    @property
    def newest(self) -> Version | None:
        """The newest version that is not a pre-release, or else the newest pre-release."""
        return newest(self.releases)

    def with_releases(self, releases: Mapping[Version, Release]) -> Index:
        """Return this index with additional releases."""
        entries = {**self.releases, **{version: IndexEntry.of(release) for version, release in releases.items()}}
        latest = newest(entries)
        head = releases.get(latest) if latest else None
        if head is None:
            return Index(name=self.name, description=self.description, keywords=self.keywords, releases=entries)
        return Index(name=head.name, description=head.description, keywords=head.keywords, releases=entries)

    def with_entries(self, entries: Mapping[Version, IndexEntry]) -> Index:
        """Return this index with its entries replaced."""
        return replace(self, releases=entries)

    def to_json(self) -> bytes:
        """Serialize the index; the inverse of :func:`parse_index`."""
        return canonical_json(
            {
                "format": _FORMAT,
                "name": self.name,
                "description": self.description,
                "keywords": list(self.keywords),
                "releases": {str(version): _row(self.releases[version]) for version in sorted(self.releases)},
            }
        )


def newest(versions: Iterable[Version]) -> Version | None:
    """Return the newest version that is not a pre-release, or else the newest pre-release."""
    return max(versions, key=lambda version: (not version.is_prerelease, version), default=None)


def _row(entry: IndexEntry) -> dict[str, object]:
    row: dict[str, object] = {"digest": entry.digest, "size": entry.size, "published": entry.published}
    if entry.dependencies:
        row["dependencies"] = dict(entry.dependencies)
    if entry.compatibility:
        row["compatibility"] = dict(entry.compatibility)
    if entry.yanked is not None:
        row["yanked"] = entry.yanked
    if entry.deprecated is not None:
        row["deprecated"] = entry.deprecated
    return row


def parse_index(data: bytes, *, name: str) -> Index:
    """Parse an index.

    Raises:
        NewerIndexError: It has a newer format.
        IntegrityError: It is damaged. It can be rebuilt from the records.
    """
    what = f"the index of {name}"
    table = parse_json(data, what=what, max_bytes=MAX_INDEX_BYTES)
    try:
        if not isinstance(table, dict) or table["format"] != _FORMAT:
            found = table.get("format") if isinstance(table, dict) else None
            kind = NewerIndexError if type(found) is int and found > _FORMAT else IntegrityError
            raise kind(
                f"{what[0].upper()}{what[1:]} has format {found!r}; "
                f"this version of orbitpkg supports format {_FORMAT}.",
                hint="To upgrade orbitpkg: pip install -U orbitpkg" if found else None,
            )
        return Index(
            name=_text(table["name"]),
            description=_text(table["description"]),
            keywords=tuple(_text(word) for word in table["keywords"]),
            releases={parse_version(version): _entry(row) for version, row in table["releases"].items()},
        )
    except (KeyError, TypeError, AttributeError, UsageError) as error:
        raise IntegrityError(f"{what[0].upper()}{what[1:]} is damaged: {error}.") from None


def _entry(row: Mapping[str, object]) -> IndexEntry:
    if type(row["size"]) is not int:
        raise TypeError("size is not a number")
    return IndexEntry(
        digest=_text(row["digest"]),
        size=row["size"],
        published=_text(row["published"]),
        dependencies=_texts(row.get("dependencies", {})),
        compatibility=_texts(row.get("compatibility", {})),
        yanked=_text(row["yanked"]) if "yanked" in row else None,
        deprecated=_text(row["deprecated"]) if "deprecated" in row else None,
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def _texts(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is not an object")
    return {_text(key): _text(text) for key, text in value.items()}
