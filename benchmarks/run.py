"""Compare orbitpkg with other tools and with the machine's limits: `python -m benchmarks.run`.

Each repetition runs all tools on the same machine, and each ratio is computed within a repetition. There are three
tables: an object store (Ceph) for publishing and installing, a web server (nginx) for installing, and the same web
server over a long link. RESULTS.md is updated after every measurement.
"""

from __future__ import annotations

import argparse
import filecmp
import json
import os
import shutil
import string
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.ballast import held
from benchmarks.limits import __file__ as limits_script
from benchmarks.machine import ROOT, describe, search_path
from benchmarks.measure import CommandFailed, measure
from benchmarks.network import LinkMissing, enter_private_network, far_link, loopback_link, near_link
from benchmarks.peers import PEERS, SITE_LAYOUT, SITE_PEERS, Peer
from benchmarks.records import Records
from benchmarks.servers import Bucket, object_store, web_server
from benchmarks.workplaces import clear_workplaces, workplace
from tests.servers.processes import ServerFailed, ServerMissing

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from contextlib import AbstractContextManager

    from benchmarks.network import Link
    from tests.servers.processes import S3Server

__all__ = ["main"]

FIRST, SECOND = "1.0.0", "2.0.0"
_LIMITS = ("limit: ranged GET", "limit: GET, decompress, digest, write")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bench:
    """The state shared by all tables.

    Attributes:
        records: Where what is found out goes.
        folder: Holds everything that is written.
        versions: The two trees of data.
        site: What web servers serve.
        only: The names of the tools to run; empty for all.
    """

    records: Records
    folder: Path
    versions: Mapping[str, Path]
    site: Path
    only: frozenset[str]

    def there(self, peers: Iterable[Peer]) -> list[Peer]:
        """Select the tools that can run here, and record what the others lack."""
        found = []
        for peer in peers:
            missing = [name for name in peer.programs if shutil.which(name, path=search_path()) is None]
            if self.only and peer.name.split(",")[0].split()[0] not in self.only:
                continue
            if missing:
                self.skip(
                    peer.name, f"not installed: {', '.join(f'{name} ({peer.programs[name]})' for name in missing)}"
                )
            else:
                found.append(peer)
        return found

    def skip(self, what: str, reason: str) -> None:
        """Record a skipped measurement and the reason."""
        self.records.say(f"{what} is left out: {reason}")
        self.records.add("skipped", what=what, reason=reason)

    def work(self) -> AbstractContextManager[Path]:
        """Return a directory for one tool in one repetition."""
        return workplace(self.folder)


