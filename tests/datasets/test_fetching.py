"""Fetching: exactly what is selected, verified, once, and nobody's files overwritten."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from orbitpkg.datasets.datum import new_datum
from orbitpkg.datasets.folders import local_paths
from orbitpkg.datasets.layout import blob_key
from orbitpkg.errors import IntegrityError, ObjectNotFound, StorageError
from tests.packages import noise

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.datasets.dataset import Dataset
    from orbitpkg.datasets.datum import Datum
    from orbitpkg.datasets.fetching import Fetched

LARGE = 9 * 2**20
FILES = {"a.bin": b"a", "b.bin": b"bb", "sub/c.bin": noise(1000), "sub/large.bin": noise(LARGE), "empty": b""}


@pytest.fixture
def filled(recordings: Dataset, tmp_path: Path) -> Dataset:
    for name, data in FILES.items():
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    recordings.register(tmp_path / "files")
    return recordings


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }


def errors(done: Fetched) -> dict[str, type[Exception]]:
    return {each.name: type(each.error) for each in done.failures}


def test_a_fresh_folder_holds_exactly_what_is_selected(filled: Dataset, tmp_path: Path) -> None:
    done = filled.where("size < 2000").fetch(tmp_path / "out")
    assert contents(tmp_path / "out") == {name: data for name, data in FILES.items() if len(data) < 2000}
    assert (sorted(done.fetched), done.present, done.failures) == (["a.bin", "b.bin", "empty", "sub/c.bin"], 0, [])


def test_a_second_time_there_is_nothing_to_do(filled: Dataset, tmp_path: Path) -> None:
    filled.where().fetch(tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    done = filled.where().fetch(tmp_path / "out")
    assert (done.fetched, done.present, done.size) == ([], 5, 0)
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}


def test_correct_files_without_a_note_are_not_fetched(filled: Dataset, tmp_path: Path, home: Path) -> None:
    filled.where().fetch(tmp_path / "out")
    for path in (home / "cache" / "datasets" / "folders").iterdir():
        path.write_text("{ damaged")
    assert filled.where().fetch(tmp_path / "out").fetched == []


def test_a_grown_dataset_fetches_what_is_new(filled: Dataset, tmp_path: Path) -> None:
    filled.where().fetch(tmp_path / "out")
    (tmp_path / "new.bin").write_bytes(b"new")
    filled.register(tmp_path / "new.bin")
    assert filled.where().fetch(tmp_path / "out").fetched == ["new.bin"]


def test_foreign_or_changed_files_are_kept_unless_forced(filled: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a.bin").write_bytes(b"mine")
    filled.where().fetch(out)
    (out / "b.bin").write_bytes(b"changed")
    (out / "empty").unlink()
    (out / "empty").mkdir()
    done = filled.where().fetch(out)
    assert errors(done) == {"a.bin": StorageError, "b.bin": StorageError, "empty": StorageError}
    assert ((out / "a.bin").read_bytes(), (out / "b.bin").read_bytes()) == (b"mine", b"changed")
    done = filled.where("name <> 'empty'").fetch(out, force=True)
    assert (sorted(done.fetched), done.failures) == (["a.bin", "b.bin"], [])


def test_files_no_longer_selected_are_reported_and_deleted_on_request(filled: Dataset, tmp_path: Path) -> None:
    out = tmp_path / "out"
    filled.where().fetch(out)
    (out / "mine.txt").write_text("mine")
    (out / "b.bin").write_bytes(b"changed by hand")
    few = filled.where("name = 'a.bin'")
    assert few.fetch(out).left == ["empty", "sub/c.bin", "sub/large.bin"]
    assert few.fetch(out, delete=True).left == ["empty", "sub/c.bin", "sub/large.bin"]
    assert contents(out) == {"a.bin": b"a", "b.bin": b"changed by hand", "mine.txt": b"mine"}
    assert few.fetch(out, delete=True).left == []


def test_wrong_bytes_never_get_a_name(filled: Dataset, tmp_path: Path) -> None:
    for datum in filled.where().data():
        key = blob_key(datum.blake3 or "")
        data = filled.objects.get(key)[0]
        if datum.name in {"a.bin", "sub/large.bin"}:
            filled.objects.put(key, bytes(len(data)))
        if datum.name == "b.bin":
            filled.objects.put(key, data[:-1])
        if datum.name == "sub/c.bin":
            filled.objects.delete(key)
    done = filled.where().fetch(tmp_path / "out")
    assert errors(done) == {
        "a.bin": IntegrityError,
        "b.bin": IntegrityError,
        "sub/c.bin": ObjectNotFound,
        "sub/large.bin": IntegrityError,
    }
    assert contents(tmp_path / "out") == {"empty": b""}


def test_leftovers_of_a_killed_run_are_removed_when_no_process_can_be_writing_them(
    filled: Dataset, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    stale, young, foreign = out / "sub" / ".orbitpkg-0.tmp", out / ".orbitpkg-1.tmp", out / "sub" / "mine.tmp"
    for path in (stale, young, foreign):
        path.write_bytes(b"x")
    for path in (stale, foreign):
        os.utime(path, (0, 0))
    filled.where().fetch(out)
    assert [path.exists() for path in (stale, young, foreign)] == [False, True, True]


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere; run as another user")
def test_a_directory_without_write_permission_is_reported(filled: Dataset, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir(mode=0o500)
    with pytest.raises(StorageError):
        filled.where().fetch(tmp_path / "out" / "deeper")


def datum(name: str, *, second: int) -> Datum:
    now = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
    return new_datum(name=name, size=1, uri="s3://b/k", registered=now, blake3=f"{second:064}")


def test_of_one_name_the_first_keeps_it_and_others_get_their_ids() -> None:
    data = [datum(name, second=number) for number, name in enumerate(["run.h5", "Run.h5", "run.h5", "x/run.h5"])]
    paths, failures = local_paths(data)
    assert list(paths) == ["run.h5", f"Run-{data[1].id[:8]}.h5", f"run-{data[2].id[:8]}.h5", "x/run.h5"]
    assert failures == []
    # Those that come later change no name of those before.
    assert list(local_paths(data[:2])[0]) == list(paths)[:2]


def test_of_one_name_and_the_same_bytes_is_one_file(recordings: Dataset, tmp_path: Path) -> None:
    for folder, data in (("1", b"same"), ("2", b"same"), ("3", b"other")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "run.h5").write_bytes(data)
        recordings.register(tmp_path / folder / "run.h5", tags={"day": folder})
    last = next(iter(recordings.where("day = '3'").data()))
    recordings.where().fetch(tmp_path / "out")
    assert contents(tmp_path / "out") == {"run.h5": b"same", f"run-{last.id[:8]}.h5": b"other"}


def test_a_file_and_a_folder_of_one_name_go_beside_one_another() -> None:
    data = [datum("a/b", second=1), datum("a", second=2), datum("a/b/c", second=3)]
    paths, failures = local_paths(data)
    assert list(paths) == ["a/b", f"a-{data[1].id[:8]}"]
    assert [each.name for each in failures] == ["a/b/c"]


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "a\\b", "..", "", "a\x00b", "a/./b", "a//b"])
def test_a_name_that_leads_elsewhere_is_not_a_path(name: str) -> None:
    paths, failures = local_paths([datum(name, second=1)])
    assert (paths, len(failures)) == ({}, 1)
