"""Give objects local paths: use the cache when it is current, and when the store is unreachable.

One request checks whether the cached state is still current. No request is made for a version, with ``fresh=False``, or
within ``max_age``. If a store is unreachable (no network, missing or expired credentials, a proxy, TLS), the cached
state is used, with one note for each store until it responds again. Every call tries the store again. After a slow
failure, it is skipped for three times as long as the failure took, at most 20 seconds.
"""

from __future__ import annotations

import contextlib
import copy
import re
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from orbitpkg.errors import (
    AccessDenied,
    CredentialsError,
    FileMissing,
    ObjectNotFound,
    OfflineError,
    OrbitError,
    RepositoryUnreachable,
    StorageError,
)
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.files.names import disk_path
from orbitpkg.objects import open_store
from orbitpkg.objects.addresses import join_uri, split_object_uri, split_uri
from orbitpkg.objects.identity import StoreIdentity, identify_store
from orbitpkg.objects.offline import OfflineStore
from orbitpkg.objects.timeouts import DEFAULT_TIMEOUTS, Timeouts
from orbitpkg.objects.transfer.files import download_object, follow_changes, upload_object
from orbitpkg.remote.cache import file_name
from orbitpkg.remote.local import LocalPath

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import timedelta

    from orbitpkg.objects.addresses import PathOrUri
    from orbitpkg.objects.protocol import ObjectInfo, ObjectStore
    from orbitpkg.objects.transfer.files import Uploaded
    from orbitpkg.remote.cache import Cache, Entry
    from orbitpkg.reporting import Reporter

__all__ = [
    "SHORT_TIMEOUTS",
    "Location",
    "Reading",
    "Session",
    "is_unreachable",
    "remove_folder",
    "with_hint",
    "without_user",
]

T = TypeVar("T")

SHORT_TIMEOUTS: Final = Timeouts(connect=3.0, silence=5.0, retry=3.0, retries=1)
"""The timeouts that apply when the cache can answer instead of the store."""

