"""The releases of the packages in a repository, found with as few requests as is safe.

A package with few versions is listed before its index is read: the listing is authoritative, and the index saves
reading each record. For a package whose listing would take several requests, only the markers of unfinished changes are
listed (:mod:`orbitpkg.repository.indexing` explains why that suffices); if there is one, everything is listed. An index
is transferred only if it changed since it was cached.

Where an index and a record differ, the record is right, and the difference is reported.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from typing import TYPE_CHECKING

from orbitpkg.errors import AccessDenied, IntegrityError, ObjectNotFound, OfflineError, UnsupportedByStore
from orbitpkg.model.release import parse_release
from orbitpkg.repository.cache import KeptIndex
from orbitpkg.repository.index import MAX_INDEX_BYTES, Index, IndexEntry, NewerIndexError, parse_index
from orbitpkg.repository.indexing import differing, has_markers, list_package, read_statuses
from orbitpkg.repository.layout import index_key
from orbitpkg.repository.status import State

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version
    from orbitpkg.repository.cache import Cache
    from orbitpkg.repository.repository import Repository
    from orbitpkg.repository.status import Status

__all__ = ["Catalogue", "Stock"]

# S3 lists a thousand keys at a time (API Reference, ListObjectsV2); markers are among them.
_ONE_PAGE = 990
# A publisher that stopped between two steps leaves one such release. More are a damaged index.
_MOST_MISSING = 16
_MOST_DIFFERENCES = 100


class Stock:
    """The releases of one package.

    Attributes:
        versions: The versions that have a record, oldest first.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        name: str,
        index: Index,
        *,
        versions: frozenset[Version] | None = None,
        statuses: Mapping[Version, Status] | None = None,
    ) -> None:
        self._catalogue = catalogue
        self._name = name
        self._entries = dict(index.releases)
        self._statuses = statuses
        existing = self._entries.keys() if versions is None else versions
        self.versions = sorted(existing)
        self._existing = set(existing)

    def entry(self, version: Version) -> IndexEntry | None:
        """Return the facts about a version, from its record if it is missing from the index; None if unknown."""
        if version not in self._existing:
            return None
        if version not in self._entries:
            release = self._catalogue.repository.find_release(self._name, version)
            if release is None:
                self.drop(version)
                return None
            self._catalogue.keep(release)
            entry = IndexEntry.of(release)
            if self._statuses is None:
                entry = entry.with_status(self._catalogue.repository.status(self._name, version))
            self._entries[version] = entry
        entry = self._entries[version]
        return entry if self._statuses is None else entry.with_status(self._statuses.get(version))

    def known(self, version: Version) -> IndexEntry | None:
        """Return the facts about a version if they are known already, without a request."""
        return self._entries.get(version)

    def correct(self, version: Version, entry: IndexEntry) -> None:
        """Replace the facts from the index with those from a record."""
        self._entries[version] = entry

    def drop(self, version: Version) -> None:
        """Remove a version that has no record."""
        self._entries.pop(version, None)
        if version in self._existing:
            self._existing.remove(version)
            at = bisect_left(self.versions, version)
            self.versions = self.versions[:at] + self.versions[at + 1 :]

    def retain(self, versions: frozenset[Version]) -> None:
        """Remove all versions that are not among these."""
        self._existing &= versions
        self._entries = {version: entry for version, entry in self._entries.items() if version in versions}
        self.versions = sorted(self._existing)


