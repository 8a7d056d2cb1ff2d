"""Base classes for stores that lack some features: S3's extras, or all writing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from orbitpkg.errors import IntegrityError, UnsupportedByStore
from orbitpkg.objects.protocol import Capabilities, PartLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

    from orbitpkg.objects.protocol import ObjectInfo, ObjectStore, Upload, UploadInfo

__all__ = ["ReadOnlyStore", "SimpleStore", "check_size"]


class SimpleStore:
    """The methods of an ``ObjectStore`` without versions, metadata, foreign keys or copies from other stores.

    A subclass defines ``head`` and ``list``.
    """

    url: str
    capabilities: Capabilities = Capabilities()
    part_limits: Final = PartLimits()

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Return the facts about an object; see ``ObjectStore.head``."""
        raise NotImplementedError

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects; see ``ObjectStore.list``."""
        raise NotImplementedError

    def metadata(self, key: str, *, version: str | None = None) -> dict[str, str]:
        """Return no metadata for an object that exists; see ``ObjectStore.metadata``."""
        self.head(key, version=version)
        return {}

    def part_size(self, key: str) -> int | None:
        """Return None: the parts of an upload are not recorded; see ``ObjectStore.part_size``."""
        del key
        return None

    def list_everything(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects; see ``ObjectStore.list_everything``."""
        return self.list(prefix)

    def copy_from(self, other: ObjectStore, source: str, key: str) -> ObjectInfo:
        """Refuse; see ``ObjectStore.copy_from``."""
        raise UnsupportedByStore(f"{other.url}/{source} cannot be copied to {self.url}/{key} without downloading it.")

    def close(self) -> None:
        """Do nothing: no connection is kept; see ``ObjectStore.close``."""

    def _check_current(self, version: str | None) -> None:
        if version is not None:
            raise UnsupportedByStore(f"{self.url} keeps no versions of its objects.")


def check_size(url: str, info: ObjectInfo, max_bytes: int | None) -> None:
    """Check that an object may be read whole.

    Raises:
        IntegrityError: It is larger than ``max_bytes``.
    """
    if max_bytes is not None and info.size > max_bytes:
        raise IntegrityError(f"{url}/{info.key} has {info.size} bytes; the maximum is {max_bytes}.", key=info.key)


class ReadOnlyStore(SimpleStore):
    """The methods of an ``ObjectStore`` that only reads: every other method calls ``_refuse`` with the key.

    A subclass defines the reading methods and ``_refuse``.
    """

    capabilities = Capabilities(writing=False, replacing=False, part_copies=False)

    def put(
        self,
        key: str,
        data: bytes | memoryview,  # noqa: ARG002
        *,
        metadata: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> ObjectInfo:
        """Refuse; see ``ObjectStore.put``."""
        self._refuse(key)

    def copy(self, source: str, key: str) -> ObjectInfo:  # noqa: ARG002
        """Refuse; see ``ObjectStore.copy``."""
        self._refuse(key)

    def copy_from(self, other: ObjectStore, source: str, key: str) -> ObjectInfo:  # noqa: ARG002
        """Refuse; see ``ObjectStore.copy_from``."""
        self._refuse(key)

    def create(
        self,
        key: str,
        data: bytes | memoryview,  # noqa: ARG002
        *,
        metadata: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> ObjectInfo:
        """Refuse; see ``ObjectStore.create``."""
        self._refuse(key)

    def replace(self, key: str, data: bytes | memoryview, *, etag: str) -> ObjectInfo:  # noqa: ARG002
        """Refuse; see ``ObjectStore.replace``."""
        self._refuse(key)

    def delete(self, key: str) -> None:
        """Refuse; see ``ObjectStore.delete``."""
        self._refuse(key)

    def start_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> Upload:  # noqa: ARG002
        """Refuse; see ``ObjectStore.start_upload``."""
        self._refuse(key)

    def resume_upload(self, key: str, upload: str) -> Upload | None:  # noqa: ARG002
        """Refuse; see ``ObjectStore.resume_upload``."""
        self._refuse(key)

    def list_uploads(self) -> Iterator[UploadInfo]:
        """Refuse; see ``ObjectStore.list_uploads``."""
        self._refuse("")

    def abort_upload(self, info: UploadInfo) -> None:
        """Refuse; see ``ObjectStore.abort_upload``."""
        self._refuse(info.key)

    def _refuse(self, key: str) -> NoReturn:
        """Raise the error that explains why an object cannot be written."""
        raise NotImplementedError
