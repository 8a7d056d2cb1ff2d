"""Colleagues, mirrors and planes: projects over real servers, with what is asked of them counted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import orbitpkg
from orbitpkg.api.install import install
from orbitpkg.api.packages import packages as list_packages
from orbitpkg.api.packages import remove
from orbitpkg.api.project.repositories import add_repository
from orbitpkg.api.project.sync import add, sync
from orbitpkg.api.publish import publish
from orbitpkg.api.search import versions
from orbitpkg.config.repositories import home, open_repository
from orbitpkg.errors import IntegrityError, OfflineError
from orbitpkg.model.release import release_digest
from orbitpkg.model.versions import parse_version
from orbitpkg.objects import open_store
from orbitpkg.repository.index import IndexEntry
from orbitpkg.repository.layout import index_key, record_key
from tests.packages import make_package, noise, tree_of
from tests.records import record_of
from tests.servers.fixtures import skip_or_fail
from tests.servers.interposed import Answer, Request, interposed
from tests.servers.processes import HOST, ServerMissing, find_program, free_port
from tests.torture.scale import scaled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.processes import S3Server, StaticSite


class Machine:
    """A colleague's machine: a home and a working copy of the project."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.app = folder / "app"
        self.app.mkdir(parents=True)
        self._home = folder / "home"
        self._monkeypatch = monkeypatch

    def sit_down(self) -> None:
        """Work on this machine from now on."""
        self._monkeypatch.setenv("ORBITPKG_HOME", str(self._home))
        self._monkeypatch.chdir(self.app)


@pytest.fixture(autouse=True)
def clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Start without any configuration."""
    monkeypatch.setenv("ORBITPKG_CONFIG", str(tmp_path / "no config.toml"))
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "publisher"))
    for variable in ("ORBITPKG_REPOSITORY", "ORBITPKG_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)


def publish_all(folder: Path, url: str) -> None:
    """Publish a model that needs weights and a tokenizer, and newer versions that are not locked."""
    weights = {"weights.bin": noise(6_000_000), "run.sh": b"#!/bin/sh\n", "empty": b""}
    package = make_package(folder / "w1", name="weights", files=weights)
    (package / "run.sh").chmod(0o755)
    publish(package, url)
    publish(make_package(folder / "t1", name="Tokenizer", files={"words": b"a b c"}), url)
    needs = {"weights": "~=1.0", "tokenizer": ">=1"}
    publish(make_package(folder / "m1", name="model", files={"card.md": b"one"}, dependencies=needs), url)


def publish_more(folder: Path, url: str) -> None:
    for name in ("weights", "Tokenizer", "model"):
        publish(make_package(folder / f"{name}-more", name=name, version="1.9.0", files={"x": b"newer"}), url)


def trees(packages: list[orbitpkg.Package]) -> dict[str, object]:
    return {f"{package.name}=={package.version}": tree_of(package.path) for package in packages}


@pytest.mark.parametrize("name", ["directory", "moto", "ceph"])
def test_a_lock_gives_another_user_identical_bytes(
    name: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name == "directory":
        url = (tmp_path / "shared").as_uri()
    else:
        server: S3Server = request.getfixturevalue(name)
        for key, value in server.env().items():
            monkeypatch.setenv(key, value)
        url = f"s3://{server.new_bucket()}/models"
    publish_all(tmp_path, url)
    one, other = Machine(tmp_path / "one", monkeypatch), Machine(tmp_path / "other", monkeypatch)
    one.sit_down()
    add_repository("shared", url)
    add(["model"])
    mine = trees(orbitpkg.project().packages())
    publish_more(tmp_path, url)
    for file in ("orbit.toml", "orbit.lock"):
        shutil.copy(one.app / file, other.app / file)
    other.sit_down()
    _, installed = sync(frozen=True)
    assert len(installed.new) == 3
    assert trees(orbitpkg.project().packages()) == mine
    assert mine.keys() == {"model==1.0.0", "Tokenizer==1.0.0", "weights==1.0.0"}
    assert (other.app / "orbit.lock").read_bytes() == (one.app / "orbit.lock").read_bytes()


class Count:
    """What a server was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, request: Request) -> Answer | None:
        path, _, query = request.path.partition("?")
        self.asked.append("LIST" if "list-type=2" in query else f"{request.method} {path.split('/', 2)[-1]}")
        return None


def publish_many(folder: Path, url: str, count: int) -> None:
    """Publish a package with a number of versions, the newest of which can be installed."""
    store = open_store(url)
    publish(make_package(folder / "m", version="9.0.0", files={"a": b"1"}), url)
    found = open_repository(url).index("model")
    assert found is not None
    template = record_of("model", "1.0.0", dependencies={"other": ">=1.0,<2"})
    entries = dict(found.releases)

    def put(number: int) -> None:
        version = parse_version(f"1.{number // 100}.{number % 100}")
        raw = template.raw.replace(b"1.0.0", str(version).encode())
        entries[version] = replace(IndexEntry.of(template), digest=release_digest(raw))
        store.put(record_key("model", version), raw)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(count - 1)))
    store.put(index_key("model"), found.with_entries(entries).to_json())


