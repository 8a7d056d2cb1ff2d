"""Fixtures of the tests of remote files: a machine, and stores to reach from it."""

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
    """A store for objects, and the prefix of their URIs."""

    name: str
    uri: str
    store: ObjectStore


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder without configuration."""
    for name in os.environ:
        if name.startswith(("AWS_", "S3STASHER_", "ORBITPKG_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "user"))
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    (tmp_path / "user").mkdir()
    return tmp_path / "home"


@pytest.fixture
def memory() -> Iterator[tuple[str, FaultyStore]]:
    """A store that counts requests."""
    name = uuid.uuid4().hex
    yield f"memory://{name}", FaultyStore(name)
    FaultyStore.forget(name)


def enter(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Create a bucket, and configure this process for its server."""
    for name, value in server.env().items():
        monkeypatch.setenv(name, value)
    uri = f"s3://{server.new_bucket()}"
    return Place(server.name, uri, open_store(uri))
