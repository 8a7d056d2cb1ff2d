"""Going on after a failure: a sweep tells of all the points at which something gave way, not only of the first."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

__all__ = ["all_failures"]


@contextlib.contextmanager
def all_failures() -> Iterator[Callable[[str], AbstractContextManager[None]]]:
    """Give a context manager that keeps what fails in it for the end, under the name of the point it is given."""
    failures: list[Exception] = []

    @contextlib.contextmanager
    def watch(point: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised below, with all others
            error.add_note(point)
            failures.append(error)

    yield watch
    if failures:
        raise ExceptionGroup("it gave way", failures)
