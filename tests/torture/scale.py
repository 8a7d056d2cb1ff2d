"""How much of the torture is done: all of it with `make torture`, an even sample of it with `make test`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SCALE", "sample", "scaled", "tally"]

T = TypeVar("T")

SCALE = float(os.environ.get("ORBITPKG_TORTURE", "0"))
"""0: a sample. 1: all, in half an hour on two cores; in between, that share of it."""


def sample(points: Sequence[T], least: int) -> Sequence[T]:
    """Return evenly spread elements of `points`: a share given by the scale, and at least `least`."""
    count = min(len(points), max(least, round(SCALE * len(points))))
    return [points[number * len(points) // count] for number in range(count)]


def scaled(least: int, most: int) -> int:
    """Give a number between the sample's and that of all."""
    return round(least + min(SCALE, 1.0) * (most - least))


def tally(what: str, count: int) -> None:
    """Add to the figures of this run: a line in the file that `ORBITPKG_TALLY` names, if it names one."""
    if place := os.environ.get("ORBITPKG_TALLY"):
        with Path(place).open("a", encoding="utf-8") as file:
            file.write(f"{count}\t{what}\n")
