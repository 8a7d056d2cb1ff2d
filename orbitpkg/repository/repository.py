"""A repository: reading its releases, and making one visible.

The rules:

1. A release exists when its record does, and from then on for ever as it is. The record is created only if absent.
2. Everything a record names is there and was checked before the record is created.
3. "Not found" alone means absent. Any other error is an error; a reader never takes it for an empty answer.
4. A reply to a create can be lost. "Exists" is judged by reading back: one's own record is a success.
5. The index is derived. What it lacks is read from the records; nothing is refused because it is stale or gone.
"""

from __future__ import annotations

import contextlib
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.archive.frames import archive_size, unpack_contents
from orbitpkg.errors import (
    AccessDenied,
    ArchiveError,
    IntegrityError,
    ObjectExists,
    ObjectNotFound,
    PackageNotFound,
    ReleaseExists,
    RepositoryError,
    RepositoryNotFound,
    RepositoryUnreachable,
    UnsupportedByStore,
    UsageError,
    VersionNotFound,
)
from orbitpkg.model.names import is_valid_name, nearest
from orbitpkg.model.release import MAX_RECORD_BYTES, Release, parse_release
from orbitpkg.model.versions import Version, next_free, parse_version
from orbitpkg.repository.configuration import MAX_CONFIG_BYTES, RepositoryConfig, parse_config
from orbitpkg.repository.index import MAX_INDEX_BYTES, Index, newest, parse_index
from orbitpkg.repository.layout import (
    ARCHIVES,
    CONFIG_KEY,
    RELEASES,
    index_key,
    record_key,
    releases_prefix,
    status_key,
    version_of_record,
)
from orbitpkg.repository.mirrors import MirroredStore
from orbitpkg.repository.probe import Check, ProbeReport, probe
from orbitpkg.repository.status import MAX_STATUS_BYTES, Status, parse_status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orbitpkg.model.contents import Contents
    from orbitpkg.objects.protocol import ObjectStore

__all__ = ["RemoteArchive", "Repository", "RepositoryConfig"]


@dataclass(frozen=True, slots=True)
class RemoteArchive:
    """An archive in a repository, as a source of bytes."""

    objects: ObjectStore
    key: str

    def stream(self, start: int, length: int) -> Iterator[memoryview]:
        """Read exactly ``length`` bytes from ``start``, in pieces, as they come.

        Raises:
            RepositoryError: They cannot be read.
        """
        return self.objects.stream(self.key, start, length)