class _Session:
    """One tool in one repetition, with its directory, variables and steps."""

    def __init__(
        self, bench: _Bench, peer: Peer, *, table: str, repetition: int, link: Link, work: Path, env: Mapping[str, str]
    ) -> None:
        self._bench = bench
        self._peer = peer
        self._table = table
        self._repetition = repetition
        self._link = link
        self.work = work
        self.tree = work / "tree"
        self.place = work / "place"
        self._env = {
            "PATH": search_path(),
            "LANG": "C.UTF-8",
            "HOME": str(work / "home"),
            "WORK": str(work),
            "TREE": str(self.tree),
            "RCLONE_CONFIG": os.devnull,
            "RESTIC_CACHE_DIR": str(work / "cache"),
            "PYTHONPATH": str(ROOT),
            **env,
        }
        (work / "home").mkdir()
        self.place.mkdir()

    def variables(self, version: str, place: Path | None = None) -> dict[str, str]:
        """Return the environment of a step."""
        env = {**self._env, "VERSION": version, "PLACE": str(place or self.place)}
        for name, text in self._peer.env.items():
            env[name] = string.Template(text).substitute(env)
        return env

    def run(self, script: str, version: str, *, place: Path | None = None, may_fail: bool = False) -> tuple[Any, int]:
        """Run and measure a script. Return its cost and its exit status."""
        return measure(
            script,
            env=self.variables(version, place),
            folder=self.work,
            link=self._link,
            log=self.work / "log",
            may_fail=may_fail,
        )

    def step(self, name: str, script: str, version: str) -> None:
        """Run a script, if one is given, and record its cost."""
        if not script:
            return
        cost, _ = self.run(script, version)
        self.fact("step", step=name, **asdict(cost))
        wire = "" if cost.received is None else f", {(cost.received + cost.sent) / 2**20:.1f} MiB on the wire"
        self._bench.records.say(
            f"  {self._table} {self._repetition + 1}: {self._peer.name}: {name} "
            f"{cost.wall:.2f} s, cpu {cost.cpu:.2f}{wire}"
        )

    def fact(self, kind: str, **facts: Any) -> None:
        """Record a fact about this tool."""
        facts = {"table": self._table, "repetition": self._repetition, "peer": self._peer.name, **facts}
        self._bench.records.add(kind, **facts)

    def install(self, name: str, version: str) -> None:
        """Install a version after the previous step, and verify its files."""
        if self._peer.prepare:
            self.run(self._peer.prepare, version)
        self.step(name, self._peer.install, version)
        wrong = self.differences(version, self.place)
        if wrong:
            raise CommandFailed(f"{self._peer.name}: {name} left wrong: {', '.join(wrong[:5])}")

    def differences(self, version: str, place: Path) -> list[str]:
        """List the files of a version that are missing or different in a directory."""
        installed = place / string.Template(self._peer.installed).substitute(VERSION=version)
        return _differences(self._bench.versions[version], installed)

    def survives(self, version: str, endpoint: str) -> str:
        """Install into an empty home through an endpoint that damages data. Return whether the tool detects it."""
        place = self.work / "damaged"
        place.mkdir()
        self._env.update(dict.fromkeys(("ENDPOINT", "S3_ENDPOINT_URL", "AWS_ENDPOINT_URL"), endpoint))
        if self._peer.prepare:
            self.run(self._peer.prepare, version, place=place)
        _, status = self.run(self._peer.install, version, place=place, may_fail=True)
        if status != 0:
            return "yes"
        return "no" if self.differences(version, place) else "unharmed"


def _differences(wanted: Path, there: Path) -> list[str]:
    files = [path.relative_to(wanted) for path in wanted.rglob("*") if path.is_file()]
    filecmp.clear_cache()
    return [
        str(path)
        for path in files
        if not (there / path).is_file() or not filecmp.cmp(wanted / path, there / path, shallow=False)
    ]


def _become(tree: Path, wanted: Path) -> None:
    """Change one version's tree to the other's, writing the changed files as the author would."""
    for name in _differences(wanted, tree):
        shutil.copyfile(wanted / name, tree / name)
    for path in list(tree.rglob("*")):
        if path.is_file() and not (wanted / path.relative_to(tree)).exists():
            path.unlink()


# The tables.


def _uploads(bench: _Bench, repetitions: int, near: AbstractContextManager[Link]) -> None:
    with near as link:
        peers = bench.there(PEERS)
        for repetition in range(repetitions):
            with bench.work() as folder, object_store(folder, link.address) as server:
                bench.records.add("server", table="store", name=server.name, link=link.what)
                for peer in peers:
                    with bench.work() as work:
                        _upload(bench, peer, server, repetition=repetition, link=link, work=work)
                    bench.records.report()


