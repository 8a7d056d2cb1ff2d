"""Copies of one repository, for when the repository does not respond.

Every answer of the repository counts, including "not found" and "access denied"; mirrors are asked only if there is
none. A mirror can be out of date or incomplete: if one of them lacks or refuses an object, the next is asked, and
listings are merged. An object that no mirror has may still be in the repository, so a caller that relies on "not
found" checks ``MirroredStore.outage`` first. Whatever is read is verified against digests, wherever it comes from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from orbitpkg.errors import ObjectNotFound, RepositoryError, RepositoryUnreachable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orbitpkg.objects.protocol import Capabilities, ObjectInfo, ObjectStore, PartLimits, Upload, UploadInfo

__all__ = ["MirroredStore"]

T = TypeVar("T")


class MirroredStore:
    """An ``ObjectStore`` that reads from the first of several stores that answers, and writes to the first of all.

    Args:
        stores: The store of the repository, followed by its mirrors.
        tell: Called with a note for the user when a store does not respond and the next one is asked.
    """

    def __init__(self, stores: Sequence[ObjectStore], *, tell: Callable[[str], None] = lambda _: None) -> None:
        self.url: Final = stores[0].url
        self._stores = stores
        self._tell = tell
        # An unreachable store is not tried again: every try would take until the timeout.
        self._unreachable: dict[str, RepositoryUnreachable] = {}

    @property
    def outage(self) -> RepositoryUnreachable | None:
        """Why mirrors answer instead of the repository; None while the repository itself answers."""
        return self._unreachable.get(self.url)

    @property
    def capabilities(self) -> Capabilities:
        """The capabilities of the repository's own store."""
        return self._stores[0].capabilities

    @property
    def part_limits(self) -> PartLimits:
        """The limits on the parts of uploads to the repository's own store."""
        return self._stores[0].part_limits

    def _answers(self, work: Callable[[ObjectStore], T]) -> Iterator[T]:
        """Yield the answer of the repository; if it is unreachable, the answers of its mirrors, asked one by one.

        Raises:
            RepositoryError: All stores failed to answer.
        """
        refusals: list[RepositoryError] = []
        answered = False
        for store in self._stores:
            if store.url in self._unreachable:
                continue
            try:
                answer = work(store)
            except RepositoryUnreachable as error:
                self._note_silence(store, error)
            except RepositoryError as error:
                if store is self._stores[0]:
                    raise
                refusals.append(error)
            else:
                yield answer
                answered = True
                if store is self._stores[0]:
                    return
        if not answered:
            # "Not found" is more specific than "access denied", S3's answer to clients that may not list.
            refusals.sort(key=lambda error: not isinstance(error, ObjectNotFound))
            raise next(iter([*refusals, *self._unreachable.values()]))

    def _note_silence(self, store: ObjectStore, error: RepositoryUnreachable) -> None:
        others = self._others(store)
        if others and store.url not in self._unreachable:
            self._tell(f"{store.url} does not respond; using {others[0]} instead.")
        # Concurrent requests fail one after the other. The first failure is the one to report.
        self._unreachable.setdefault(store.url, error)

    def _others(self, store: ObjectStore) -> list[str]:
        """Return the addresses of the other stores that have not failed to answer."""
        return [other.url for other in self._stores if other.url not in self._unreachable and other is not store]

    def _ask(self, work: Callable[[ObjectStore], T]) -> T:
        return next(self._answers(work))

    def _gather(self, work: Callable[[ObjectStore], dict[str, T]]) -> dict[str, T]:
        """Merge listings; of two entries for one key, the first one counts."""
        found: dict[str, T] = {}
        for answer in self._answers(work):
            found = {**answer, **found}
        return {key: found[key] for key in sorted(found)}

    def get(self, key: str, *, max_bytes: int | None = None, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Read a whole object; see ``ObjectStore.get``."""
        return self._ask(lambda store: store.get(key, max_bytes=max_bytes, version=version))

    def get_each(self, key: str, *, max_bytes: int | None = None) -> list[bytes]:
        """Read an object from the repository, or, if it is unreachable, from each mirror that has it."""
        try:
            return list(self._answers(lambda store: store.get(key, max_bytes=max_bytes)[0]))
        except ObjectNotFound:
            return []

    def get_if_changed(self, key: str, *, etag: str, max_bytes: int | None = None) -> tuple[bytes, ObjectInfo] | None:
        """Read an object unless it is unchanged; see ``ObjectStore.get_if_changed``.

        A mirror has other ETags, so it reports a change.
        """
        return self._ask(lambda store: store.get_if_changed(key, etag=etag, max_bytes=max_bytes))

    def get_range(
        self, key: str, start: int, length: int, *, etag: str | None = None, version: str | None = None
    ) -> bytes | memoryview:
        """Read a range; see ``ObjectStore.get_range``."""
        return self._ask(lambda store: store.get_range(key, start, length, etag=etag, version=version))

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Read in pieces; see ``ObjectStore.stream``. A stream does not switch stores once it has begun.

        The caller requests the rest of a stream that was cut off, and then another store answers, if there is one.
        """

        def begin(store: ObjectStore) -> tuple[ObjectStore, memoryview | None, Iterator[memoryview]]:
            pieces = iter(store.stream(key, start, length))
            return store, next(pieces, None), pieces

        store, first, rest = self._ask(begin)
        if first is not None:
            yield first
        try:
            yield from rest
        except RepositoryUnreachable as error:
            if self._others(store):
                self._note_silence(store, error)
            raise

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Return the facts about an object; see ``ObjectStore.head``."""
        return self._ask(lambda store: store.head(key, version=version))

    def metadata(self, key: str, *, version: str | None = None) -> dict[str, str]:
        """Return an object's metadata; see ``ObjectStore.metadata``."""
        return self._ask(lambda store: store.metadata(key, version=version))

    def list_folders(self, prefix: str) -> list[str]:
        """List folders; see ``ObjectStore.list_folders``."""
        return list(self._gather(lambda store: dict.fromkeys(store.list_folders(prefix))))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects; see ``ObjectStore.list``."""
        return iter(self._gather(lambda store: {info.key: info for info in store.list(prefix)}).values())

    def part_size(self, key: str) -> int | None:
        """Return the size of an object's first part; see ``ObjectStore.part_size``."""
        return self._ask(lambda store: store.part_size(key))

    def list_everything(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects with any key; see ``ObjectStore.list_everything``."""
        listed = self._gather(lambda store: {info.key: info for info in store.list_everything(prefix)})
        return iter(listed.values())

    def copy_from(self, other: ObjectStore, source: str, key: str) -> ObjectInfo:
        """Copy into the repository's own store; see ``ObjectStore.copy_from``."""
        return self._stores[0].copy_from(other, source, key)

    def put(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object; see ``ObjectStore.put``."""
        return self._stores[0].put(key, data, metadata=metadata)

    def copy(self, source: str, key: str) -> ObjectInfo:
        """Copy inside the first store; see ``ObjectStore.copy``."""
        return self._stores[0].copy(source, key)

    def create(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object only if it does not exist; see ``ObjectStore.create``."""
        return self._stores[0].create(key, data, metadata=metadata)

    def replace(self, key: str, data: bytes | memoryview, *, etag: str) -> ObjectInfo:
        """Overwrite an unchanged object; see ``ObjectStore.replace``."""
        return self._stores[0].replace(key, data, etag=etag)

    def delete(self, key: str) -> None:
        """Delete an object; see ``ObjectStore.delete``."""
        self._stores[0].delete(key)

    def start_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> Upload:
        """Begin to write in parts; see ``ObjectStore.start_upload``."""
        return self._stores[0].start_upload(key, metadata=metadata)

    def resume_upload(self, key: str, upload: str) -> Upload | None:
        """Resume an upload; see ``ObjectStore.resume_upload``."""
        return self._stores[0].resume_upload(key, upload)

    def list_uploads(self) -> Iterator[UploadInfo]:
        """List unfinished uploads; see ``ObjectStore.list_uploads``."""
        return self._stores[0].list_uploads()

    def abort_upload(self, info: UploadInfo) -> None:
        """Discard an upload; see ``ObjectStore.abort_upload``."""
        self._stores[0].abort_upload(info)

    def close(self) -> None:
        """Close connections; see ``ObjectStore.close``."""
        for store in self._stores:
            store.close()
