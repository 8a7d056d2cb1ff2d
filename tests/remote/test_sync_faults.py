"""The network fails at each request of a sync in turn: no data is ever wrong, and the next sync completes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import pytest

from orbitpkg.errors import RepositoryUnreachable
from orbitpkg.remote.syncing import sync
from tests.faulty_store import Fault, Faults, FaultyStore
from tests.packages import noise
from tests.remote.test_sync import files_of, write

if TYPE_CHECKING:
    from pathlib import Path

FILES = {"a": b"a", "b/c": b"bc", "b/d": bytes(1000)}
LARGE = {**FILES, "large": noise(8_400_000)}
"""The last one is transferred in parts."""
EDITED = {**FILES, "a": b"edited", "new": b"new"}
KINDS = ["before", "after"]
ENOUGH = 8
"""The maximum number of requests of a sync of these files. Beyond it, no request fails."""


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(uuid4().hex)


def gone(store: FaultyStore, kind: Literal["before", "after"], nth: int) -> None:
    """Disconnect the network at a request, before or after the store executes it."""
    faults = [Fault(kind=kind, nth=nth), Fault(kind="before", nth=nth + 1, times=None)]
    FaultyStore(store.url.removeprefix("memory://"), faults=Faults(faults=faults))


def back(store: FaultyStore) -> None:
    FaultyStore(store.url.removeprefix("memory://"), faults=Faults())


def objects(store: FaultyStore) -> dict[str, bytes]:
    return {info.key.removeprefix("d/"): store.get(info.key)[0] for info in store.list("d/")}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nth", range(1, ENOUGH + 1))
def test_after_any_failure_an_upload_leaves_correct_objects_and_the_next_sync_completes(
    store: FaultyStore, tmp_path: Path, kind: Literal["before", "after"], nth: int
) -> None:
    uri = f"{store.url}/d/"
    folder = write(tmp_path / "here", FILES)
    sync(folder, uri)
    write(folder, EDITED)
    (folder / "b/c").unlink()
    wanted = {path: data for path, data in EDITED.items() if path != "b/c"}
    gone(store, kind, nth)
    try:
        sync(folder, uri, delete=True)
    except RepositoryUnreachable:
        back(store)
        there = objects(store)
        assert all(there[path] in (FILES.get(path), EDITED.get(path)) for path in there)
    back(store)
    result = sync(folder, uri, delete=True)
    assert (result.is_complete, objects(store), files_of(folder)) == (True, wanted, wanted)
    assert sync(folder, uri, delete=True).unchanged == len(wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("nth", range(1, ENOUGH + 1))
def test_after_any_failure_a_download_leaves_correct_files_and_the_next_sync_completes(
    store: FaultyStore, tmp_path: Path, kind: Literal["before", "after"], nth: int
) -> None:
    uri, folder = f"{store.url}/d/", tmp_path / "here"
    sync(write(tmp_path / "theirs", FILES), uri)
    sync(uri, folder)
    write(tmp_path / "theirs", EDITED)
    (tmp_path / "theirs/b/c").unlink()
    sync(tmp_path / "theirs", uri, delete=True)
    wanted = files_of(tmp_path / "theirs")
    gone(store, kind, nth)
    try:
        sync(uri, folder, delete=True)
    except RepositoryUnreachable:
        there = {path: data for path, data in files_of(folder).items() if ".orbitpkg-" not in path}
        assert all(data in (FILES.get(path), EDITED.get(path)) for path, data in there.items())
    back(store)
    result = sync(uri, folder, delete=True)
    assert (result.is_complete, files_of(folder)) == (True, wanted)


@pytest.mark.parametrize("nth", [1, 2])
def test_an_interrupted_first_download_resumes(store: FaultyStore, tmp_path: Path, nth: int) -> None:
    uri, folder = f"{store.url}/d/", tmp_path / "here"
    sync(write(tmp_path / "theirs", LARGE), uri)
    faults = Faults(faults=[Fault(kind="before", operation="get_range", nth=nth, times=None)])
    FaultyStore(store.url.removeprefix("memory://"), faults=faults)
    with pytest.raises(RepositoryUnreachable):
        sync(uri, folder)
    assert "large" not in files_of(folder)
    faults = Faults()
    FaultyStore(store.url.removeprefix("memory://"), faults=faults)
    sync(uri, folder)
    assert files_of(folder) == LARGE
    read = [request.operation for request in faults.requests if request.operation.startswith("get")]
    assert read == ["get_range"] * (3 - nth)


def test_an_object_replaced_during_its_download_is_downloaded_again(store: FaultyStore, tmp_path: Path) -> None:
    uri = f"{store.url}/d/"
    sync(write(tmp_path / "theirs", LARGE), uri)
    faults = Faults(faults=[Fault(kind="change", operation="get_range", nth=2)])
    FaultyStore(store.url.removeprefix("memory://"), faults=faults)
    result = sync(uri, tmp_path / "here")
    assert (result.is_complete, files_of(tmp_path / "here")) == (True, LARGE)
    assert sync(uri, tmp_path / "here").unchanged == len(LARGE)
