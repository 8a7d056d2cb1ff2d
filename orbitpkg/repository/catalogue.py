"""What a repository has of a package, with as few requests as the truth allows.

A package of a few versions is listed, and its index read after: the list is the truth, the index saves reading each
record. Of a package whose list would take several requests only the markers of unfinished changes are listed
(:mod:`orbitpkg.repository.indexing` says why that is enough); when there is one, all is listed. An index is asked for
only if it changed since it was kept.

Where an index and a record differ, the record is right, and the difference is told.
"""

from __future__ import annotations

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


class Stock:
    """What there is of one package.

    Attributes:
        versions: Those that have a record, oldest first.
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
        there = self._entries.keys() if versions is None else versions
        self.versions = sorted(there)
        self._there = set(there)

    def entry(self, version: Version) -> IndexEntry | None:
        """Say what is known of a version; one that the index lacks is read. None when there is no such version."""
        if version not in self._there:
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
        """Say what is known of a version already; nothing is read."""
        return self._entries.get(version)

    def correct(self, version: Version, entry: IndexEntry) -> None:
        """Take what a record says for what the index said."""
        self._entries[version] = entry

    def drop(self, version: Version) -> None:
        """Have a version be none: it has no record."""
        self._entries.pop(version, None)
        self._there.discard(version)
        self.versions = sorted(self._there)


class Catalogue:
    """What one repository has, as it was when first asked. Several threads may ask, each for packages of its own.

    Args:
        repository: The repository.
        cache: What this machine keeps of it; None keeps nothing.
        mirrored: Whether a mirror may be the one who answers. Then a record that is not the one the index tells of
            is refused: which of the two is right cannot be told.
        one_page: Up to how many versions a package is listed each time.

    Attributes:
        differences: Where its indexes were found to differ from its records, a sentence each.
        corrections: How often a record was found not to be what was said of it before it was read.
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
        self._stocks: dict[str, Stock] = {}
        self._releases: dict[tuple[str, Version], Release] = {}

    def stock(self, name: str) -> Stock:
        """Say what there is of a package, by its canonical name; never less than there was when this was called first.

        Raises:
            OfflineError: The repository may not be asked, and nothing is kept of this package.
            RepositoryError: The repository did not say; nor is a mirror that has nothing of it taken at its word.
            IntegrityError: There is nothing but a damaged index.
        """
        if name not in self._stocks:
            before = self.repository.silence
            stock = self._look(name)
            if before is not self.repository.silence:
                # Who has no listing says so without being asked. Now its mirrors are.
                stock = self._look(name)
            if not stock.versions and self.repository.silence is not None:
                raise self.repository.unknown(name) from self.repository.silence
            self._stocks[name] = stock
        return self._stocks[name]

    def seen(self, name: str) -> Stock | None:
        """Give what :meth:`stock` gave before; None when it was not asked."""
        return self._stocks.get(name)

    def _look(self, name: str) -> Stock:
        kept = self._cache.index(self.repository.url, name) if self._cache else None
        known = self._understood(kept, name)
        listed = None
        try:
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

    def _understood(self, kept: KeptIndex | None, name: str) -> Index | None:
        if kept is None:
            return None
        try:
            return parse_index(kept.data, name=name)
        except IntegrityError:
            return None

    def _unlisted(
        self, name: str, kept: KeptIndex | None, known: Index | None, error: UnsupportedByStore | AccessDenied
    ) -> Stock:
        """A web server has no listing, and some readers of a bucket may not list it: the index tells alone."""
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
        """Read the index, if it is not the one that is kept; None when there is none."""
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
            if self.repository.silence is not None:
                return known
            if self._cache:
                self._cache.forget_index(url, name)
            return None
        index = parse_index(data, name=name)
        if self.repository.silence is not None:
            # A mirror may be late: what another has, or was known before, is known; and nothing is written over.
            others = [*self.repository.indexes(name), *([known] if known is not None else [])]
            entries = {version: entry for other in reversed(others) for version, entry in other.releases.items()}
            return index.with_entries(entries)
        if self._cache and info.etag:
            self._cache.keep_index(url, name, KeptIndex(etag=info.etag, data=data))
        return index

    def _tell_lag(self, index: Index, versions: frozenset[Version], name: str) -> None:
        lacking = sorted(versions - index.releases.keys())
        extra = sorted(index.releases.keys() - versions)
        if lacking and index.releases:
            self._differ(name, f"The index of {name} lacks {', '.join(map(str, lacking[-5:]))}.")
        if extra:
            self._differ(name, f"The index of {name} tells of {', '.join(map(str, extra[-5:]))}, which has no record.")

    def _differ(self, name: str, message: str) -> None:
        said = f"{message} The records of {self.repository.url} are right; mend it: orbitpkg repo reindex {name}"
        if said not in self.differences:
            self.differences.append(said)

    def release(self, name: str, version: Version) -> Release | None:
        """Read the record of a release; None when there is none.

        Where what its index says is not so, that is told and corrected.

        Raises:
            OfflineError: The repository may not be asked, and the record is not kept.
            IntegrityError: The record is damaged.
        """
        if (name, version) not in self._releases:
            stock = self._stocks.get(name)
            entry = stock.known(version) if stock else None
            release = self._kept(name, version, entry.digest) if entry and entry.digest else None
            release = release or self.repository.find_release(name, version)
            if release is None:
                if stock is not None and entry is not None:
                    self._differ(name, f"The index of {name} tells of {version}, which has no record.")
                    stock.drop(version)
                    self.corrections += 1
                return None
            self.keep(release)
            if stock is not None and entry is not None:
                self._hold(stock, release, entry)
            self._releases[name, version] = release
        return self._releases[name, version]

    def release_of(self, name: str, version: Version, digest: str) -> Release | None:
        """Read the record of a release that has this digest, without asking anybody if it is kept; None without one.

        Raises:
            IntegrityError: The repository's record has another digest.
            OfflineError: The repository may not be asked, and the record is not kept.
        """
        release = self._kept(name, version, digest) or self.repository.find_release(name, version)
        if release is None:
            return None
        if release.digest != digest:
            raise IntegrityError(
                f"{release} in {self.repository.url} is not the one that is locked: its digest is {release.digest}, "
                f"and {digest} is expected.",
                hint="Published releases never change: find out who replaced it before you lock it anew.",
                name=name,
                version=str(version),
                expected=digest,
                found=release.digest,
            )
        self.keep(release)
        self._releases[name, version] = release
        return release

    def keep(self, release: Release) -> None:
        """Keep a record on this machine."""
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

    def _hold(self, stock: Stock, release: Release, entry: IndexEntry) -> None:
        """Hold what the index says of a release against its record."""
        told = IndexEntry.of(release)
        if not entry.digest:
            # A repository whose records are made when they are first asked for.
            stock.correct(release.version, entry.corrected(told))
            return
        state = {"yanked": entry.yanked, "deprecated": entry.deprecated}
        fields = [field for field in differing(entry, told) if field not in state]
        if not fields:
            return
        if self._mirrored and "digest" in fields:
            raise IntegrityError(
                f"{release} of {self.repository.url} and its mirrors is not the release that the index tells of.",
                hint="One of them is out of date, or altered: leave out the mirrors to see which.",
                expected=entry.digest,
                found=release.digest,
            )
        self._differ(release.key, f"The index of {release.key} is wrong about {release}: {', '.join(fields)}.")
        self.corrections += 1
        stock.correct(release.version, entry.corrected(told))

    def status(self, name: str, version: Version) -> Status | None:
        """Read what is thought of a release; None when nobody said, or it cannot be asked.

        For warnings only: who may not list a bucket gets "denied" for a status that nobody set.
        """
        try:
            status = self.repository.status(name, version)
        except (AccessDenied, OfflineError):
            return None
        return status if status is not None and status.state is not State.AVAILABLE else None


def _not_kept(error: OfflineError, name: str, url: str) -> OfflineError:
    return OfflineError(
        f"What there is of {name} in {url} is not known here, and offline mode is on.",
        hint=error.hint,
        url=url,
        name=name,
    )
