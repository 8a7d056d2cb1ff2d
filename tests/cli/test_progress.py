"""Progress: one bar for all running tasks, lines for a log, and nothing with ``--quiet``."""

from __future__ import annotations

import io

import pytest

from orbitpkg.cli.console import Console
from orbitpkg.cli.progress import BarReporter, LineReporter
from orbitpkg.reporting import SILENT


class Screen(io.StringIO):
    """A terminal whose width COLUMNS sets."""

    def isatty(self) -> bool:
        return True


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")


def bars(screen: Screen) -> BarReporter:
    return BarReporter(screen, note=lambda message: print(message, file=screen), delay=0)


def test_a_bar_shows_a_title_a_percentage_and_bytes() -> None:
    screen = Screen()
    with bars(screen).task("Building tiny 1.0.0", 4000) as task:
        task.advance(1000)
    assert "\rBuilding tiny 1.0.0   0% |" in screen.getvalue()
    assert "B of 4.00kB" in screen.getvalue()
    assert " left" in screen.getvalue()


def test_a_bar_disappears_at_the_end_even_after_a_failure() -> None:
    screen = Screen()
    with pytest.raises(ValueError, match=r"^broken$"), bars(screen).task("Building", 4000):
        raise ValueError("broken")
    *_, last = screen.getvalue().rstrip("\r").split("\r")
    assert last.strip() == ""


def test_a_narrow_terminal_shows_only_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    screen = Screen()
    with bars(screen).task("Building a package of a long name", 4000):
        pass
    assert "  0% 0.00B of 4.00kB" in screen.getvalue()
    assert "Building" not in screen.getvalue()


def test_work_of_unknown_size_shows_a_count() -> None:
    screen = Screen()
    with bars(screen).task("Reading", None) as task:
        task.advance(10)
    assert "\rReading 0.00B, " in screen.getvalue()


def test_concurrent_tasks_share_a_bar() -> None:
    screen = Screen()
    reporter = bars(screen)
    with reporter.task("Installing a", 1000) as first, reporter.task("Installing b", 3000) as second:
        first.advance(500)
        second.advance(1500)
        reporter.note("a note")
    assert "a note\n" in screen.getvalue()
    assert "\rInstalling b  50% |" in screen.getvalue()
    assert "2.00kB of 4.00kB" in screen.getvalue()


def test_a_note_without_a_bar_is_written_directly() -> None:
    screen = Screen()
    bars(screen).note("a note")
    assert screen.getvalue() == "a note\n"


def lines(clock: Clock) -> tuple[LineReporter, list[str]]:
    written: list[str] = []
    return LineReporter(written.append, note=written.append, clock=clock), written


def test_a_log_has_a_line_every_ten_seconds_and_one_at_the_end() -> None:
    clock = Clock()
    reporter, written = lines(clock)
    with reporter.task("Publishing tiny 1.0.0", 40_000_000) as task:
        for seconds in (5, 9, 10, 11, 25):
            clock.now = 100.0 + seconds
            task.advance(5_000_000)
        clock.now = 140.0
    assert written == [
        "Publishing tiny 1.0.0: 37 %, 15 MB of 40 MB, 1.5 MB/s, 17 s left",
        "Publishing tiny 1.0.0: 62 %, 25 MB of 40 MB, 1.0 MB/s, 15 s left",
        "Publishing tiny 1.0.0: 25 MB in 40 s",
    ]


def test_a_log_has_no_line_for_fast_work() -> None:
    reporter, written = lines(Clock())
    with reporter.task("Building", 10) as task:
        task.advance(10)
    assert written == []


def test_a_log_of_work_of_unknown_size_has_no_percentage() -> None:
    clock = Clock()
    reporter, written = lines(clock)
    reporter.note("a note")
    task = reporter.task("Reading", None)
    clock.now += 10
    task.advance(1000)
    task.__exit__(ValueError, ValueError("broken"), None)
    assert written == ["a note", "Reading: 1.0 kB, 100 bytes/s"]


def test_the_terminal_and_quiet_determine_the_reporter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", Screen())
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(Console().reporter(), BarReporter)
    assert Console(quiet=True).reporter() is SILENT
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(Console().reporter(), LineReporter)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(Console().reporter(), LineReporter)
