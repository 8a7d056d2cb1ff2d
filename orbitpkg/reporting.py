"""How work tells its caller how far it is. Library code prints nothing; whoever wants to show it gives a reporter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["SILENT", "Reporter", "Task"]


class Task(Protocol):
    """One piece of work that is measured in bytes. A context manager: leaving it ends the work, done or not.

    :meth:`advance` may be called from several threads.
    """

    def advance(self, count: int) -> None:
        """Say that ``count`` more bytes are done."""

    def __enter__(self) -> Self:
        """Begin."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""


class Reporter(Protocol):
    """What wants to know."""

    def task(self, title: str, total: int | None) -> Task:
        """Begin a piece of work, of ``total`` bytes if that is known."""

    def note(self, message: str) -> None:
        """Say something the user should know: a wait, a warning."""


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
"""A reporter that says nothing."""
