"""The interface through which library code reports progress. It prints nothing; callers pass a reporter to show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["SILENT", "Reporter", "Task"]


class Task(Protocol):
    """A task that is measured in bytes. A context manager: leaving it ends the task, whether or not it is complete.

    :meth:`advance` may be called from several threads.
    """

    def advance(self, count: int) -> None:
        """Report that ``count`` more bytes are done."""

    def __enter__(self) -> Self:
        """Begin the task."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the task."""


class Reporter(Protocol):
    """Receives the progress of tasks, and notes."""

    def task(self, title: str, total: int | None) -> Task:
        """Return a new task of ``total`` bytes, or of unknown size when None."""

    def note(self, message: str) -> None:
        """Report something the user should know, such as a wait or a warning."""


class _SilentTask:
    def advance(self, count: int) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


class _Silent:
    def task(self, title: str, total: int | None) -> Task:
        del title, total
        return _SilentTask()

    def note(self, message: str) -> None:
        pass


SILENT: Reporter = _Silent()
"""A reporter that ignores everything."""
