"""Measure how fast a large catalogue is searched, and how fast many small files are registered.

    python -m benchmarks.datasets                   # 1,000,000 rows, 10,000 files; 5 minutes
    python -m benchmarks.datasets --rows 100000 --files 1000

The rows are generated from a seed: robots, times and metadata of recordings, in the given number of parts, which are
then compacted. Each query is timed in a separate process, including imports, and within a running process. Memory is
the peak of the process (VmHWM). The files are random bytes of 1 to 8 KiB, registered in a directory.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from orbitpkg.datasets.dataset import create_dataset
from orbitpkg.datasets.datum import new_datum
from orbitpkg.datasets.layout import blob_key, part_key
from orbitpkg.datasets.parts import write_part

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orbitpkg.datasets.datum import Datum

__all__ = ["main", "make_catalogue", "make_data"]

TOP = Path(__file__).resolve().parents[1]
SEED = 20240229
ROBOTS = ("sawyer", "baxter", "kuka", "franka", "widowx", "fetch", "google")
FILTERS = {
    "one robot, one length (0.5 %)": "robot = 'sawyer' AND action_T >= 15 AND action_T < 16",
    "a rare text (0.01 %)": "object_batch = 'batch-4711'",
    "a substring of names (0.1 %)": "name LIKE '%run-0004%'",
    "one datum by its digest": "blake3 = '{digest}'",
}
# Runs one query, and prints its time and the peak memory of the process.
ASK = """
import sys, time
start = time.perf_counter()
import orbitpkg
selection = orbitpkg.dataset("recordings", sys.argv[1]).where(sys.argv[2])
rows = sum(1 for _ in selection.rows(columns=["name", "size", "robot"]))
first = time.perf_counter() - start
again = time.perf_counter()
rows = sum(1 for _ in selection.rows(columns=["name", "size", "robot"]))
second = time.perf_counter() - again
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
import json
print(json.dumps({"rows": rows, "first": first, "second": second, "peak": peak // 1024}))
"""


def make_data(number: int, *, seed: int = SEED) -> Iterator[Datum]:
    """Make data of fictitious recordings, determined by the seed."""
    chance = random.Random(seed)  # noqa: S311 - the same for the same seed
    start = datetime(2026, 1, 1, tzinfo=UTC)
    for count in range(number):
        digest = f"{chance.getrandbits(256):064x}"
        yield new_datum(
            name=f"lab/run-{count:07d}.hdf5",
            size=chance.randrange(1_000_000, 50_000_000),
            uri=f"s3://recordings/{blob_key(digest)}",
            registered=start + timedelta(seconds=count),
            blake3=digest,
            sha256=f"{chance.getrandbits(256):064x}",
            tags={"lab": chance.choice(("north", "south"))},
            metadata={
                "robot": chance.choice(ROBOTS),
                "action_T": chance.randrange(0, 40),
                "adim": chance.randrange(2, 9),
                "high_bound": [chance.random() for _ in range(3)],
                "object_batch": f"batch-{chance.randrange(10_000)}",
                "traj_ok": chance.randrange(10) > 0,
            },
        )


def make_catalogue(repository: Path, rows: int, parts: int) -> str:
    """Make a dataset of the given numbers of rows and parts. Return the digest of one datum."""
    made = create_dataset("recordings", repository.as_uri())
    batch: list[Datum] = []
    digest = ""
    for count, datum in enumerate(make_data(rows), start=1):
        batch.append(datum)
        if len(batch) == -(-rows // parts) or count == rows:
            _append(made.objects, write_part(batch, dataset="recordings", known={}), batch[-1].registered)
            digest, batch = str(batch[0].blake3), []
    return digest


def _append(objects: Any, data: bytes, now: datetime) -> None:
    from blake3 import blake3

    objects.create(part_key("recordings", now, blake3(data).hexdigest()[:32]), data)


def ask(repository: Path, home: Path, text: str, repetitions: int) -> dict[str, Any]:
    """Run a query in separate processes. Return median seconds, and the largest peak memory in MiB."""
    answers = []
    for _ in range(repetitions):
        done = subprocess.run(
            [sys.executable, "-c", ASK, repository.as_uri(), text],
            cwd=TOP,
            env={**os.environ, "ORBITPKG_HOME": str(home)},
            stdout=subprocess.PIPE,
            check=True,
        )
        answers.append(json.loads(done.stdout))
    return {
        "rows": answers[0]["rows"],
        "process": median(answer["first"] for answer in answers),
        "query": median(answer["second"] for answer in answers),
        "peak": max(answer["peak"] for answer in answers),
    }


def register(folder: Path, files: int) -> None:
    """Register many small files twice, and print the times."""
    source, chance = folder / "files", random.Random(SEED)  # noqa: S311
    source.mkdir()
    for count in range(files):
        (source / f"run-{count:05d}.bin").write_bytes(chance.randbytes(chance.randrange(1024, 8192)))
    made = create_dataset("files", (folder / "files-repository").as_uri())
    for label in ("register", "register again"):
        start = time.perf_counter()
        done = made.register(source, tags={"robot": "sawyer"})
        seconds = time.perf_counter() - start
        print(f"{label:34} {files:>9,} files {seconds:6.2f} s   {files / seconds:,.0f}/s   {done.new:,} new")
    start = time.perf_counter()
    came = made.where().fetch(folder / "out")
    print(f"{'fetch':34} {len(came.fetched):>9,} files {time.perf_counter() - start:6.2f} s")


def main() -> None:
    """Make the data, run the queries, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--parts", type=int, default=100)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orbitpkg-bench-") as name:
        folder = Path(name)
        os.environ["ORBITPKG_HOME"] = str(folder / "home")
        repository, home = folder / "repository", folder / "home"
        start = time.perf_counter()
        digest = make_catalogue(repository, options.rows, options.parts)
        size = sum(path.stat().st_size for path in repository.rglob("*.parquet"))
        print(f"made {options.rows:,} rows, {size / 2**20:.0f} MiB, in {time.perf_counter() - start:.0f} s")
        for state in (f"{options.parts} parts", "compacted"):
            for label, text in FILTERS.items():
                answer = ask(repository, home, text.format(digest=digest), options.repetitions)
                print(
                    f"{state:10} {label:32} {answer['rows']:>7,} rows   query {answer['query']:5.2f} s   "
                    f"process {answer['process']:5.2f} s   {answer['peak']} MiB",
                    flush=True,
                )
            if state != "compacted":
                _compact(repository)
        if options.files:
            register(folder, options.files)


def _compact(repository: Path) -> None:
    from orbitpkg.datasets.dataset import dataset

    start = time.perf_counter()
    done = dataset("recordings", repository.as_uri()).compact()
    print(f"compacted {done.rows:,} rows in {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()