def test_of_thousands_of_versions_a_warm_install_takes_four_requests(
    moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key, value in moto.env().items():
        monkeypatch.setenv(key, value)
    url = f"s3://{moto.new_bucket()}"
    count_of_versions = scaled(2_000, 10_000)
    publish_many(tmp_path, url, count_of_versions)
    # Another machine knows the index from before the newest release was installed there.
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    assert len(versions("model", repository=url)) == count_of_versions
    count = Count()
    with interposed(moto.endpoint, count) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
        assert install("model", repository=url).version == "9.0.0"
        assert Counter(word.split()[0] for word in count.asked) == {"LIST": 1, "GET": 3}
        count.asked.clear()
        assert install("model", repository=url).version == "9.0.0"
        assert sorted(count.asked) == ["GET index/model.json", "LIST"]
        count.asked.clear()
        # What is published beside it is seen at once, and costs the changed index.
        publish(make_package(tmp_path / "n", version="9.1.0", files={"a": b"2"}), url)
        count.asked.clear()
        assert install("model", repository=url).version == "9.1.0"
        assert Counter(word.split()[0] for word in count.asked) == {"LIST": 1, "GET": 3}


class TestMirrors:
    @pytest.fixture
    def site(self, static_site: StaticSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StaticSite:
        """A web server with a copy of a repository, whose own address does not respond."""
        site = static_site.new_folder()
        shutil.rmtree(site.root)
        publish_all(tmp_path, site.root.as_uri())
        machine = Machine(tmp_path / "machine", monkeypatch)
        machine.sit_down()
        down = f"http://{HOST}:{free_port()}"
        add_repository("main", down, mirrors=[site.url])
        return site

    def test_a_mirror_is_asked_when_the_repository_does_not_answer(self, site: StaticSite) -> None:
        locked, installed = add(["model"])
        assert len(installed.new) == 3
        assert {package.repository for package in locked.lock.packages.values()} == {"main"}
        assert site.url not in (locked.path.parent / "orbit.lock").read_text()

    def test_an_object_of_a_mirror_with_a_different_digest_is_refused(self, site: StaticSite) -> None:
        add(["model"])
        remove("model")
        record = site.root / "releases" / "model" / "1.0.0.json"
        record.write_bytes(record.read_bytes().replace(b'"published":"2', b'"published":"3'))
        shutil.rmtree(home() / "cache")
        with pytest.raises(IntegrityError, match="differs from the locked release"):
            sync(frozen=True)
        with pytest.raises(IntegrityError, match="differs from the release in the index"):
            install("model")
        assert [package.name for package in list_packages()] == ["Tokenizer", "weights"]


UNREACHABLE = """
import sys
from orbitpkg.cli import main
sys.exit(main(sys.argv[1:]))
"""


def tracer() -> Path:
    try:
        return find_program("strace", how_to_get="apt-get install strace")
    except ServerMissing as missing:
        skip_or_fail(missing)


class TestOffline:
    """No socket is opened: held by the kernel's own record of what the process asked of it."""

    @pytest.fixture
    def machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moto: S3Server) -> Machine:
        """A machine on which a project was locked and synced, and another package of the repository never seen."""
        for key, value in moto.env().items():
            monkeypatch.setenv(key, value)
        url = f"s3://{moto.new_bucket()}"
        publish_all(tmp_path, url)
        machine = Machine(tmp_path / "machine", monkeypatch)
        machine.sit_down()
        add_repository("shared", url)
        add(["model"])
        return machine

    def traced(self, machine: Machine, *words: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
        """Run a command. Also return the sockets that it and its children opened, except local ones."""
        strace = str(tracer())
        log = machine.app.parent / "trace"
        command = [strace, "-f", "-qq", "-e", "trace=socket,connect,bind", "-o", str(log)]
        done = subprocess.run(
            [*command, sys.executable, "-c", UNREACHABLE, *words],
            cwd=machine.app,
            env={**os.environ, "ORBITPKG_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        return done, log.read_text().splitlines()

    @pytest.mark.parametrize(
        "words",
        [
            ("sync", "--frozen"),
            ("sync", "--locked"),
            ("lock",),
            ("lock", "--upgrade"),
            ("install", "model"),
            ("install", "model==1.0.0"),
            ("install", "tokenizer>=1"),
            ("outdated",),
            ("versions", "model"),
            ("tree",),
            ("diff", "model", "weights"),
        ],
    )
    def test_installed_and_cached_releases_are_used_anyway(self, machine: Machine, words: tuple[str, ...]) -> None:
        done, sockets = self.traced(machine, *words)
        assert (done.returncode, sockets) == (0, []), done.stderr

    @pytest.mark.parametrize(
        ("words", "named"),
        [
            (("add", "unseen"), "unseen"),
            (("install", "unseen"), "unseen"),
            (("versions", "unseen"), "unseen"),
            (("publish", "."), "shared"),
            (("doctor",), "s3://"),
        ],
    )
    def test_missing_parts_are_named(self, machine: Machine, words: tuple[str, ...], named: str) -> None:
        if words[0] == "publish":
            make_package(machine.app, name="shared")
            named = "s3://"
        done, sockets = self.traced(machine, *words)
        assert (done.returncode, sockets) == (1, [])
        assert named in done.stderr
        assert "offline" in done.stderr.lower()

    def test_all_that_is_not_installed_is_named_at_once(
        self, machine: Machine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        machine.sit_down()
        for name in ("weights", "tokenizer"):
            remove(name)
        monkeypatch.setenv("ORBITPKG_OFFLINE", "1")
        named = r"these locked packages are not installed, or lack files: Tokenizer==1\.0\.0, weights==1\.0\.0\.(\n|$)"
        with pytest.raises(OfflineError, match=named):
            sync(frozen=True)

    def test_a_trace_sees_the_sockets_of_a_command_that_asks(self, machine: Machine) -> None:
        strace = str(tracer())
        log = machine.app.parent / "trace"
        command = [strace, "-f", "-qq", "-e", "trace=socket,connect,bind", "-o", str(log), sys.executable, "-c"]
        subprocess.run([*command, UNREACHABLE, "versions", "model"], cwd=machine.app, check=True, capture_output=True)
        assert "AF_INET" in log.read_text()
