"""The path that a caller gets: a ``pathlib.Path`` that may also be entered, as a context manager."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["LocalPath"]


class LocalPath(type(Path())):  # type: ignore[misc] # the platform's kind of Path
    """A path of a local file. In a ``with`` block, the file is kept from ``prune`` until the block ends."""

    _descriptor: int | None = None
    _is_temporary = False

    @classmethod
    def temporary(cls, path: Path) -> LocalPath:
        """Give the path of a file that goes, with its folder, when the block or the process ends."""
        made = cls(path)
        made._is_temporary = True
        atexit.register(made._remove)
        return made

    def keep(self) -> None:
        """Leave a temporary file to others, who outlive this process."""
        self._is_temporary = False

    def _remove(self) -> None:
        if self._is_temporary:
            shutil.rmtree(self.parent, ignore_errors=True)

    def __enter__(self) -> Self:
        # A shared lock on the file itself says that it is in use; prune wants one that is not shared.
        with contextlib.suppress(OSError):
            self._descriptor = os.open(self, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        self._remove()
