"""A repository: reads its releases, and makes new ones visible.

The rules:

1. A release exists once its record does, and never changes. The record is written with a create-only write.
2. Everything that a record refers to exists and was verified before the record is created.
3. Only "not found" means absent. A reader treats every other error as an error, never as an empty answer.
4. The reply to a create can be lost. After "exists", the record is read: if it is the publisher's own, it succeeded.
5. The index is derived. Releases missing from it are read from their records; a stale index never causes an error.
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
from orbitpkg.escaping import shell_word
from orbitpkg.model.names import is_valid_name, nearest
from orbitpkg.model.release import MAX_RECORD_BYTES, Release, parse_release
from orbitpkg.model.versions import Version, next_free, parse_version
from orbitpkg.repository.configuration import MAX_CONFIG_BYTES, RepositoryConfig, parse_config
from orbitpkg.repository.index import MAX_INDEX_BYTES, Index, newest, parse_index
from orbitpkg.repository.layout import (
    CONFIG_KEY,
    RELEASES,
    index_key,
    is_archive_key,
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
    from orbitpkg.repository.known import KnownReleases

__all__ = ["RemoteArchive", "Repository", "RepositoryConfig"]


@dataclass(frozen=True, slots=True)
class RemoteArchive:
    """The archive of a release in a repository, as a source of bytes."""

    objects: ObjectStore
    key: str

    def stream(self, start: int, length: int) -> Iterator[memoryview]:
        """Read exactly ``length`` bytes from byte ``start`` on, in pieces.

        Raises:
            RepositoryError: The bytes cannot be read.
        """
        return self.objects.stream(self.key, start, length)


class Repository:
    """The releases in one object store. Safe to use from several threads.

    Args:
        objects: The store.
        known: The releases of this repository that this machine knows; None to accept any.
        is_default: Whether it is the default repository, which the user did not configure.
    """

    def __init__(self, objects: ObjectStore, *, known: KnownReleases | None = None, is_default: bool = False) -> None:
        self.objects = objects
        self.known = known
        self._is_default = is_default

    @property
    def url(self) -> str:
        """The address of the repository, without credentials."""
        return self.objects.url

    @property
    def outage(self) -> RepositoryUnreachable | None:
        """Why mirrors answer instead of this repository; None while it answers itself, or without mirrors."""
        return self.objects.outage if isinstance(self.objects, MirroredStore) else None

    def unreachable_error(self, what: str) -> RepositoryUnreachable:
        """Make the error for an object that no mirror has, while the repository itself does not respond."""
        outage = self.outage
        return RepositoryUnreachable(
            f"{self.url} does not respond, and none of its mirrors has {what}.",
            hint=outage.hint if outage is not None else None,
            url=self.url,
        )

    def config(self) -> RepositoryConfig:
        """Read the repository's configuration.

        Raises:
            RepositoryNotFound: The address has no repository.
            IntegrityError: The configuration is damaged or has a newer format.
        """
        try:
            data, _ = self.objects.get(CONFIG_KEY, max_bytes=MAX_CONFIG_BYTES)
        except ObjectNotFound as error:
            if self._is_default:
                raise RepositoryNotFound(
                    f"The default repository {self.url} does not exist.",
                    hint="Set ORBITPKG_REPOSITORY or pass --repository.",
                ) from error
            raise RepositoryNotFound(
                f"There is no repository at {self.url}.",
                hint=f"Check the address. To create a repository: orbitpkg repo init {shell_word(self.url)}",
            ) from error
        return parse_config(data, where=self.url)

    def init(self) -> tuple[RepositoryConfig, ProbeReport | None]:
        """Create the repository if it does not exist.

        Returns:
            Its configuration, and what the store can do; the latter is None if the repository existed.

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
            raise RepositoryError(f"The repository {self.url} cannot be created. {detail}")
        config = RepositoryConfig(
            id=uuid.uuid4().hex,
            create_only=bool(report.works(Check.CREATE_ONLY)),
            part_copies=bool(report.works(Check.PART_COPIES)),
        )
        try:
            self.objects.create(CONFIG_KEY, config.to_json())
        # Another process created the repository at the same time. Both use its configuration.
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
        """List the versions of a package, oldest first.

        Raises:
            RepositoryError: The store did not respond.
        """
        try:
            infos = list(self.objects.list(releases_prefix(name)))
        except (UnsupportedByStore, AccessDenied) as error:
            # A web server has no listing, and a bucket may forbid it.
            index = self.index(name)
            if index is None and isinstance(error, AccessDenied):
                raise
            return sorted(index.releases) if index else []
        return sorted(filter(None, (_version(version_of_record(info.key, name)) for info in infos)))

    def index(self, name: str) -> Index | None:
        """Read the index of a package; or return None.

        Raises:
            IntegrityError: It is damaged.
        """
        try:
            data, _ = self.objects.get(index_key(name), max_bytes=MAX_INDEX_BYTES)
        except ObjectNotFound:
            return None
        return parse_index(data, name=name)

    def indexes(self, name: str) -> list[Index]:
        """Read the index of a package; if this repository does not respond, read it from each mirror.

        Raises:
            IntegrityError: One is damaged.
        """
        if isinstance(self.objects, MirroredStore):
            found = self.objects.get_each(index_key(name), max_bytes=MAX_INDEX_BYTES)
            return [parse_index(data, name=name) for data in found]
        index = self.index(name)
        return [] if index is None else [index]

    def summary(self, name: str) -> Index:
        """Return the index of a package; if it is missing or damaged, one with only the newest release."""
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
            version: The version.

        Raises:
            PackageNotFound: The repository has no package of this name; the hint names similar ones.
            VersionNotFound: The repository does not have this version; the message names those it has.
            IntegrityError: The record is damaged.
        """
        release = self.find_release(name, version)
        if release is None:
            raise self.not_found_error(name, f"{name}=={version}", self.versions(name))
        return release

    def find_release(self, name: str, version: Version) -> Release | None:
        """Read the record of a release; return None if it does not exist.

        Raises:
            RepositoryUnreachable: No mirror has it, and the repository itself does not respond.
            IntegrityError: The record is damaged.
        """
        try:
            raw, _ = self.objects.get(record_key(name, version), max_bytes=MAX_RECORD_BYTES)
        except ObjectNotFound:
            if self.outage is not None:
                raise self.unreachable_error(f"{name} {version}") from self.outage
            return None
        release = parse_release(raw, name=name, version=version)
        if not is_archive_key(release.archive.key, name, version):
            raise IntegrityError(f"The record of {release.label} has an invalid archive key: {release.archive.key!r}.")
        if archive_size(release.contents) != release.archive.size:
            raise IntegrityError(f"The record of {release.label} places its contents outside its archive.")
        self._check_known(release)
        return release

    def _check_known(self, release: Release) -> None:
        if self.known is None:
            return
        self.known.check(release)
        # What a mirror reports is not remembered: it must not bind the repository itself.
        if self.outage is None:
            self.known.remember(release)

    def not_found_error(self, name: str, wanted: str, versions: list[Version]) -> PackageNotFound | VersionNotFound:
        """Make the error for a requirement that no release satisfies; it names the existing versions."""
        if versions:
            existing = ", ".join(map(str, versions[-20:]))
            more = f" and {len(versions) - 20} older" if len(versions) > 20 else ""  # noqa: PLR2004
            return VersionNotFound(
                f"No release of {name} in {self.url} satisfies {wanted}. Available versions: {existing}{more}.",
                hint="To select a pre-release, add --pre or name its version." if _only_pre(versions) else None,
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
            else f"To list the packages: orbitpkg search -r {shell_word(self.url)}",
            name=name,
            nearest=close,
        )

    def contents(self, release: Release, *, archive: bytes | None = None) -> tuple[bytes, Contents]:
        """Read the contents of a release.

        Args:
            release: The release.
            archive: Its whole archive, if it was read already.

        Returns:
            The contents as they are stored, and parsed.

        Raises:
            IntegrityError: They do not match the record, or the archive is missing.
        """
        place = release.contents
        if archive is None:
            with _report_missing_archive(release, self.url):
                compressed = bytes(self.objects.get_range(release.archive.key, place.offset, place.length))
        else:
            compressed = archive[place.offset : place.offset + place.length]
        contents = unpack_contents(compressed, place, where=f"{release.label} in {self.url}")
        totals = release.archive
        if (totals.files, totals.bytes) != (len(contents.files), contents.total_size):
            raise ArchiveError(f"The record of {release.label} does not match the files in its archive.")
        return compressed, contents

    def whole_archive(self, release: Release) -> bytes:
        """Read a small archive of a release into memory.

        Raises:
            IntegrityError: It is missing, or its size differs from that in the record.
        """
        # An archive never changes, so more bytes than the record gives are not read.
        size = release.archive.size
        with _report_missing_archive(release, self.url):
            data, _ = self.objects.get(release.archive.key, max_bytes=size)
        if len(data) != size:
            raise IntegrityError(
                f"The archive of {release.label} in {self.url} has {len(data):,} bytes instead of the {size:,} in its "
                "record."
            )
        return data

    def archive(self, release: Release) -> RemoteArchive:
        """Return the archive of a release as a source of bytes."""
        return RemoteArchive(self.objects, release.archive.key)

    def commit(self, release: Release) -> Release:
        """Make a release visible by creating its record. Its archive exists and was verified.

        Returns:
            The published release: this one, or an identical one that existed.

        Raises:
            ReleaseExists: The version is already published with another record.
            RepositoryError: The store did not accept the record, or did not report whether it did.
        """
        key = record_key(release.key, release.version)
        try:
            self.objects.create(key, release.raw)
        except ObjectExists:
            pass
        except RepositoryError as error:
            # The request may have succeeded, and only its reply been lost.
            if not self._is_mine(release, error):
                raise
            return self._remember(release)
        else:
            return self._remember(release)
        existing = self.find_release(release.key, release.version)
        if existing is None:
            raise RepositoryError(
                f"{self.url} reports that {release.label} is already published, but has no record of it.",
                hint="Nothing was published. Run the same command again.",
            )
        if existing.raw == release.raw:
            return release
        raise self.exists_error(release.name, release.key, release.version)

    def _remember(self, release: Release) -> Release:
        if self.known is not None:
            self.known.remember(release)
        return release

    def _is_mine(self, release: Release, cause: RepositoryError) -> bool:
        try:
            existing = self.find_release(release.key, release.version)
        except RepositoryError:
            raise RepositoryError(
                f"{release.label} may or may not have been published: {cause.message}",
                hint="Run the same command again: it checks, and publishes the release if necessary.",
            ) from cause
        return existing is not None and existing.raw == release.raw

    def exists_error(self, name: str, key: str, version: Version) -> ReleaseExists:
        """Make the error for a version that is already published; it names the next free version."""
        free = next_free(version, self.versions(key))
        return ReleaseExists(
            f"{name} {version} is already published in {self.url}, with different content.",
            hint=f"A published version never changes. Set the next free version in package.json: {free}",
            name=name,
            version=str(version),
            next_free=str(free),
        )

    def status(self, name: str, version: Version) -> Status | None:
        """Read the status of a release; return None if none was set.

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
def _report_missing_archive(release: Release, url: str) -> Iterator[None]:
    try:
        yield
    except ObjectNotFound as error:
        raise IntegrityError(
            f"The archive of {release.label} is missing from {url}: {release.archive.key}.",
            hint="Ask the repository's owner to restore it, or install another version.",
        ) from error


def _only_pre(versions: list[Version]) -> bool:
    return all(version.is_prerelease for version in versions)


def _version(text: str | None) -> Version | None:
    # Other tools may leave objects between the records.
    try:
        return parse_version(text) if text else None
    except UsageError:
        return None