class Catalogue:
    """The releases in one repository, as they were when first queried.

    Several threads may use it at once, each for other packages.

    Args:
        repository: The repository.
        cache: The cache of this machine; None caches nothing.
        mirrored: Whether a mirror may answer. Then a record with another digest than in the index is refused, because
            either of the two can be wrong.
        one_page: The maximum number of versions of a package that is always listed.

    Attributes:
        differences: Differences found between indexes and records, one sentence each.
        corrections: The number of records that differed from the facts used before they were read.
    """

    def __init__(
        self, repository: Repository, cache: Cache | None, *, mirrored: bool = False, one_page: int = _ONE_PAGE
    ) -> None:
        self.repository = repository
        self.differences: list[str] = []
        self.corrections = 0
        self._mirrored = mirrored
        self._one_page = one_page
        self._cache = cache
        self._exists = False
        self._stocks: dict[str, Stock] = {}
        # By package and version, the known digest and that of a mirror.
        self._conflicts: dict[tuple[str, Version], tuple[str, str]] = {}
        self._missing: dict[str, int] = {}
        self._releases: dict[tuple[str, Version], Release] = {}

    def stock(self, name: str) -> Stock:
        """Return the releases of a package, by canonical name, that existed at the first call or later.

        Raises:
            OfflineError: Offline mode is on, and nothing about this package is cached.
            RepositoryError: The repository did not respond, and no mirror has the package.
            IntegrityError: There is only a damaged index.
        """
        # One answer per command, so that all decisions of a resolution are based on the same releases.
        if name not in self._stocks:
            before = self.repository.outage
            stock = self._look(name)
            if before is not self.repository.outage:
                # A store without listings refuses without a request, so its outage was noticed only now.
                stock = self._look(name)
            if not stock.versions and self.repository.outage is not None:
                raise self.repository.unreachable_error(name) from self.repository.outage
            self._stocks[name] = stock
        return self._stocks[name]

    def seen(self, name: str) -> Stock | None:
        """Return the result of an earlier :meth:`stock`, or None."""
        return self._stocks.get(name)

    def _look(self, name: str) -> Stock:
        kept = self._cache.index(self.repository.url, name) if self._cache else None
        known = self._parse_kept(kept, name)
        listed = None
        try:
            # Listing this package would take several requests, and listing its markers takes one.
            if known is not None and len(known.releases) > self._one_page:
                listed = list_package(self.repository, name) if has_markers(self.repository, name) else None
                must_list = False
            else:
                listed, must_list = list_package(self.repository, name), True
        except OfflineError as error:
            if known is None:
                raise _not_kept(error, name, self.repository.url) from error
            return Stock(self, name, known)
        except (UnsupportedByStore, AccessDenied) as error:
            return self._unlisted(name, kept if known else None, known, error)
        index = self._index_or_none(name, kept if known else None, known)
        if index is None and not must_list and listed is None:
            listed = list_package(self.repository, name)
        if listed is None:
            assert index is not None
            return Stock(self, name, index)
        statuses = read_statuses(self.repository, name) if listed.markers else None
        index = index or Index(name=name)
        if not listed.markers:
            self._tell_lag(index, listed.versions, name)
        return Stock(self, name, index, versions=listed.versions, statuses=statuses)

    def _parse_kept(self, kept: KeptIndex | None, name: str) -> Index | None:
        if kept is None:
            return None
        # A damaged cache must not stop a command: the index is read again.
        try:
            return parse_index(kept.data, name=name)
        except IntegrityError:
            return None

    def _unlisted(
        self, name: str, kept: KeptIndex | None, known: Index | None, error: UnsupportedByStore | AccessDenied
    ) -> Stock:
        """Use the index alone: a web server has no listing, and a bucket may forbid it."""
        index = self._index(name, kept, known)
        if index is None and isinstance(error, AccessDenied):
            raise error
        return Stock(self, name, index or Index(name=name))

    def _index_or_none(self, name: str, kept: KeptIndex | None, known: Index | None) -> Index | None:
        try:
            return self._index(name, kept, known)
        except NewerIndexError as error:
            self.differences.append(f"{error.message} Its records are read instead. {error.hint}")
            return None
        except IntegrityError as error:
            self._differ(name, error.message)
            return None

    def _index(self, name: str, kept: KeptIndex | None, known: Index | None) -> Index | None:
        """Return the index, transferring it only if it changed since it was cached; None without one."""
        objects, key, url = self.repository.objects, index_key(name), self.repository.url
        try:
            if kept is None:
                data, info = objects.get(key, max_bytes=MAX_INDEX_BYTES)
            else:
                answer = objects.get_if_changed(key, etag=kept.etag, max_bytes=MAX_INDEX_BYTES)
                if answer is None:
                    return known
                data, info = answer
        except ObjectNotFound:
            if self.repository.outage is not None:
                return known
            if self._cache:
                self._cache.forget_index(url, name)
            return None
        index = parse_index(data, name=name)
        if self.repository.outage is not None:
            # A mirror may be outdated, so the entries of all mirrors and of the cache are merged, and not cached.
            others = self.repository.indexes(name)
            entries = {version: entry for other in reversed(others) for version, entry in other.releases.items()}
            return index.with_entries(self._bound(name, entries, known))
        # Without an ETag, a cached index could not be checked for changes.
        if self._cache and info.etag:
            self._cache.keep_index(url, name, KeptIndex(etag=info.etag, data=data))
        return index

    def _bound(self, name: str, entries: dict[Version, IndexEntry], known: Index | None) -> dict[Version, IndexEntry]:
        """Add the entries that the repository sent itself; they bind the mirrors, except for what is yanked by now."""
        for version, entry in (known.releases if known is not None else {}).items():
            other = entries.setdefault(version, entry)
            if other.digest != entry.digest:
                self._conflicts[name, version] = (entry.digest, other.digest)
                entries[version] = entry
        return entries

    def _tell_lag(self, index: Index, versions: frozenset[Version], name: str) -> None:
        lacking = sorted(versions - index.releases.keys())
        extra = sorted(index.releases.keys() - versions)
        if lacking and index.releases:
            self._differ(name, f"The index of {name} lacks {', '.join(map(str, lacking[-5:]))}.")
        if extra:
            self._differ(name, f"The index of {name} lists {', '.join(map(str, extra[-5:]))}, which has no record.")

    def _differ(self, name: str, message: str) -> None:
        line = f"{message} The records of {self.repository.url} were used; repair it: orbitpkg repo reindex {name}"
        if len(self.differences) < _MOST_DIFFERENCES and line not in self.differences:
            self.differences.append(line)

    def release(self, name: str, version: Version) -> Release | None:
        """Read the record of a release; return None if it does not exist.

        Differences from the index are reported and corrected.

        Raises:
            OfflineError: Offline mode is on, and the record is not cached.
            IntegrityError: The record is damaged.
        """
        if (name, version) not in self._releases:
            stock = self._stocks.get(name)
            entry = stock.known(version) if stock else None
            self._refuse_conflict(name, version, entry)
            release = self._kept(name, version, entry.digest) if entry and entry.digest else None
            release = release or self.repository.find_release(name, version)
            if release is None:
                if stock is not None and entry is not None:
                    self._correct_missing(stock, name, version)
                return None
            self.keep(release)
            if stock is not None and entry is not None:
                self._compare(stock, release, entry)
            self._releases[name, version] = release
        return self._releases[name, version]

    def _correct_missing(self, stock: Stock, name: str, version: Version) -> None:
        """Remove a version whose record does not exist, and all others of its kind if they can be listed.

        Raises:
            IntegrityError: Too many versions in the index have no record.
        """
        self._differ(name, f"The index of {name} lists {version}, which has no record.")
        self.corrections += 1
        try:
            stock.retain(list_package(self.repository, name).versions - {version})
        except (UnsupportedByStore, AccessDenied):
            stock.drop(version)
        self._missing[name] = self._missing.get(name, 0) + 1
        # Each missing record costs a request and another run of the resolver.
        if self._missing[name] >= _MOST_MISSING:
            raise IntegrityError(
                f"The index of {name} in {self.repository.url} lists at least {_MOST_MISSING} releases without a "
                "record.",
                hint=f"Ask the repository's owner to rebuild it: orbitpkg repo reindex {name}",
                name=name,
            )

    def _refuse_conflict(self, name: str, version: Version, entry: IndexEntry | None) -> None:
        """Raise an error if a mirror reports a release with another digest than this machine knows."""
        expected, found = self._conflicts.get((name, version), (None, None))
        known = self.repository.known
        if expected is None and known is not None and self.repository.outage is not None and entry is not None:
            expected, found = known.digest(name, version), entry.digest
        if expected and found and expected != found:
            raise IntegrityError(
                f"A mirror of {self.repository.url} reports {name} {version} with the digest {found}, but this machine "
                f"knows it with the digest {expected}.",
                hint="Published releases never change. Do not use this mirror until you know why it differs.",
                name=name,
                version=str(version),
                expected=expected,
                found=found,
            )

    def check_exists(self) -> None:
        """Make sure that there is a repository, so that a package it lacks is known to be absent. Asked only once.

        Raises:
            RepositoryNotFound: There is none: the address is wrong, or a share is not mounted.
        """
        if not self._exists:
            # Offline, what is cached of the repository shows that there was one.
            with contextlib.suppress(OfflineError):
                self.repository.config()
            self._exists = True

    def release_of(self, name: str, version: Version, digest: str) -> Release | None:
        """Read the record with this digest, from the cache if possible; return None if the release does not exist.

        Raises:
            IntegrityError: The repository's record has another digest.
            OfflineError: Offline mode is on, and the record is not cached.
        """
        release = self._kept(name, version, digest) or self.repository.find_release(name, version)
        if release is None:
            return None
        if release.digest != digest:
            raise IntegrityError(
                f"{release.label} in {self.repository.url} differs from the locked release: its digest is "
                f"{release.digest}, and {digest} is expected.",
                hint="Published releases never change: find out who replaced it before you lock it again.",
                name=name,
                version=str(version),
                expected=digest,
                found=release.digest,
            )
        self.keep(release)
        self._releases[name, version] = release
        return release

    def keep(self, release: Release) -> None:
        """Cache a record on this machine."""
        if self._cache and self._cache.record(release.digest) is None:
            self._cache.keep_record(release.digest, release.raw)

    def _kept(self, name: str, version: Version, digest: str) -> Release | None:
        raw = self._cache.record(digest) if self._cache else None
        if raw is None:
            return None
        try:
            return parse_release(raw, name=name, version=version)
        except IntegrityError:
            return None

    def _compare(self, stock: Stock, release: Release, entry: IndexEntry) -> None:
        """Compare the facts in the index about a release with its record."""
        right = IndexEntry.of(release)
        if not entry.digest:
            # In some repositories of plug-ins, a record is created when it is first read.
            stock.correct(release.version, entry.corrected(right))
            return
        state = {"yanked": entry.yanked, "deprecated": entry.deprecated}
        fields = [field for field in differing(entry, right) if field not in state]
        if not fields:
            return
        if self._mirrored and "digest" in fields:
            raise IntegrityError(
                f"{release.label} in {self.repository.url} or a mirror differs from the release in the index.",
                hint="One of them is out of date or altered. To find out which, omit the mirrors.",
                expected=entry.digest,
                found=release.digest,
            )
        self._differ(release.key, f"The index of {release.key} is wrong about {release.label}: {', '.join(fields)}.")
        self.corrections += 1
        stock.correct(release.version, entry.corrected(right))

    def status(self, name: str, version: Version) -> Status | None:
        """Read the status of a release, for warnings only; return None if none was set or it cannot be read.

        Without permission to list, the answer of S3 for a status that was never set is "access denied".
        """
        try:
            status = self.repository.status(name, version)
        except (AccessDenied, OfflineError):
            return None
        return status if status is not None and status.state is not State.AVAILABLE else None


def _not_kept(error: OfflineError, name: str, url: str) -> OfflineError:
    return OfflineError(
        f"{name} from {url} is not cached on this machine, and cannot be read in offline mode.",
        hint=error.hint,
        url=url,
        name=name,
    )
