"""The object store of an address that may not be asked, because offline mode is on. It opens no socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from orbitpkg.errors import OfflineError
from orbitpkg.objects.protocol import PartLimits

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orbitpkg.objects.protocol import ObjectInfo, Upload, UploadInfo

__all__ = ["OfflineStore"]


class OfflineStore:
    """An ``ObjectStore`` that refuses everything.

    Args:
        url: The address of the store that would be asked.
    """

    part_limits: Final = PartLimits()

    def __init__(self, url: str) -> None:
        self.url: Final = url

    def get(
        self,
        key: str,
        *,
        max_bytes: int | None = None,  # noqa: ARG002
        version: str | None = None,  # noqa: ARG002
    ) -> tuple[bytes, ObjectInfo]:
        """Refuse."""
        self._refuse(key)

    def get_if_changed(
        self,
        key: str,
        *,
        etag: str,  # noqa: ARG002
        max_bytes: int | None = None,  # noqa: ARG002
    ) -> tuple[bytes, ObjectInfo] | None:
        """Refuse."""
        self._refuse(key)

    def get_range(
        self,
        key: str,
        start: int,  # noqa: ARG002
        length: int,  # noqa: ARG002
        *,
        etag: str | None = None,  # noqa: ARG002
        version: str | None = None,  # noqa: ARG002
    ) -> bytes | memoryview:
        """Refuse."""
        self._refuse(key)

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[memoryview]:  # noqa: ARG002
        """Refuse."""
        self._refuse(key)

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:  # noqa: ARG002
        """Refuse."""
        self._refuse(key)

    def metadata(self, key: str, *, version: str | None = None) -> dict[str, str]:  # noqa: ARG002
        """Refuse."""
        self._refuse(key)

    def list_folders(self, prefix: str) -> list[str]:
        """Refuse."""
        self._refuse(prefix)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Refuse."""
        self._refuse(prefix)

    def put(
        self,
        key: str,
        data: bytes | memoryview,  # noqa: ARG002
        *,
        metadata: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> ObjectInfo:
        """Refuse."""
        self._refuse(key)

    def copy(self, source: str, key: str) -> ObjectInfo:  # noqa: ARG002
        """Refuse."""
        self._refuse(key)

    def create(
        self,
        key: str,
        data: bytes | memoryview,  # noqa: ARG002
        *,
        metadata: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> ObjectInfo:
        """Refuse."""
        self._refuse(key)

    def replace(self, key: str, data: bytes | memoryview, *, etag: str) -> ObjectInfo:  # noqa: ARG002
        """Refuse."""
        self._refuse(key)

    def delete(self, key: str) -> None:
        """Refuse."""
        self._refuse(key)

    def start_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> Upload:  # noqa: ARG002
        """Refuse."""
        self._refuse(key)

    def resume_upload(self, key: str, upload: str) -> Upload | None:  # noqa: ARG002
        """Refuse."""
        self._refuse(key)

    def list_uploads(self) -> Iterator[UploadInfo]:
        """Refuse."""
        self._refuse("")

    def abort_upload(self, info: UploadInfo) -> None:
        """Refuse."""
        self._refuse(info.key)

    def close(self) -> None:
        """Do nothing."""

    def _refuse(self, key: str) -> NoReturn:
        raise OfflineError(
            f"{self.url}/{key} is needed, and offline mode is on.".replace("/ is", " is"),
            hint="Leave out --offline, or unset ORBITPKG_OFFLINE.",
            url=self.url,
        )
