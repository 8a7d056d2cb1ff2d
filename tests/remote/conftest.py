"""What the tests of remote files have in common: a machine of their own, and stores to reach from it."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from orbitpkg.objects import open_store
from tests.faulty_store import FaultyStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orbitpkg.objects import ObjectStore
    from tests.servers.processes import S3Server

__all__ = ["Place", "enter"]


@dataclass(frozen=True)
class Place:
    """Where objects are: their store, and how their URIs begin."""

    name: str
    uri: str
    store: ObjectStore


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, without anybody's configuration."""
    for name in os.environ:
        if name.startswith(("AWS_", "S3STASHER_", "ORBITPKG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    (tmp_path / "user").mkdir()
    return tmp_path / "home"


@pytest.fixture
def memory() -> Iterator[tuple[str, FaultyStore]]:
    """A store that counts what it is asked."""
    name = uuid.uuid4().hex
    yield f"memory://{name}", FaultyStore(name)
    FaultyStore.forget(name)


def enter(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Make a bucket, and have this process talk to its server."""
    for name, value in server.env().items():
        monkeypatch.setenv(name, value)
    uri = f"s3://{server.new_bucket()}"
    return Place(server.name, uri, open_store(uri))
