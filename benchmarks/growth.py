"""Measure how cost grows with size, and how long commands take to start: `python -m benchmarks.growth`.

Packages with increasing numbers of small files, chunks or versions are published to a directory and installed from it.
With `--large`, one package has 8 GiB and is installed from a web server. There is no comparison with other tools: the
aim is to find costs that grow faster than their input.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import ROOT, search_path
from benchmarks.measure import measure
from benchmarks.network import Link, enter_private_network, loopback_link, near_link
from benchmarks.records import Records
from benchmarks.servers import web_server
from benchmarks.startup import measure_startup
from benchmarks.workplaces import clear_workplaces, workplace
from tests.servers.processes import ServerFailed, ServerMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from orbitpkg.model.release import Release

__all__ = ["main"]

FILES = (1_000, 10_000, 100_000)
CHUNKS = (1, 10, 100, 1_000)
VERSIONS = (10, 100, 1_000, 10_000)
LARGE_BYTES = 8 << 30
_MIB = 1 << 20
_LOCAL = Link(address="127.0.0.1", what="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """A series of sizes, with its records and its working directory."""

    records: Records
    name: str
    title: str
    work: Path
    env: Mapping[str, str]
    link: Link = _LOCAL

    def step(self, name: str, size: str, script: str) -> None:
        """Run a script, and record its cost."""
        cost, _ = measure(script, env=self.env, folder=self.work, link=self.link, log=self.work / "log")
        self.records.add("growth", group=self.name, title=self.title, size=size, step=name, **asdict(cost))
        self.records.say(f"  {size}: {name} {cost.wall:.2f} s, cpu {cost.cpu:.2f}, {cost.memory / _MIB:.0f} MiB")


@contextmanager
def _group(records: Records, folder: Path, *, name: str, title: str) -> Iterator[_Group]:
    records.say(title)
    with workplace(folder) as work:
        env = {
            "PATH": search_path(),
            "HOME": str(work),
            "LANG": "C.UTF-8",
            "ORBITPKG_HOME": str(work / "home"),
            "ORBITPKG_REPOSITORY": (work / "repository").as_uri(),
        }
        yield _Group(records=records, name=name, title=title, work=work, env=env)
    records.report()


def _files(records: Records, folder: Path, most: int) -> None:
    for count in (count for count in FILES if count <= most):
        with _group(records, folder, name="files", title="files of 1 to 20 KiB") as group:
            size = f"{count:,}"
            _make(group, "files", count)
            group.step("build", size, "orbitpkg build -q tree -o built")
            group.step("publish", size, "orbitpkg publish -q tree")
            group.step("cold install", size, "orbitpkg install -q grown")
            group.step("install again", size, "orbitpkg install -q grown==1.0.0")
            group.step("path", size, "orbitpkg path grown 00/0.bin")
            group.step("verify", size, "orbitpkg verify")
            group.step("cp -a of the tree", size, "cp -a tree copy")


def _chunks(records: Records, folder: Path, most: int) -> None:
    for count in (count for count in CHUNKS if count <= most):
        with _group(records, folder, name="chunks", title="chunks of about 256 KiB") as group:
            _make(group, "bytes", count * _MIB // 4)
            size = f"{_chunk_count(group):,}"
            group.step("build", size, "orbitpkg build -q tree -o built")
            group.step("publish", size, "orbitpkg publish -q tree")
            group.step("cold install", size, "orbitpkg install -q grown")
            group.step("install again", size, "orbitpkg install -q grown==1.0.0")


def _chunk_count(group: _Group) -> int:
    """Return the number of chunks in the tree."""
    from orbitpkg.api.publish import build
    from orbitpkg.archive.reader import LocalArchive

    path = build(group.work / "tree", group.work)
    with LocalArchive.open(path) as archive:
        return len(archive.contents.chunks)


def _versions(records: Records, folder: Path, most: int) -> None:
    for count in (count for count in VERSIONS if count <= most):
        with _group(records, folder, name="versions", title="versions of one package") as group:
            size = f"{count:,}"
            _make(group, "bytes", 64 * 1024)
            _fill(group, count)
            _set_version(group, f"1.0.{count}")
            group.step("publish, no index", size, "orbitpkg publish -q tree")
            _set_version(group, f"1.0.{count + 1}")
            group.step("publish", size, "orbitpkg publish -q tree")
            group.step("versions", size, "orbitpkg versions grown")
            group.step("install the newest", size, "orbitpkg install -q grown")
            group.step(
                "install an exact one", size, f'ORBITPKG_HOME="$HOME/b" orbitpkg install -q grown==1.0.{count + 1}'
            )
            group.step("search", size, "orbitpkg search grown")


def _fill(group: _Group, count: int) -> None:
    """Publish once, then write records that differ only in their version and are not in the index.

    They share an archive, which is never read: what is measured is finding one's way among records.
    """
    from orbitpkg.model.versions import parse_version

    subprocess.run(["orbitpkg", "publish", "-q", "tree"], check=True, env=dict(group.env), cwd=group.work,
                   stdout=subprocess.DEVNULL)  # fmt: skip
    from orbitpkg.config.repositories import open_repository

    repository = open_repository(group.work / "repository")
    first = repository.release("grown", parse_version("1.0.0"))
    for number in range(1, count):
        repository.commit(_of_version(first, f"1.0.{number}"))


def _set_version(group: _Group, version: str) -> None:
    manifest = {"name": "grown", "version": version, "include": ["**"]}
    (group.work / "tree/package.json").write_text(json.dumps(manifest))


def _of_version(release: Release, version: str) -> Release:
    from orbitpkg.model.versions import parse_version

    raw = release.raw.replace(b'"version":"1.0.0"', f'"version":"{version}"'.encode())
    return replace(release, version=parse_version(version), raw=raw)


def _large(records: Records, folder: Path, total: int, make_link: Callable[[], AbstractContextManager[Link]]) -> None:
    """Publish, install and upgrade one large file, to measure memory."""
    size = f"{total / (1 << 30):g} GiB"
    with _group(records, folder, name="large", title="one file of random bytes") as group, make_link() as link:
        served = group.work / "served"
        served.mkdir()
        with web_server(served, link.address) as site:
            env = {**group.env, "SITE": f"{site.url}/repository", "ROOT": str(site.root / "repository")}
            here = replace(group, link=link, env=env)
            _make(here, "bytes", total)
            here.step("publish", size, 'orbitpkg publish -q tree -r "$ROOT"')
            here.step("cold install", size, 'orbitpkg install -q -r "$SITE" grown==1.0.0')
            _make(here, "change", total // 100)
            here.step("publish v2", size, 'orbitpkg publish -q tree -r "$ROOT"')
            here.step("upgrade", size, 'orbitpkg install -q -r "$SITE" grown==2.0.0')


def _make(group: _Group, *what: object) -> None:
    """Make or change the tree in a subprocess, which keeps the memory of this process small."""
    command = [sys.executable, "-m", "benchmarks.growth_data", str(group.work / "tree"), *map(str, what)]
    subprocess.run(command, check=True, cwd=ROOT)


def main() -> None:
    """Run the benchmarks given on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="also 8 GiB; takes 40 GiB of disk meanwhile")
    parser.add_argument("--scale", type=float, default=1.0, help="leave out what is larger than this share of the most")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "orbitpkg-bench"))
    parser.add_argument("--report", type=Path, default=ROOT / "benchmarks/RESULTS.md")
    options = parser.parse_args()
    private = enter_private_network()
    options.folder.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] = search_path()
    records = Records(options.folder / "growth.jsonl", report=options.report)
    records.begin("growth")
    records.say("starting")
    measure_startup(records, options.folder)
    records.report()
    for grow, most in ((_files, FILES[-1]), (_chunks, CHUNKS[-1]), (_versions, VERSIONS[-1])):
        grow(records, options.folder, round(most * options.scale))
    if options.large:
        try:
            total = round(LARGE_BYTES * options.scale)
            _large(records, options.folder, total, near_link if private else loopback_link)
        except (ServerMissing, ServerFailed) as missing:
            records.add("skipped", what="8 GiB", reason=str(missing))
    records.report()
    clear_workplaces(options.folder)


if __name__ == "__main__":
    main()
