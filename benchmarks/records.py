"""The results of a run, as lines of JSON. Each is written immediately, so an interrupted run keeps its results."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.machine import describe
from benchmarks.report import render

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Records"]


class Records:
    """A file of records, and the report that is generated from all such files."""

    def __init__(self, path: Path, *, report: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._report = report

    def add(self, kind: str, **facts: Any) -> None:
        """Write a record."""
        with self._path.open("a") as file:
            file.write(json.dumps({"kind": kind, **facts}) + "\n")

    def begin(self, part: str) -> None:
        """Record the run behind a section of the report."""
        facts = describe()
        self.add("begun", part=part, command=facts["command"], date=facts["date"], commit=facts["commit"])

    def say(self, text: str) -> None:
        """Print a progress message."""
        print(text, file=sys.stderr, flush=True)

    def report(self) -> None:
        """Write the report from all records so far."""
        lines = [line for path in sorted(self._path.parent.glob("*.jsonl")) for line in path.read_text().splitlines()]
        self._report.write_text(render([json.loads(line) for line in lines]))
