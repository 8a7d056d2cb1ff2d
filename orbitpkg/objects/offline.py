"""The object store of an address that needs a network while offline mode is on. It opens no socket."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from orbitpkg.errors import OfflineError
from orbitpkg.objects.protocol import Capabilities
from orbitpkg.objects.read_only import ReadOnlyStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orbitpkg.objects.protocol import ObjectInfo

__all__ = ["OfflineStore"]


class OfflineStore(ReadOnlyStore):
    """An ``ObjectStore`` that refuses every request.

    Args:
        url: The address of the store that is unavailable.
    """

    capabilities = Capabilities(listing=False, writing=False, replacing=False, part_copies=False)

    def __init__(self, url: str) -> None:
        self.url = url

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

    def part_size(self, key: str) -> int | None:
        """Refuse."""
        self._refuse(key)

    def list_folders(self, prefix: str) -> list[str]:
        """Refuse."""
        self._refuse(prefix)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Refuse."""
        self._refuse(prefix)

    def _refuse(self, key: str) -> NoReturn:
        raise OfflineError(
            f"Cannot access {self.url}/{key}".rstrip("/") + " in offline mode.",
            hint="Omit --offline, or unset ORBITPKG_OFFLINE.",
            url=self.url,
        )