def _upload(bench: _Bench, peer: Peer, server: S3Server, *, repetition: int, link: Link, work: Path) -> None:
    bucket = Bucket.new(server)
    env = {
        **server.env(),
        "S3_ENDPOINT_URL": server.endpoint,
        "ENDPOINT": server.endpoint,
        "BUCKET": bucket.name,
    }
    session = _Session(bench, peer, table="store", repetition=repetition, link=link, work=work, env=env)
    shutil.copytree(bench.versions[FIRST], session.tree)
    try:
        if peer.setup:
            session.run(peer.setup, FIRST)
        session.step("build", peer.build, FIRST)
        session.step("publish v1", peer.publish, FIRST)
        session.fact("bucket", step="publish v1", bytes=bucket.size())
        session.install("cold install", FIRST)
        if peer.again:
            session.install("install again", FIRST)
        session.step("path from an app", peer.path, FIRST)
        if peer.name == "orbitpkg":
            _limits(bench, _archive(bucket), repetition=repetition, table="store", link=link, env=env)
        before = bucket.objects()
        _become(session.tree, bench.versions[SECOND])
        session.step("publish v2", peer.publish, SECOND)
        session.fact("bucket", step="publish v2", bytes=bucket.size())
        session.install("upgrade", SECOND)
        if repetition == 0:
            key, size = bucket.largest(besides=before)
            with bucket.damaged(key, size) as endpoint:
                noticed = session.survives(SECOND, endpoint)
            session.fact("flip", noticed=noticed, key=key)
            bench.records.say(f"  store 1: {peer.name}: a flipped byte in {key} noticed: {noticed}")
    except CommandFailed as failed:
        bench.skip(f"{peer.name}, repetition {repetition + 1} with the object store", str(failed))


def _archive(bucket: Bucket) -> str:
    size, key = max((size, key) for key, size, _ in bucket.objects() if "/archives/" in key)
    assert size
    return f"s3://{bucket.name}/{key}"


def _downloads(bench: _Bench, table: str, repetitions: int, make: AbstractContextManager[Link]) -> None:
    peers = bench.there(SITE_PEERS)
    with bench.work() as folder, make as link, web_server(folder, link.address) as site:
        for part in bench.site.iterdir():
            (site.root / part.name).symlink_to(part)
        archive = next((bench.site / "repository/archives/bench").glob("bench-1.0.0-*"))
        url = f"{site.url}/{archive.relative_to(bench.site)}"
        bench.records.add("server", table=table, name="nginx", link=link.what)
        for repetition in range(repetitions):
            for peer in peers:
                with bench.work() as work:
                    session = _Session(
                        bench, peer, table=table, repetition=repetition, link=link, work=work, env={"SITE": site.url}
                    )
                    _download(bench, session, peer)
            _limits(bench, url, repetition=repetition, table=table, link=link, env={})
            if table == "site":
                _disk_limits(bench, repetition=repetition, link=link)
            bench.records.report()


def _download(bench: _Bench, session: _Session, peer: Peer) -> None:
    try:
        session.install("cold install", FIRST)
        if peer.again:
            session.install("install again", FIRST)
        session.install("upgrade", SECOND)
    except CommandFailed as failed:
        bench.skip(f"{peer.name} with the web server", str(failed))


def _limits(bench: _Bench, url: str, *, repetition: int, table: str, link: Link, env: Mapping[str, str]) -> None:
    for name, verb in zip(_LIMITS, ("get", "pipeline"), strict=True):
        script = f'python3 "{limits_script}" {verb} "{url}" "$PLACE/got"'
        _limit(bench, name, script, repetition=repetition, table=table, link=link, env=env)


def _disk_limits(bench: _Bench, *, repetition: int, link: Link) -> None:
    tree = bench.versions[FIRST]
    for name, script in {
        "limit: copy of the tree": f'cp -a "{tree}" "$PLACE/"',
        "limit: BLAKE3 of the tree": f'python3 "{limits_script}" digest "{tree}"',
    }.items():
        _limit(bench, name, script, repetition=repetition, table="site", link=link, env={})


def _limit(
    bench: _Bench, name: str, script: str, *, repetition: int, table: str, link: Link, env: Mapping[str, str]
) -> None:
    peer = Peer(name=name, programs={}, install=script)
    with bench.work() as work:
        session = _Session(bench, peer, table=table, repetition=repetition, link=link, work=work, env=env)
        session.step("cold install", script, FIRST)


# Preparation.


