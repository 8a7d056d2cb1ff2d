"""Measure the cost of resolution by the size of the registry: `python -m benchmarks.resolver`.

The figures are processor seconds of the resolver alone, without reading the index. Each step is the median over several
registries. There is no comparison with other tools.
"""

from __future__ import annotations

import argparse
import gc
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.machine import ROOT
from benchmarks.records import Records
from benchmarks.registry import Registry, grown
from orbitpkg.errors import ResolutionError
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.model.versions import Version, parse_version
from orbitpkg.repository.index import Index, IndexEntry, parse_index
from orbitpkg.resolver.apps import Apps
from orbitpkg.resolver.resolver import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main", "measure_index", "measure_resolver"]

PACKAGES = (10, 100, 1_000)
RELEASES = 100
SEEDS = (1, 2, 3, 4, 5)
SOME = 20
VERSIONS = (10, 100, 1_000, 10_000)
_TRIES = 5


def measure_resolver(records: Records, *, packages: Sequence[int] = PACKAGES, seeds: Sequence[int] = SEEDS) -> None:
    """Measure requests with a solution, and one without."""
    steps = {"some": _some, "all that none needs": _all, "no solution": _clashing}
    for count in packages:
        curve = _Curve(records, "resolver", "choosing versions", f"{count:,} packages of {RELEASES} versions")
        registries = [grown(count, RELEASES, seed=seed) for seed in seeds]
        for step, asked in steps.items():
            curve.add(step, [_cost(registry, asked(registry)) for registry in registries])


def _all(registry: Registry) -> list[str]:
    return registry.tops


def _some(registry: Registry) -> list[str]:
    tops = registry.tops
    return tops[:: max(1, len(tops) // SOME)]


def _clashing(registry: Registry) -> list[str]:
    """Return requests: some packages, and a conflict between a new release and an old dependency."""
    some = _some(registry)
    for name in registry.tops:
        version = max(registry.packages[name])
        for other, text in registry.packages[name][version].dependencies.items():
            if text.startswith((">=", "^", "~=")) and not text.startswith(">=1.0"):
                return [*(each for each in some if each not in {name, other}), f"{name}=={version}", f"{other}<1.0.1"]
    raise AssertionError(registry)


def _cost(registry: Registry, asked: Sequence[str]) -> float:
    requirements = [parse_requirement(text) for text in asked]
    gc.collect()
    start = time.process_time()
    try:
        resolve(requirements, registry, apps=Apps({}, lambda _: None))
    except ResolutionError as error:
        clash = error.data.get("requirements")
        if not isinstance(clash, list) or len(clash) > 2:  # noqa: PLR2004 - the pair that clashes
            raise
    return time.process_time() - start


def measure_index(records: Records, *, versions: Sequence[int] = VERSIONS) -> None:
    """Measure writing and reading an index."""
    for count in versions:
        index = _index(count)
        data = index.to_json()
        curve = _Curve(records, "index", f"an index ({len(data) / count:.0f} bytes a version)", f"{count:,} versions")
        curve.add("write", [_timed(index.to_json) for _ in range(_TRIES)])
        curve.add("read", [_timed(partial(parse_index, data, name="grown")) for _ in range(_TRIES)])


def _index(count: int) -> Index:
    entries: dict[Version, IndexEntry] = {}
    for number in range(count):
        entries[parse_version(f"1.{number // 100}.{number % 100}")] = IndexEntry(
            digest=f"{number:064x}", size=number, published="2026-01-01T00:00:00Z", dependencies={"other": ">=1.0,<2"}
        )
    return Index(name="grown", releases=entries)


def _timed(work: Callable[[], object]) -> float:
    gc.collect()
    start = time.process_time()
    work()
    return time.process_time() - start


@dataclass(frozen=True, slots=True)
class _Curve:
    """The records of one size."""

    records: Records
    group: str
    title: str
    size: str

    def add(self, step: str, costs: Sequence[float]) -> None:
        """Record the cost of every run of a step."""
        value, most = median(costs), max(costs)
        self.records.add("cost", group=self.group, title=self.title, size=self.size, step=step, value=value, most=most)
        self.records.say(f"  {self.size}: {step} {value:.3f} s of processor, {most:.3f} at most")


def main() -> None:
    """Run the benchmarks given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="leave out what is larger than this share of the most")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "orbitpkg-bench"))
    parser.add_argument("--report", type=Path, default=ROOT / "benchmarks/RESULTS.md")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    records = Records(options.folder / "resolver.jsonl", report=options.report)
    records.begin("resolver")
    measure_resolver(records, packages=[count for count in PACKAGES if count <= PACKAGES[-1] * options.scale])
    measure_index(records, versions=[count for count in VERSIONS if count <= VERSIONS[-1] * options.scale])
    records.report()


if __name__ == "__main__":
    main()
