"""What a run found out, as lines of JSON, each written when it is known: an interrupted run leaves what it had."""

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
    """A file of records, and the report that is made anew from it and its neighbours."""

    def __init__(self, path: Path, *, report: Path) -> None:
        path.unlink(missing_ok=True)
        self._path = path
        self._report = report

    def add(self, kind: str, **facts: Any) -> None:
        """Write a record down."""
        with self._path.open("a") as file:
            file.write(json.dumps({"kind": kind, **facts}) + "\n")

    def begin(self, part: str) -> None:
        """Write down what a part of the report will be from."""
        said = describe()
        self.add("begun", part=part, command=said["command"], date=said["date"], commit=said["commit"])

    def say(self, text: str) -> None:
        """Tell whoever waits."""
        print(text, file=sys.stderr, flush=True)

    def report(self) -> None:
        """Make the report of all that is known by now."""
        lines = [line for path in sorted(self._path.parent.glob("*.jsonl")) for line in path.read_text().splitlines()]
        self._report.write_text(render([json.loads(line) for line in lines]))
