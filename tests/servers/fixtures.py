"""Fixtures that are real servers: one of each kind for the whole run, started when a test first asks.

If the program of a server is missing, the tests that need it are skipped with a hint how to install it. With `CI=true`,
they fail instead, because a green run must have covered everything.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn, Protocol

import pytest

from tests.servers.processes import S3Server, ServerMissing, StaticSite, has_program
from tests.servers.sharing import Run, obtain

__all__ = ["ceph", "moto", "nginx", "python_site", "rangeless_site", "rclone", "s3_server", "static_site"]

RUN = pytest.StashKey[Run]()
FOLDER = pytest.StashKey[Path]()
WORKER_INPUT = "orbitpkg_servers"


def pytest_configure(config: pytest.Config) -> None:
    """Make the run's folder, or take over the one that the controller made."""
    worker_input: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker_input is None:
        config.stash[RUN] = Run()
        config.stash[FOLDER] = config.stash[RUN].folder
    else:
        config.stash[FOLDER] = Path(worker_input[WORKER_INPUT])


class WorkerNode(Protocol):
    """What this module uses of pytest-xdist's untyped `WorkerController`."""

    config: pytest.Config
    workerinput: dict[str, str]


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerNode) -> None:
    """Tell a worker of pytest-xdist where the run's folder is."""
    node.workerinput[WORKER_INPUT] = str(node.config.stash[FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop all servers, when this process is the last of the run."""
    if RUN in config.stash:
        config.stash[RUN].end()


def skip_or_fail(missing: ServerMissing) -> NoReturn:
    """Skip the test that cannot run here, saying how to get what it needs; with `CI=true`, fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI runs everything, but {missing}")
    pytest.skip(str(missing))


def _fields(config: pytest.Config, server: str) -> dict[str, str]:
    try:
        return obtain(config.stash[FOLDER], server)
    except ServerMissing as missing:
        skip_or_fail(missing)


def _s3(config: pytest.Config, server: str) -> S3Server:
    return S3Server(**_fields(config, server))


def _site(config: pytest.Config, server: str) -> StaticSite:
    fields = _fields(config, server)
    return StaticSite(url=fields["url"], root=Path(fields["root"]))


@pytest.fixture(scope="session")
def moto(pytestconfig: pytest.Config) -> S3Server:
    """AWS, as moto simulates it."""
    return _s3(pytestconfig, "processes.moto_server")


@pytest.fixture(scope="session")
def rclone(pytestconfig: pytest.Config) -> S3Server:
    """`rclone serve s3`: the store that breaks promises in silence."""
    return _s3(pytestconfig, "processes.rclone_server")


@pytest.fixture(scope="session")
def ceph(pytestconfig: pytest.Config) -> S3Server:
    """A production object store. Tests share 4 GiB, and what they delete is not given back."""
    return _s3(pytestconfig, "ceph.ceph_server")


@pytest.fixture(params=["moto", "rclone", "ceph"])
def s3_server(request: pytest.FixtureRequest) -> S3Server:
    """Each S3 server in turn."""
    server: S3Server = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session")
def nginx(pytestconfig: pytest.Config) -> StaticSite:
    """A plain web server."""
    return _site(pytestconfig, "websites.nginx_site")


@pytest.fixture(scope="session")
def python_site(pytestconfig: pytest.Config) -> StaticSite:
    """A plain web server that answers ranges, there on every machine."""
    return _site(pytestconfig, "websites.python_site")


@pytest.fixture(scope="session")
def static_site(request: pytest.FixtureRequest) -> StaticSite:
    """Nginx where it is installed, otherwise `python_site`."""
    site: StaticSite = request.getfixturevalue("nginx" if has_program("nginx") else "python_site")
    return site


@pytest.fixture(scope="session")
def rangeless_site(pytestconfig: pytest.Config) -> StaticSite:
    """A web server that gives the whole file whatever range was asked for."""
    return _site(pytestconfig, "websites.rangeless_site")