class Repository:
    """The releases in one object store. Safe to use from several threads.

    Args:
        objects: The store.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects

    @property
    def url(self) -> str:
        """Where this is, without credentials."""
        return self.objects.url

    @property
    def silence(self) -> RepositoryUnreachable | None:
        """Why mirrors answer in the place of this repository; None as long as it answers itself, or has none."""
        return self.objects.silence if isinstance(self.objects, MirroredStore) else None

    def unknown(self, what: str) -> RepositoryUnreachable:
        """Say that no mirror has something, and that the repository itself may have it and does not answer."""
        silence = self.silence
        return RepositoryUnreachable(
            f"{self.url} does not answer, and no mirror of it has {what}; whether it has, nobody knows.",
            hint=silence.hint if silence is not None else None,
            url=self.url,
        )

    def config(self) -> RepositoryConfig:
        """Read the repository's configuration.

        Raises:
            RepositoryNotFound: There is no repository here.
            IntegrityError: It is damaged or of a newer format.
        """
        try:
            data, _ = self.objects.get(CONFIG_KEY, max_bytes=MAX_CONFIG_BYTES)
        except ObjectNotFound as error:
            raise RepositoryNotFound(
                f"There is no repository at {self.url}.",
                hint=f"Check the address, or make one: orbitpkg repo init {self.url}",
            ) from error
        return parse_config(data, where=self.url)

    def init(self) -> tuple[RepositoryConfig, ProbeReport | None]:
        """Make this a repository, unless it is one; returns its configuration and what the store can do.

        The report is None when it was one already.

        Raises:
            RepositoryError: The store cannot be reached or written.
        """
        try:
            return self.config(), None
        except RepositoryNotFound:
            pass
        report = probe(self.objects)
        if not report.works(Check.WRITABLE):
            detail = next(answer.detail for answer in report.answers if answer.check is Check.WRITABLE)
            raise RepositoryError(f"{self.url} cannot be made a repository. {detail}")
        config = RepositoryConfig(
            id=uuid.uuid4().hex,
            create_only=bool(report.works(Check.CREATE_ONLY)),
            part_copies=bool(report.works(Check.PART_COPIES)),
        )
        try:
            self.objects.create(CONFIG_KEY, config.to_json())
        except ObjectExists:
            return self.config(), report
        return config, report

    def names(self) -> list[str]:
        """List the packages that have a release, by canonical name.

        Raises:
            UnsupportedByStore: The store cannot list (a static web server).
        """
        return [name for name in self.objects.list_folders(RELEASES) if is_valid_name(name)]

    def versions(self, name: str) -> list[Version]:
        """List the versions of a package, oldest first; empty when it has none.

        Raises:
            RepositoryError: The store did not say.
        """
        try:
            infos = list(self.objects.list(releases_prefix(name)))
        except (UnsupportedByStore, AccessDenied) as error:
            # A web server has no listing, and some readers of a bucket may not list it.
            index = self.index(name)
            if index is None and isinstance(error, AccessDenied):
                raise
            return sorted(index.releases) if index else []
        return sorted(filter(None, (_version(version_of_record(info.key, name)) for info in infos)))

    def index(self, name: str) -> Index | None:
        """Read a package's index; None when there is none.

        Raises:
            IntegrityError: It is damaged.
        """
        try:
            data, _ = self.objects.get(index_key(name), max_bytes=MAX_INDEX_BYTES)
        except ObjectNotFound:
            return None
        return parse_index(data, name=name)

    def indexes(self, name: str) -> list[Index]:
        """Read a package's index; if this repository is silent, that of each mirror that has one.

        Raises:
            IntegrityError: One is damaged.
        """
        if isinstance(self.objects, MirroredStore):
            found = self.objects.get_each(index_key(name), max_bytes=MAX_INDEX_BYTES)
            return [parse_index(data, name=name) for data in found]
        index = self.index(name)
        return [] if index is None else [index]

    def summary(self, name: str) -> Index:
        """Give a package's index; where there is none, or a damaged one, one with its newest release only."""
        index = self._index_or_new(name)
        if index.releases:
            return index
        version = newest(self.versions(name))
        release = self.find_release(name, version) if version else None
        return index.with_releases({release.version: release}) if release else index

    def release(self, name: str, version: Version) -> Release:
        """Read the record of a release.

        Args:
            name: The package's canonical name.
            version: Which one.

        Raises:
            PackageNotFound: Nobody published a package of this name here; the message names the nearest.
            VersionNotFound: This version is not there; the message names those that are.
            IntegrityError: The record is damaged.
        """
        release = self.find_release(name, version)
        if release is None:
            raise self.nothing_found(name, f"{name}=={version}", self.versions(name))
        return release

    def find_release(self, name: str, version: Version) -> Release | None:
        """Read the record of a release; None when there is none.

        Raises:
            RepositoryUnreachable: No mirror has it, and the repository itself does not answer.
            IntegrityError: The record is damaged.
        """
        try:
            raw, _ = self.objects.get(record_key(name, version), max_bytes=MAX_RECORD_BYTES)
        except ObjectNotFound:
            if self.silence is not None:
                raise self.unknown(f"{name} {version}") from self.silence
            return None
        release = parse_release(raw, name=name, version=version)
        if not release.archive.key.startswith(ARCHIVES):
            raise IntegrityError(f"The record of {release} names {release.archive.key!r}, which is no archive.")
        if archive_size(release.contents) != release.archive.size:
            raise IntegrityError(f"The record of {release} places its contents outside its archive.")
        return release

    def nothing_found(self, name: str, wanted: str, versions: list[Version]) -> PackageNotFound | VersionNotFound:
        """Say that nothing fits a requirement, and what there is instead."""
        if versions:
            there = ", ".join(map(str, versions[-20:]))
            more = f" and {len(versions) - 20} older" if len(versions) > 20 else ""  # noqa: PLR2004
            return VersionNotFound(
                f"No release of {name} in {self.url} fits {wanted}. There are: {there}{more}.",
                hint="Pre-releases are taken only when asked for: --pre, or name one." if _only_pre(versions) else None,
                name=name,
                wanted=wanted,
                versions=[str(version) for version in versions],
            )
        try:
            close = nearest(name, self.names())
        except (UnsupportedByStore, AccessDenied):
            close = []
        return PackageNotFound(
            f"There is no package {name} in {self.url}.",
            hint=f"Did you mean {' or '.join(close)}?"
            if close
            else f"See what there is: orbitpkg search -r {self.url}",
            name=name,
            nearest=close,
        )

    def contents(self, release: Release, *, archive: bytes | None = None) -> tuple[bytes, Contents]:
        """Read the contents of a release: as they are stored, and understood.

        Args:
            release: Which one.
            archive: Its whole archive, if that was read before.

        Raises:
            IntegrityError: They are not those the record commits to, or the archive is gone.
        """
        place = release.contents
        if archive is None:
            with _archive_there(release, self.url):
                packed = bytes(self.objects.get_range(release.archive.key, place.offset, place.length))
        else:
            packed = archive[place.offset : place.offset + place.length]
        contents = unpack_contents(packed, place, where=f"{release} in {self.url}")
        totals = release.archive
        if (totals.files, totals.bytes) != (len(contents.files), contents.total_size):
            raise ArchiveError(f"The record of {release} counts other files than its archive holds.")
        return packed, contents

    def whole_archive(self, release: Release) -> bytes:
        """Read the archive of a release at once: for small ones.

        Raises:
            IntegrityError: It is gone, or of another size than its record says.
        """
        size = release.archive.size
        with _archive_there(release, self.url):
            data, _ = self.objects.get(release.archive.key, max_bytes=size)
        if len(data) != size:
            raise IntegrityError(
                f"The archive of {release} in {self.url} has {len(data):,} bytes; its record says {size:,}."
            )
        return data

    def archive(self, release: Release) -> RemoteArchive:
        """Give the archive of a release as a source of bytes."""
        return RemoteArchive(self.objects, release.archive.key)

    def commit(self, release: Release) -> Release:
        """Make a release visible: create its record, whose archive is there and was checked.

        Returns:
            The release that is now published: this one, or an earlier one if :class:`ReleaseExists` would be raised
            and it has the same digest.

        Raises:
            ReleaseExists: The version is published already, by another record.
            RepositoryError: The store did not take it, or it cannot be told whether it did.
        """
        key = record_key(release.key, release.version)
        try:
            self.objects.create(key, release.raw)
        except ObjectExists:
            pass
        except RepositoryError as error:
            # The request may have been carried out and only its reply lost.
            if not self._is_mine(release, error):
                raise
            return release
        else:
            return release
        there = self.find_release(release.key, release.version)
        if there is None:
            raise RepositoryError(
                f"{self.url} says that {release} is published already, and has no record of it.",
                hint="Nothing was published. Run the same command again.",
            )
        if there.raw == release.raw:
            return release
        raise self.exists(release.name, release.key, release.version)

    def _is_mine(self, release: Release, cause: RepositoryError) -> bool:
        try:
            there = self.find_release(release.key, release.version)
        except RepositoryError:
            raise RepositoryError(
                f"Whether {release} was published cannot be told: {cause.message}",
                hint="Run the same command again: it finds out, and publishes it if it was not.",
            ) from cause
        return there is not None and there.raw == release.raw

    def exists(self, name: str, key: str, version: Version) -> ReleaseExists:
        """Say that a version is taken, and which is free."""
        free = next_free(version, self.versions(key))
        return ReleaseExists(
            f"{name} {version} is published already in {self.url}, with other content.",
            hint=f"A published version never changes. The next free one is {free}: set it in package.json.",
            name=name,
            version=str(version),
            next_free=str(free),
        )

    def status(self, name: str, version: Version) -> Status | None:
        """Read what is thought of a release; None when nobody said.

        Raises:
            IntegrityError: It is damaged.
        """
        key = status_key(name, version)
        try:
            data, _ = self.objects.get(key, max_bytes=MAX_STATUS_BYTES)
        except ObjectNotFound:
            return None
        return parse_status(data, what=f"the status of {name} {version}")

    def _index_or_new(self, name: str) -> Index:
        try:
            return self.index(name) or Index(name=name)
        except IntegrityError:
            return Index(name=name)


@contextlib.contextmanager
def _archive_there(release: Release, url: str) -> Iterator[None]:
    try:
        yield
    except ObjectNotFound as error:
        raise IntegrityError(
            f"The archive of {release} is gone from {url}: {release.archive.key}.",
            hint="Ask the repository's owner to restore it, or install another version.",
        ) from error


def _only_pre(versions: list[Version]) -> bool:
    return all(version.is_prerelease for version in versions)


def _version(text: str | None) -> Version | None:
    # What other tools left between the records is not a release.
    try:
        return parse_version(text) if text else None
    except UsageError:
        return None