def _prepare_data(folder: Path, scale: float) -> tuple[dict[str, Path], int]:
    """Make the data in a subprocess, unless they exist. Return the trees and the number of different bytes."""
    root = folder / f"data-{scale:g}"
    subprocess.run([sys.executable, "-m", "benchmarks.data", str(root), "--scale", str(scale)], check=True, cwd=ROOT)
    changed = json.loads((root / "complete").read_text())["changed"]
    return {FIRST: root / "v1", SECOND: root / "v2"}, changed


def _prepare_site(bench: _Bench) -> None:
    """Publish the releases that the web servers serve."""
    with bench.work() as work:
        for version, tree in bench.versions.items():
            env = {
                **os.environ,
                "PATH": search_path(),
                "WORK": str(work),
                "TREE": str(tree),
                "VERSION": version,
                "SITE_ROOT": str(bench.site),
            }
            for script in SITE_LAYOUT:
                subprocess.run(
                    ["bash", "-o", "pipefail", "-ec", script], check=True, env=env, stdout=subprocess.DEVNULL
                )


def _changed_chunks(site: Path) -> dict[str, int]:
    """Return the smallest download of an upgrade, given the chunks."""
    from orbitpkg.config.repositories import open_repository
    from orbitpkg.model.versions import parse_version

    repository = open_repository(site / "repository")
    releases = [repository.release("bench", parse_version(version)) for version in (FIRST, SECOND)]
    (_, old), (_, new) = (repository.contents(release) for release in releases)
    known = {chunk.blake3 for chunk in old.chunks}
    return {
        "chunks": sum(chunk.stored for chunk in new.chunks if chunk.blake3 not in known),
        "contents": releases[1].contents.length,
        "archive": releases[0].archive.size,
    }


def main() -> None:
    """Run the benchmarks given on the command line."""
    options = _options()
    private = enter_private_network()
    options.folder.mkdir(parents=True, exist_ok=True)
    records = Records(options.folder / "run.jsonl", report=options.report)
    records.say("making the data")
    versions, changed = _prepare_data(options.folder, options.scale)
    clear_workplaces(options.folder)
    (site := options.folder / "work/site").mkdir(parents=True)
    bench = _Bench(records=records, folder=options.folder, versions=versions, site=site, only=frozenset(options.only))
    records.add("machine", **describe(), scale=options.scale, repetitions=options.repetitions)
    _prepare_site(bench)
    size = sum(path.stat().st_size for path in versions[FIRST].rglob("*") if path.is_file())
    records.add("data", bytes=size, changed=changed, **_changed_chunks(site))
    with held(options.hold):
        for table in options.tables:
            try:
                _table(bench, table, options.repetitions, private=private)
            except (LinkMissing, ServerMissing, ServerFailed) as missing:
                bench.skip(f"the table “{table}”", str(missing))
            records.report()
    if not options.keep:
        clear_workplaces(options.folder)


def _table(bench: _Bench, table: str, repetitions: int, *, private: bool) -> None:
    near = near_link if private else loopback_link
    if table == "store":
        _uploads(bench, repetitions, near())
    elif table == "site":
        _downloads(bench, table, repetitions + 2 if repetitions > 1 else 1, near())
    elif private:
        _downloads(bench, table, repetitions, far_link())
    else:
        raise LinkMissing("network namespaces take root, and unshare, nsenter and ip")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", type=float, default=1.0, help="of the data; 1 is about 750 MiB")
    parser.add_argument("--repetitions", type=int, default=3, help="two more for the web server nearby, if above 1")
    parser.add_argument("--tables", nargs="+", default=["site", "far", "store"], choices=["site", "far", "store"])
    parser.add_argument("--only", nargs="+", default=[], help="tools, by the first word of their names")
    parser.add_argument("--hold", type=float, default=0.0, metavar="GIB", help="of memory, meanwhile: see ballast.py")
    parser.add_argument("--keep", action="store_true", help="delete nothing: another measurement follows at once")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir(), "orbitpkg-bench"))
    parser.add_argument("--report", type=Path, default=ROOT / "benchmarks/RESULTS.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
