"""Objects as local files: which store is asked, what is taken from the cache, and what happens without a network.

One request asks whether what is cached is still the object's state; none is made for a version, with ``fresh=False``,
or while ``max_age`` lasts. When a store cannot be asked (no network, no credentials or old ones, a proxy, TLS), what is
cached is used, and that is said once for each store until it answers again. Nothing is decided for later calls: each
asks anew, except that a store whose silence took long is left alone for some times that long.
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
    ObjectChanged,
    ObjectNotFound,
    OfflineError,
    OrbitError,
    RepositoryUnreachable,
    StorageError,
)
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.objects import open_store
from orbitpkg.objects.addresses import join_uri, split_object_uri
from orbitpkg.objects.offline import OfflineStore
from orbitpkg.objects.patience import DEFAULT_PATIENCE, Patience
from orbitpkg.objects.transfer.files import download_object, upload_object
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

__all__ = ["HASTY", "Place", "Session", "is_silence", "remove_folder", "retold", "without_user"]

T = TypeVar("T")

HASTY: Final = Patience(connect=3.0, silence=5.0, retry=3.0, retries=1)
"""How long a store is waited for when there is something to fall back on."""

# A silence that took longer than this, in seconds, is not asked for at each call: for three times as long, 20 s at
# most, what is cached is taken.
_LONG: Final = 1.0
_LEFT_ALONE: Final = 3.0
_LONGEST_LEFT_ALONE: Final = 20.0
_JOURNALLED_BYTES: Final = 64 << 20
_CHANGES: Final = 3
"""How often a download is begun anew when the object changes under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One object, and where it is.

    Attributes:
        uri: Its address, without a user or a password.
        store: The address of its store, as it was given.
        key: Its key there.
    """

    uri: str
    store: str
    key: str

    @property
    def name(self) -> str:
        """The name of a local file with its bytes."""
        return file_name(self.key)


@dataclass(slots=True)
class _Silence:
    until: float = 0.0
    told: bool = False


class Session:
    """What calls share: open stores, the cache, and what has been said. Safe to use from several threads.

    Args:
        cache: What was read before.
        env: Where stores take their settings from.
        reporter: Told of what the user should know, and of how far a transfer is.
        offline: Whether no store may be asked at all.
    """

    def __init__(self, cache: Cache, *, env: Mapping[str, str], reporter: Reporter, offline: bool = False) -> None:
        self.cache: Final = cache
        self.reporter = reporter
        self._env = env
        self.offline: Final = offline
        self._lock = threading.Lock()
        self._stores: dict[tuple[str, bool], ObjectStore] = {}
        self._silences: dict[str, _Silence] = {}

    def with_reporter(self, reporter: Reporter) -> Session:
        """Give this session, with its stores and all, for somebody else to be told."""
        made = copy.copy(self)
        made.reporter = reporter
        return made

    def place(self, uri: PathOrUri) -> Place:
        """Take the address of one object apart.

        Raises:
            UsageError: It is none.
        """
        store, key = split_object_uri(uri)
        return Place(uri=join_uri(without_user(store), key), store=store, key=key)

    def store(self, url: str, *, hasty: bool = False) -> ObjectStore:
        """Give the store of an address, open.

        Raises:
            CredentialsError: The environment names credentials that cannot be had.
        """
        if self.offline:
            return OfflineStore(without_user(url))
        with self._lock:
            if (url, hasty) not in self._stores:
                patience = HASTY if hasty else DEFAULT_PATIENCE
                self._stores[url, hasty] = open_store(url, env=self._env, patience=patience)
            return self._stores[url, hasty]

    def _reopen(self, url: str) -> None:
        """Have a store opened anew the next time: by then there may be other credentials, or another proxy."""
        with self._lock:
            for hasty in (True, False):
                self._stores.pop((url, hasty), None)

    def close(self) -> None:
        """Let go of all connections."""
        with self._lock:
            for store in self._stores.values():
                store.close()
            self._stores.clear()

    # Reading.

    def cached(self, uri: PathOrUri, etag: str | None, version: str | None) -> Path | None:
        """Give the cached file of a state of an object; None when it is not cached, or not as it was."""
        entries = self.cache.entries(self.place(uri).uri)
        found = next((each for each in entries if (each.etag, each.version) == (etag, version)), None)
        return self.cache.path(found) if found is not None and self.cache.intact(found) is not None else None

    def local_path(
        self,
        uri: PathOrUri,
        *,
        max_age: timedelta | float | None = None,
        fresh: bool = True,
        version: str | None = None,
        verify: bool = False,
        force: bool = False,
    ) -> LocalPath:
        """Give the path of a local file with an object's bytes; see ``orbitpkg.remote.local_path``."""
        place = self.place(uri)
        found = None if force else self._known(place, version=version, verify=verify)
        if found is not None and self._is_enough(found, max_age=max_age, fresh=fresh, version=version):
            return self._opened(found)
        try:
            info = self._ask(place, lambda store: store.head(place.key, version=version), hasty=found is not None)
        except OrbitError as error:
            if found is None or not is_silence(error):
                raise self._told(place, error) from error
            self._fall_back(place, error, found)
            return self._opened(found)
        same = None if force else self._same(place, info, verify=verify)
        if same is not None:
            with contextlib.suppress(OSError):
                same = self.cache.confirm(same, info, is_current=version is None)
            return self._opened(same)
        return self._fetched(place, info, version, found, force=force)

    def _known(self, place: Place, *, version: str | None, verify: bool) -> Entry | None:
        entry = self.cache.find_version(place.uri, version) if version else self.cache.current(place.uri)
        return self._intact(entry, verify=verify)

    def _same(self, place: Place, info: ObjectInfo, *, verify: bool) -> Entry | None:
        return self._intact(self.cache.find(place.uri, info), verify=verify)

    def _intact(self, entry: Entry | None, *, verify: bool) -> Entry | None:
        if entry is None:
            return None
        intact = self.cache.intact(entry, verify=verify)
        if intact is None and (aside := self.cache.set_aside(entry)) is not None:
            self.reporter.note(f"The cached copy of {entry.uri} was changed on this machine; it is now {aside}.")
        return intact

    @staticmethod
    def _is_enough(entry: Entry, *, max_age: timedelta | float | None, fresh: bool, version: str | None) -> bool:
        if version is not None or not fresh:
            return True
        if max_age is None:
            return False
        seconds = max_age if isinstance(max_age, int | float) else max_age.total_seconds()
        # A record of the future (a clock set back) is not trusted.
        return 0 <= time.time() - entry.checked <= seconds

    def _opened(self, entry: Entry) -> LocalPath:
        self.cache.mark_used(entry)
        return LocalPath(self.cache.path(entry))

    def _fetched(
        self, place: Place, info: ObjectInfo, version: str | None, known: Entry | None, *, force: bool
    ) -> LocalPath:
        try:
            return self._fetch(place, info, version, force=force, hasty=known is not None)
        except OrbitError as error:
            if known is None or not is_silence(error):
                raise self._told(place, error) from error
            self._fall_back(place, error, known)
            return self._opened(known)

    def _fetch(self, place: Place, info: ObjectInfo, version: str | None, *, force: bool, hasty: bool) -> LocalPath:
        """Read an object into the cache, or where the cache takes nothing, into a temporary file."""
        with contextlib.ExitStack() as stack:
            try:
                folder = self.cache.workplace()
                stack.enter_context(self.cache.turn(place.uri, waiting=lambda: self._wait(place)))
            except OSError as error:
                return self._streamed(place, info, version, error)
            # Whoever had the turn before may have read it.
            if not force and (same := self._same(place, info, verify=False)) is not None:
                return self._opened(self.cache.confirm(same, info, is_current=version is None))
            target = folder / f"{self._label(place, info)}"
            try:
                digest, info = self._download(place, info, version, target, hasty=hasty)
                is_current = version is None
                entry = self.cache.keep(place.uri, info, target, digest, name=place.name, is_current=is_current)
                return self._opened(entry)
            except (OSError, StorageError) as error:
                target.unlink(missing_ok=True)
                return self._streamed(place, info, version, error)

    def _wait(self, place: Place) -> None:
        self.reporter.note(f"Another process is reading {place.uri}: waiting for it.")

    @staticmethod
    def _label(place: Place, info: ObjectInfo) -> str:
        import hashlib

        return hashlib.sha256(repr((place.uri, info.etag, info.version)).encode()).hexdigest()[:32]

    def _streamed(self, place: Place, info: ObjectInfo, version: str | None, reason: Exception) -> LocalPath:
        why = reason.message if isinstance(reason, OrbitError) else _reason_of(reason)
        self.reporter.note(f"The cache takes nothing ({why.rstrip('.')}): {place.uri} is read into a temporary file.")
        with storage_errors(self.cache.root, USER_FILE):
            folder = Path(tempfile.mkdtemp(prefix="orbitpkg-"))
        try:
            path = folder / place.name
            self._download(place, info, version, path)
        except BaseException:
            remove_folder(folder)
            raise
        return LocalPath.temporary(path)

    def _download(
        self, place: Place, info: ObjectInfo, version: str | None, target: Path, *, hasty: bool = False
    ) -> tuple[str, ObjectInfo]:
        """Read an object into a file; one that changes under the reading is read anew."""
        for left in reversed(range(_CHANGES)):
            try:
                with self.reporter.task(place.uri, info.size) as task:
                    store = self.store(place.store, hasty=hasty)
                    done = download_object(store, place.key, target, info=info, version=version, progress=task.advance)
                    return done.blake3, done.info
            except ObjectChanged:
                if not left:
                    raise
                info = self.store(place.store).head(place.key, version=version)
        raise AssertionError("the last try either returns or raises")

    # Asking.

    def ask(self, place: Place, work: Callable[[ObjectStore], T]) -> T:
        """Ask the store of an object something, and tell its failures as those of a file.

        Raises:
            FileMissing: There is no such object.
            RepositoryError: The store did not do it.
        """
        try:
            return self._ask(place, work, hasty=False)
        except OrbitError as error:
            raise self._told(place, error) from error

    def send(
        self, place: Place, path: Path, *, metadata: Mapping[str, str] | None = None, create_only: bool = False
    ) -> Uploaded:
        """Write a file as an object; the upload of a large one that is stopped is gone on with the next time.

        Raises:
            FileMissing: There is no such file, or bucket.
            ObjectExists: There is an object, which was not to be replaced.
            RepositoryError: The store did not take it.
            StorageError: The file cannot be read.
        """
        with storage_errors(path, USER_FILE), contextlib.ExitStack() as stack:
            if not path.exists():
                raise FileMissing(f"{path} does not exist.", path=str(path))
            size = path.stat().st_size
            task = stack.enter_context(self.reporter.task(place.uri, size))
            journal = None
            if size >= _JOURNALLED_BYTES:
                journal = stack.enter_context(self.cache.journal(place.uri, metadata))
            done = self.ask(
                place,
                lambda store: upload_object(
                    store,
                    place.key,
                    path,
                    metadata=metadata,
                    create_only=create_only,
                    journal=journal,
                    progress=task.advance,
                ),
            )
            self.forget(place)
            return done

    def forget(self, place: Place) -> None:
        """Forget what is cached of an object that is another by now, for those who do not ask again."""
        with contextlib.suppress(OSError):
            self.cache.forget(place.uri)

    def known_or_asked(
        self, place: Place, work: Callable[[ObjectStore], T], known: Callable[[Entry], T], *, version: str | None = None
    ) -> T:
        """Ask the store, and what is cached (of a version, or the newest) when the store cannot be asked.

        Raises:
            FileMissing: There is no such object.
            RepositoryError: The store cannot be asked, and nothing is cached.
        """
        entry = self.cache.find_version(place.uri, version) if version else self.cache.current(place.uri)
        try:
            return self._ask(place, work, hasty=entry is not None)
        except OrbitError as error:
            if entry is None or not is_silence(error):
                raise self._told(place, error) from error
            self._fall_back(place, error, entry)
            return known(entry)

    def _ask(self, place: Place, work: Callable[[ObjectStore], T], *, hasty: bool) -> T:
        silence = self._silences.setdefault(place.store, _Silence())
        begin = time.monotonic()
        if hasty and begin < silence.until:
            raise RepositoryUnreachable(f"{without_user(place.store)} did not answer a moment ago.")
        try:
            answer = work(self.store(place.store, hasty=hasty))
        except OrbitError as error:
            if is_silence(error):
                self._reopen(place.store)
                took = time.monotonic() - begin
                if took > _LONG:
                    silence.until = begin + took + min(_LONGEST_LEFT_ALONE, _LEFT_ALONE * took)
            raise
        silence.until, silence.told = 0.0, False
        return answer

    def _fall_back(self, place: Place, error: OrbitError, entry: Entry) -> None:
        silence = self._silences.setdefault(place.store, _Silence())
        if self.offline or silence.told:
            return
        silence.told = True
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.checked))
        self.reporter.note(
            f"{without_user(place.store)} cannot be asked ({error.message.rstrip('.')}): what is cached is used, "
            f"here {place.uri} as of {when}."
        )

    def _told(self, place: Place, error: OrbitError) -> OrbitError:
        if isinstance(error, ObjectNotFound):
            return FileMissing(error.message, hint=self._absence_hint(place), uri=place.uri)
        if is_silence(error) and not isinstance(error, OfflineError):
            return retold(error, f"{place.uri} is not cached, so it takes a connection.", uri=place.uri)
        return error

    def _absence_hint(self, place: Place) -> str | None:
        entry = self.cache.current(place.uri)
        if entry is None or self.cache.intact(entry) is None:
            return None
        return f"A copy of what it was is cached: {self.cache.path(entry)} (fresh=False opens it)."


def _reason_of(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'its disk'}: {error.strerror}"
    return str(error)


def retold(error: OrbitError, hint: str, **data: object) -> OrbitError:
    """Give an error of the same kind that says more about what to do."""
    return type(error)(error.message, hint=" ".join(filter(None, (hint, error.hint))), **{**error.data, **data})


def is_silence(error: OrbitError) -> bool:
    """Say whether an error means that the store could not be asked at all, so that it said nothing of the object."""
    if isinstance(error, AccessDenied):
        return bool(error.data.get("anonymous"))
    return isinstance(error, RepositoryUnreachable | CredentialsError | OfflineError)


def without_user(url: str) -> str:
    """Give an address without a user and a password."""
    return re.sub(r"^([A-Za-z]+://)[^/]*@", r"\1", url)


def remove_folder(folder: Path) -> None:
    """Remove a folder of one's own with all that is in it."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