# A failure that took longer than this, in seconds, would slow down every call. So the cache answers for three times as
# long, at most 20 seconds.
_SLOW_FAILURE: Final = 1.0
_AVOIDED_FOR: Final = 3.0
_MAX_AVOIDED: Final = 20.0
_JOURNALLED_BYTES: Final = 64 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """The address of one object.

    Attributes:
        uri: Its URI, without a user or a password.
        store: The address of its store, as given.
        key: Its key in the store.
        origin: The identity of its store.
    """

    uri: str
    store: str
    key: str
    origin: StoreIdentity

    @property
    def name(self) -> str:
        """The name of a local file with the object's bytes."""
        return file_name(self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Which state of an object to read; see ``orbitpkg.remote.local_path``."""

    max_age: timedelta | float | None = None
    fresh: bool = True
    version: str | None = None
    verify: bool = False
    force: bool = False

    def accepts(self, entry: Entry) -> bool:
        """Return whether a cached state may be used without contacting the store."""
        if self.version is not None or not self.fresh:
            return True
        if self.max_age is None:
            return False
        seconds = self.max_age if isinstance(self.max_age, int | float) else self.max_age.total_seconds()
        # A clock that was set back leaves records from the future, whose age is unknown.
        return 0 <= time.time() - entry.checked <= seconds


@dataclass(slots=True)
class _Outage:
    """A store that does not respond: until when it is not contacted, and whether the user knows."""

    until: float = 0.0
    reported: bool = False


class Session:
    """Open stores, the cache and the state of connections. Thread-safe.

    Args:
        cache: The files read earlier.
        env: The environment from which stores take their settings.
        reporter: Receives notes and the progress of transfers.
        offline: Contact no store.
    """

    def __init__(self, cache: Cache, *, env: Mapping[str, str], reporter: Reporter, offline: bool = False) -> None:
        self.cache: Final = cache
        self.reporter = reporter
        self._env = env
        self.offline: Final = offline
        self._lock = threading.Lock()
        self._stores: dict[tuple[str, bool], ObjectStore] = {}
        self._outages: dict[str, _Outage] = {}
        self._identities: dict[str, StoreIdentity] = {}

    def with_reporter(self, reporter: Reporter) -> Session:
        """Return a session that shares the stores and the cache but has another reporter."""
        other = copy.copy(self)
        other.reporter = reporter
        return other

    def locate(self, uri: PathOrUri) -> Location:
        """Parse the URI of an object.

        Raises:
            UsageError: The URI is invalid.
        """
        return self._location(*split_object_uri(uri))

    def locate_listed(self, uri: PathOrUri) -> Location:
        """Parse the URI of an object that a listing reported, whose key may have any form.

        Raises:
            UsageError: The URI is invalid.
        """
        return self._location(*split_uri(uri))

    def _location(self, store: str, key: str) -> Location:
        if store not in self._identities:
            self._identities[store] = identify_store(store, self._env)
        origin = self._identities[store]
        return Location(uri=join_uri(without_user(store), key), store=store, key=key, origin=origin)

    def store(self, url: str, *, short_timeouts: bool = False) -> ObjectStore:
        """Return the open store of an address.

        Args:
            url: The address.
            short_timeouts: Use short timeouts, since the cache can answer instead.

        Raises:
            CredentialsError: The environment names credentials that cannot be obtained.
        """
        if self.offline:
            return OfflineStore(without_user(url))
        with self._lock:
            if (url, short_timeouts) not in self._stores:
                timeouts = SHORT_TIMEOUTS if short_timeouts else DEFAULT_TIMEOUTS
                self._stores[url, short_timeouts] = open_store(url, env=self._env, timeouts=timeouts)
            return self._stores[url, short_timeouts]

    def _drop_store(self, url: str) -> None:
        """Reopen a store at its next use, since the credentials or the proxy may have changed by then."""
        with self._lock:
            for short_timeouts in (True, False):
                self._stores.pop((url, short_timeouts), None)
            self._identities.pop(url, None)

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for store in self._stores.values():
                store.close()
            self._stores.clear()

    # Reading.

    def cached(self, uri: PathOrUri, etag: str | None, version: str | None) -> Path | None:
        """Return the cached file of one state of an object, or None if it is missing or was changed."""
        location = self.locate(uri)
        entries = self.cache.of(location.origin).entries(location.uri)
        found = next((each for each in entries if (each.etag, each.version) == (etag, version)), None)
        return self.cache.path(found) if found is not None and self.cache.intact(found) is not None else None

    def local_path(self, uri: PathOrUri, reading: Reading) -> LocalPath:
        """Return the path of a local file with an object's bytes; see ``orbitpkg.remote.local_path``."""
        location, version = self.locate(uri), reading.version
        cached = None if reading.force else self._find_cached(location, reading)
        if cached is not None and reading.accepts(cached):
            return self._use(cached)
        try:
            info = self._request(
                location, lambda store: store.head(location.key, version=version), short_timeouts=cached is not None
            )
            same = None if reading.force else self._find_state(location, info, verify=reading.verify)
            if same is None:
                return self._fetch(location, info, reading, short_timeouts=cached is not None)
        except OrbitError as error:
            return self._use(self._fall_back(location, error, cached or self._of_lost_account(location, reading)))
        # A read-only cache cannot record the check, but its file is current all the same.
        with contextlib.suppress(OSError):
            same = self._cache(location).confirm(same, info, is_current=version is None)
        return self._use(same)

    def _find_cached(self, location: Location, reading: Reading) -> Entry | None:
        return self._intact(self._newest_entry(location, reading.version), verify=reading.verify)

    def _newest_entry(self, location: Location, version: str | None) -> Entry | None:
        cache = self._cache(location)
        return cache.find_version(location.uri, version) if version else cache.current(location.uri)

    def _of_lost_account(self, location: Location, reading: Reading) -> Entry | None:
        """Return a cached state that credentials read which this process no longer has, for use without the store."""
        if location.origin.account is not None or reading.force:
            return None
        found = self._cache(location).entries_of_any_account(location.uri)
        if reading.version:
            mine = [entry for entry in found if entry.version == reading.version]
        else:
            mine = sorted((entry for entry in found if entry.checked > 0), key=lambda entry: entry.checked)
        return self._intact(mine[-1], verify=reading.verify) if mine else None

    def _cache(self, location: Location) -> Cache:
        return self.cache.of(location.origin)

    def _find_state(self, location: Location, info: ObjectInfo, *, verify: bool) -> Entry | None:
        return self._intact(self._cache(location).find(location.uri, info), verify=verify)

    def _intact(self, entry: Entry | None, *, verify: bool) -> Entry | None:
        if entry is None:
            return None
        intact = self.cache.intact(entry, verify=verify)
        if intact is None and (aside := self.cache.move_changed_copy(entry)) is not None:
            self.reporter.note(f"The cached copy of {entry.uri} was changed on this machine. It was moved to {aside}.")
        return intact

    def _use(self, entry: Entry) -> LocalPath:
        self.cache.mark_used(entry)
        return LocalPath(self.cache.path(entry))

    def _fetch(self, location: Location, info: ObjectInfo, reading: Reading, *, short_timeouts: bool) -> LocalPath:
        """Download an object into the cache, or into a temporary file when the cache cannot be written."""
        version, is_current = reading.version, reading.version is None
        cache = self._cache(location)
        with contextlib.ExitStack() as stack:
            try:
                folder = self.cache.temporary_folder()
                stack.enter_context(cache.download_lock(location.uri, waiting=lambda: self._report_wait(location)))
            except OSError as error:
                return self._fetch_uncached(location, info, version, error)
            # Another process may have downloaded it while this one waited.
            if not reading.force and (same := self._find_state(location, info, verify=False)) is not None:
                return self._use(cache.confirm(same, info, is_current=is_current))
            target = folder / _label(location, info)
            try:
                digest, info = self._download(location, info, version, target, short_timeouts=short_timeouts)
                entry = cache.keep(location.uri, info, target, digest, name=location.name, is_current=is_current)
                return self._use(entry)
            except (OSError, StorageError) as error:
                target.unlink(missing_ok=True)
                return self._fetch_uncached(location, info, version, error)

    def _report_wait(self, location: Location) -> None:
        self.reporter.note(f"Waiting for another process that is downloading {location.uri}")

    def _fetch_uncached(
        self, location: Location, info: ObjectInfo, version: str | None, reason: Exception
    ) -> LocalPath:
        why = reason.message if isinstance(reason, OrbitError) else _reason_of(reason)
        self.reporter.note(
            f"The cache cannot be written ({why.rstrip('.')}). {location.uri} is downloaded to a temporary file."
        )
        with storage_errors(self.cache.root, USER_FILE):
            folder = Path(tempfile.mkdtemp(prefix="orbitpkg-"))
        try:
            path = folder / disk_path(location.name)
            self._download(location, info, version, path)
        except BaseException:
            remove_folder(folder)
            raise
        return LocalPath.temporary(path)

    def _download(
        self, location: Location, info: ObjectInfo, version: str | None, target: Path, *, short_timeouts: bool = False
    ) -> tuple[str, ObjectInfo]:
        """Download an object, starting over when it changes during the download; return its digest and state."""

        def attempt(current: ObjectInfo) -> tuple[str, ObjectInfo]:
            with self.reporter.task(location.uri, current.size) as task:
                store = self.store(location.store, short_timeouts=short_timeouts)
                done = download_object(
                    store, location.key, target, info=current, version=version, progress=task.advance
                )
                return done.blake3, done.info

        return follow_changes(self.store(location.store), location.key, info, attempt, version=version)

    # Requests.

    def request(self, location: Location, work: Callable[[ObjectStore], T]) -> T:
        """Send a request to the store of an object.

        Raises:
            FileMissing: The object does not exist.
            RepositoryError: The store failed.
        """
        try:
            return self._request(location, work, short_timeouts=False)
        except OrbitError as error:
            raise self._explain(location, error) from None

    def send(
        self, location: Location, path: Path, *, metadata: Mapping[str, str] | None = None, create_only: bool = False
    ) -> Uploaded:
        """Upload a file as an object. An interrupted upload of a large file resumes the next time.

        Raises:
            FileMissing: The file or the bucket does not exist.
            ObjectExists: The object exists, and ``create_only`` is set.
            RepositoryError: The upload failed.
            StorageError: The file cannot be read.
        """
        with storage_errors(path, USER_FILE), contextlib.ExitStack() as stack:
            if not path.exists():
                raise FileMissing(f"{path} does not exist.", path=str(path))
            size = path.stat().st_size
            task = stack.enter_context(self.reporter.task(location.uri, size))
            journal = None
            if size >= _JOURNALLED_BYTES:
                journal = stack.enter_context(self._cache(location).journal(location.uri, metadata))

            def upload(store: ObjectStore) -> Uploaded:
                return upload_object(
                    store,
                    location.key,
                    path,
                    metadata=metadata,
                    create_only=create_only,
                    journal=journal,
                    progress=task.advance,
                )

            done = self.request(location, upload)
        self.forget(location)
        return done

    def forget(self, location: Location) -> None:
        """Drop the cached states of a changed object, which ``fresh=False`` would still return."""
        with contextlib.suppress(OSError):
            self._cache(location).forget(location.uri)

    def request_or_cached(
        self,
        location: Location,
        work: Callable[[ObjectStore], T],
        cached: Callable[[Entry], T],
        *,
        version: str | None = None,
    ) -> T:
        """Send a request, or answer from the cached state when the store is unreachable.

        Args:
            location: The object.
            work: Sends the request.
            cached: Answers from the cached state.
            version: The version that the request is about; the current state when None.

        Raises:
            FileMissing: The object does not exist.
            RepositoryError: The store is unreachable, and the object is not cached.
        """
        entry = self._newest_entry(location, version)
        try:
            return self._request(location, work, short_timeouts=entry is not None)
        except OrbitError as error:
            entry = entry or self._of_lost_account(location, Reading(version=version))
            return cached(self._fall_back(location, error, entry))

    def _request(self, location: Location, work: Callable[[ObjectStore], T], *, short_timeouts: bool) -> T:
        outage = self._outages.setdefault(location.store, _Outage())
        begin = time.monotonic()
        # Without a cached state there is no alternative to waiting for the store.
        if short_timeouts and begin < outage.until:
            raise RepositoryUnreachable(f"{without_user(location.store)} did not respond a moment ago.")
        try:
            answer = work(self.store(location.store, short_timeouts=short_timeouts))
        except OrbitError as error:
            if is_unreachable(error):
                self._drop_store(location.store)
                took = time.monotonic() - begin
                if took > _SLOW_FAILURE:
                    outage.until = begin + took + min(_MAX_AVOIDED, _AVOIDED_FOR * took)
            raise
        outage.until, outage.reported = 0.0, False
        return answer

    def _fall_back(self, location: Location, error: OrbitError, cached: Entry | None) -> Entry:
        """Return the cached state after a failure that allows it, noting so once for each outage; else raise."""
        if cached is None or not is_unreachable(error):
            raise self._explain(location, error) from None
        outage = self._outages.setdefault(location.store, _Outage())
        if not self.offline and not outage.reported:
            outage.reported = True
            when = time.strftime("%Y-%m-%d %H:%M", time.localtime(cached.checked))
            self.reporter.note(
                f"{without_user(location.store)} is unreachable ({error.message.rstrip('.')}). "
                f"Using the cached copy of {location.uri} from {when}."
            )
        return cached

    def _explain(self, location: Location, error: OrbitError) -> OrbitError:
        """Return an error that also tells what the cache holds."""
        if isinstance(error, ObjectNotFound):
            return FileMissing(error.message, hint=self._absence_hint(location), uri=location.uri)
        if is_unreachable(error) and not isinstance(error, OfflineError):
            return with_hint(error, f"{location.uri} is not cached, so a connection is required.", uri=location.uri)
        return error

    def _absence_hint(self, location: Location) -> str | None:
        entry = self._cache(location).current(location.uri)
        if entry is None or self.cache.intact(entry) is None:
            return None
        return f"An earlier state is cached: {self.cache.path(entry)} (open it with fresh=False)."


def _label(location: Location, info: ObjectInfo) -> str:
    import hashlib

    return hashlib.sha256(repr((str(location.origin), location.uri, info.etag, info.version)).encode()).hexdigest()[:32]


def _reason_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'its disk'}: {error.strerror}"
    return str(error)


def with_hint(error: OrbitError, hint: str, **data: object) -> OrbitError:
    """Return an error of the same kind with a hint before its own and with more data."""
    return type(error)(error.message, hint=" ".join(filter(None, (hint, error.hint))), **{**error.data, **data})


def is_unreachable(error: OrbitError) -> bool:
    """Return whether the store could not be reached, in which case an error tells nothing about the object."""
    if isinstance(error, AccessDenied):
        return bool(error.data.get("anonymous"))
    return isinstance(error, RepositoryUnreachable | CredentialsError | OfflineError)


def without_user(url: str) -> str:
    """Return an address without its user and password."""
    return re.sub(r"^([A-Za-z]+://)[^/]*@", r"\1", url)


def remove_folder(folder: Path) -> None:
    """Remove a directory and everything in it, ignoring errors."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
