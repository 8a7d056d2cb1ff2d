"""Progress reporters: a bar for terminals, and a line every ten seconds for logs."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from orbitpkg.cli.layout import size
from orbitpkg.cli.terminal import width
from orbitpkg.escaping import one_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Self, TextIO

    from tqdm import tqdm

    from orbitpkg.reporting import Task

__all__ = ["BarReporter", "LineReporter"]

_LINE_SECONDS = 10.0
_BAR_DELAY = 0.2
_NARROW = 70
_BAR = "{desc} {percentage:3.0f}% |{bar}| {n_fmt}B of {total_fmt}B, {rate_fmt}, {remaining} left"
_NARROW_BAR = "{percentage:3.0f}% {n_fmt}B of {total_fmt}B {remaining} left"
_UNKNOWN_BAR = "{desc} {n_fmt}B, {rate_fmt}"


class BarReporter:
    """A progress bar shared by all running tasks. It shows the latest task's title and disappears after the last.

    Args:
        stream: The terminal.
        note: A function that writes a note.
        delay: How many seconds to wait before showing the bar.
    """

    def __init__(self, stream: TextIO, *, note: Callable[[str], None], delay: float = _BAR_DELAY) -> None:
        self._stream = stream
        self._note = note
        self._delay = delay
        self._lock = threading.RLock()
        self._bar: tqdm[Any] | None = None
        self._running = 0

    def task(self, title: str, total: int | None) -> Task:
        """Return a task that the bar includes while its context is open."""
        return _BarTask(self, one_line(title), total)

    def note(self, message: str) -> None:
        """Write a note above the bar."""
        with self._lock:
            if self._bar is not None:
                self._bar.clear()
            self._note(message)
            if self._bar is not None:
                self._bar.refresh()

    def begin(self, title: str, total: int | None) -> None:
        """Add a task to the bar."""
        with self._lock:
            self._running += 1
            if self._bar is None:
                self._bar = self._new_bar(title, total)
                return
            self._bar.set_description_str(title, refresh=False)
            if total and self._bar.total is not None:
                self._bar.total += total

    def advance(self, count: int) -> None:
        """Advance the bar by a number of bytes."""
        with self._lock:
            if self._bar is not None:
                self._bar.update(count)

    def end(self) -> None:
        """Remove a task, and the bar with the last one."""
        with self._lock:
            self._running -= 1
            if not self._running and self._bar is not None:
                self._bar.close()
                self._bar = None

    def _new_bar(self, title: str, total: int | None) -> tqdm[Any]:
        from tqdm import tqdm

        # tqdm's default lock imports multiprocessing, which takes 20 ms, and its monitor starts a thread. One process
        # that closes its bars needs neither.
        tqdm.set_lock(self._lock)
        tqdm.monitor_interval = 0
        narrow = (width(self._stream) or _NARROW) < _NARROW
        return tqdm(
            desc=title,
            total=total,
            file=self._stream,
            unit="B",
            unit_scale=True,
            leave=False,
            dynamic_ncols=True,
            delay=self._delay,
            bar_format=(_NARROW_BAR if narrow else _BAR) if total else _UNKNOWN_BAR,
        )


class _BarTask:
    def __init__(self, reporter: BarReporter, title: str, total: int | None) -> None:
        self._reporter = reporter
        self._title = title
        self._total = total

    def advance(self, count: int) -> None:
        self._reporter.advance(count)

    def __enter__(self) -> Self:
        self._reporter.begin(self._title, self._total)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reporter.end()


class LineReporter:
    """Progress lines for a log: one every ten seconds of a task, and none for a task that takes less.

    Args:
        write: A function that writes a line.
        note: A function that writes a note.
        clock: A function that returns the time in seconds.
    """

    def __init__(
        self, write: Callable[[str], None], *, note: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._write = write
        self._clock = clock
        self._note = note

    def task(self, title: str, total: int | None) -> Task:
        """Start a task."""
        return _Lines(one_line(title), total, self._write, self._clock)

    def note(self, message: str) -> None:
        """Write a note."""
        self._note(message)


class _Lines:
    def __init__(self, title: str, total: int | None, write: Callable[[str], None], clock: Callable[[], float]) -> None:
        self._title = title
        self._total = total
        self._write = write
        self._clock = clock
        self._lock = threading.Lock()
        self._done = 0
        self._began = self._last = clock()

    def advance(self, count: int) -> None:
        with self._lock:
            self._done += count
            now = self._clock()
            if now - self._last >= _LINE_SECONDS:
                self._last = now
                self._write(self._line(now - self._began))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._last > self._began and error is None:
            seconds = self._clock() - self._began
            self._write(f"{self._title}: {size(self._done)} in {seconds:.0f} s")

    def _line(self, seconds: float) -> str:
        rate = self._done / seconds
        if not self._total or not self._done:
            return f"{self._title}: {size(self._done)}, {size(round(rate))}/s"
        share = min(100, 100 * self._done // self._total)
        left = max(0, self._total - self._done) / rate
        amount = f"{size(self._done)} of {size(self._total)}"
        return f"{self._title}: {share} %, {amount}, {size(round(rate))}/s, {left:.0f} s left"
