"""The path that callers receive: a ``pathlib.Path`` that is also a context manager."""

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
    """The path of a local file. During a ``with`` block, ``prune`` does not remove the file."""

    _descriptor: int | None = None
    _is_temporary = False

    @classmethod
    def temporary(cls, path: Path) -> LocalPath:
        """Return a path whose file and directory are removed when its ``with`` block or the process ends."""
        temporary = cls(path)
        temporary._is_temporary = True
        atexit.register(temporary._remove)
        return temporary

    def keep(self) -> None:
        """Keep a temporary file for programs that outlive this process."""
        self._is_temporary = False

    def _remove(self) -> None:
        if self._is_temporary:
            shutil.rmtree(self.parent, ignore_errors=True)

    def __enter__(self) -> Self:
        # prune removes a file only if it gets an exclusive lock on it.
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
