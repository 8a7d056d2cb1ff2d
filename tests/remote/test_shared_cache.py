"""What another member of a shared home puts in the place of the folders of the cache."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orbitpkg import remote
from orbitpkg.errors import StorageError
from tests.servers.fixtures import skip_or_fail
from tests.servers.processes import ServerMissing

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faulty_store import FaultyStore


NAMES = ("content", "entries", "tmp")


@pytest.mark.parametrize("folder", ["cache", "cache/remote", *(f"cache/remote/{name}" for name in NAMES)])
def test_a_folder_of_the_cache_that_another_user_replaced_by_a_link_is_not_written_to(
    home: Path, tmp_path: Path, memory: tuple[str, FaultyStore], caplog: pytest.LogCaptureFixture, folder: str
) -> None:
    if os.geteuid() != 0:
        skip_or_fail(ServerMissing("a link of another user takes root: run the tests as root"))
    uri, store = memory
    store.put("a.txt", b"text")
    own, planted = tmp_path / "own", home / folder
    own.mkdir()
    home.mkdir()
    home.chmod(0o2775)
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.symlink_to(own)
    os.lchown(planted, 61_001, 61_001)
    # What is downloaded but cannot be cached is used without the cache.
    if planted.name in {"content", "entries"}:
        assert remote.local_path(f"{uri}/a.txt").read_bytes() == b"text"
        assert "another user of this shared directory made it" in caplog.text
    else:
        with pytest.raises(StorageError, match="another user"):
            remote.local_path(f"{uri}/a.txt")
    assert os.listdir(own) == []


def test_a_link_of_the_same_user_is_followed(home: Path, tmp_path: Path, memory: tuple[str, FaultyStore]) -> None:
    uri, store = memory
    store.put("a.txt", b"text")
    home.mkdir()
    home.chmod(0o2775)
    (tmp_path / "large disk").mkdir()
    (home / "cache").symlink_to(tmp_path / "large disk")
    assert remote.local_path(f"{uri}/a.txt").read_bytes() == b"text"
    assert os.listdir(tmp_path / "large disk") == ["remote"]
