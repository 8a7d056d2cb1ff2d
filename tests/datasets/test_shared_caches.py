"""What another user puts at the names of a download or of a cache's folders: a link, a hard link or a FIFO."""

from __future__ import annotations

import os
import shutil
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import pytest

from orbitpkg.datasets.folders import Journal
from orbitpkg.errors import StorageError
from orbitpkg.files.locks import file_lock
from orbitpkg.model.jsontext import dump_json
from orbitpkg.objects.memory import MemoryStore
from orbitpkg.objects.transfer.files import download_object
from tests.servers.fixtures import skip_or_fail
from tests.servers.processes import ServerMissing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orbitpkg.datasets.dataset import Dataset

CONTENT = os.urandom(9 << 20)
PLANTS: dict[str, Callable[[Path, Path], None]] = {
    "link": lambda path, own: path.symlink_to(own),
    "dangling link": lambda path, own: path.symlink_to(own.with_name("new.txt")),
    "hard link": lambda path, own: os.link(own, path),
    "FIFO": lambda path, _: os.mkfifo(path),
}


def names_of_a_partial_download(folder: Path) -> list[str]:
    """Return the names of the hidden files that an interrupted download of ``model.bin`` leaves."""
    store = MemoryStore("interrupted")
    store.put("key", CONTENT)

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download_object(store, "key", folder / "model.bin", progress=interrupt)
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("plant", PLANTS)
def test_a_large_download_changes_no_file_that_was_linked_to_its_hidden_names(tmp_path: Path, plant: str) -> None:
    scratch, folder, own = tmp_path / "scratch", tmp_path / "folder", tmp_path / "own" / "notes.txt"
    for made in (scratch, folder, own.parent):
        made.mkdir()
    own.write_bytes(b"my notes")
    names = names_of_a_partial_download(scratch)
    assert len(names) == 2, names
    store = MemoryStore(f"planted {plant}".replace(" ", "-"))
    store.put("key", CONTENT)
    for planted in (names, names[:1], names[1:]):
        shutil.rmtree(folder)
        folder.mkdir()
        for name in planted:
            PLANTS[plant](folder / name, own)
        download_object(store, "key", folder / "model.bin")
        assert (folder / "model.bin").read_bytes() == CONTENT
        assert not (folder / "model.bin").is_symlink()
        assert own.read_bytes() == b"my notes"
        assert os.listdir(own.parent) == ["notes.txt"]


def test_a_lock_does_not_create_the_file_that_a_link_names(tmp_path: Path) -> None:
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"), file_lock(tmp_path / "lock"):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("folder", ["cache", "cache/datasets", "cache/datasets/folders"])
def test_fetching_writes_nothing_to_a_folder_of_the_cache_that_another_user_replaced_by_a_link(
    recordings: Dataset, home: Path, tmp_path: Path, folder: str
) -> None:
    if os.geteuid() != 0:
        skip_or_fail(ServerMissing("a link of another user takes root: run the tests as root"))
    (tmp_path / "a.bin").write_bytes(b"a")
    recordings.register(tmp_path / "a.bin")
    own, planted = tmp_path / "own", home / folder
    own.mkdir()
    home.mkdir(exist_ok=True)
    home.chmod(0o2775)
    if planted.exists():
        planted.rename(tmp_path / "before")
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.symlink_to(own)
    os.lchown(planted, 61_001, 61_001)
    # The catalogue cannot be cached, but a journal only saves time.
    refused = pytest.raises(StorageError, match="another user")
    expected: AbstractContextManager[object] = nullcontext() if folder.endswith("folders") else refused
    with expected:
        recordings.where().fetch(tmp_path / "out")
    assert os.listdir(own) == []


@pytest.mark.parametrize("path", ["../own.txt", "/own.txt", "a/../../own.txt"])
def test_a_forged_journal_names_no_file_outside_its_directory(tmp_path: Path, path: str) -> None:
    journal = tmp_path / "journal.json"
    journal.write_bytes(dump_json({path: ["datum", 3, 1], "a/b": ["datum", 3, 1]}))
    assert Journal(journal).others({}) == ["a/b"]
