"""Registering files: bytes once, words always, and every file for itself."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3

from orbitpkg.datasets.layout import blob_key
from orbitpkg.datasets.registration import find_files
from orbitpkg.datasets.sending import Sender
from orbitpkg.errors import PartlyDone, RepositoryError, RepositoryUnreachable, StorageError, TreeChanged, UsageError
from orbitpkg.objects.directory import DirectoryStore
from tests.packages import noise
from tests.peak_memory import peak_mebibytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orbitpkg.datasets.dataset import Dataset
    from orbitpkg.objects.protocol import ObjectInfo

LARGE = 20 * 2**20 + 1


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def names(recordings: Dataset) -> list[str]:
    return [str(row["name"]) for row in recordings.where().rows(columns=["name"])]


def blobs(recordings: Dataset) -> list[str]:
    return [info.key for info in recordings.objects.list("blobs/")]


@pytest.mark.parametrize("data", [b"", b"abc", noise(LARGE)], ids=["empty", "small", "large"])
def test_a_datum_describes_its_file(recordings: Dataset, tmp_path: Path, data: bytes) -> None:
    path = write(tmp_path, {"Größe 1.bin": data}) / "Größe 1.bin"
    first = recordings.register(path, tags={"robot": "sawyer"}, metadata={"action_T": 15})
    assert (first.new, first.sent, first.failures) == (1, len(data), [])
    [datum] = recordings.where().data()
    assert first.data == [("Größe 1.bin", datum.id)]
    assert (datum.name, datum.size) == ("Größe 1.bin", len(data))
    assert (datum.blake3, datum.sha256) == (blake3(data).hexdigest(), hashlib.sha256(data).hexdigest())
    assert (datum.tags, datum.metadata) == ({"robot": "sawyer"}, {"action_T": 15})
    assert datum.uri == f"{recordings.repository}/{blob_key(datum.blake3 or '')}"
    assert recordings.objects.get(blob_key(datum.blake3 or ""))[0] == data


def test_the_same_bytes_are_stored_once_whatever_they_are_called(recordings: Dataset, tmp_path: Path) -> None:
    folder = write(tmp_path / "files", {"a.bin": b"same", "b/c.bin": b"same", "d.bin": b"other"})
    done = recordings.register(folder)
    assert sorted(name for name, _ in done.data) == ["a.bin", "b/c.bin", "d.bin"]
    assert len(blobs(recordings)) == 2


def test_registering_again_sends_nothing_and_adds_nothing(recordings: Dataset, tmp_path: Path) -> None:
    folder = write(tmp_path / "files", {"a.bin": b"a", "large.bin": noise(LARGE)})
    first = recordings.register(folder, tags={"x": "y"})
    again = recordings.register(folder, tags={"x": "y"})
    assert (again.new, again.sent, again.data) == (0, 0, first.data)
    assert len(names(recordings)) == 2


def test_other_words_about_the_same_bytes_are_another_datum(recordings: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path, {"a.bin": b"a"}) / "a.bin"
    recordings.register(path, tags={"x": "1"})
    assert recordings.register(path, tags={"x": "2=3"}).new == 1
    assert [row["x"] for row in recordings.where().rows()] == ["1", "2=3"]


def test_folders_give_their_files_but_no_hidden_ones_and_no_sidecars(tmp_path: Path) -> None:
    said = {"a.h5": b"", "a.h5.json": b"{}", "b.json": b"{}", ".hidden": b"", ".git/x": b"", "sub/c.bin": b""}
    folder = write(tmp_path / "files", said)
    assert [each.name for each in find_files([folder])] == ["a.h5", "b.json", "sub/c.bin"]
    assert [each.name for each in find_files([folder / "sub/c.bin", folder / ".hidden"])] == ["c.bin", ".hidden"]


def test_a_missing_file_is_refused_before_any_work(recordings: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path, {"a.bin": b"a"}) / "a.bin"
    with pytest.raises(UsageError, match="does not exist"):
        recordings.register([path, tmp_path / "b.bin"])
    assert blobs(recordings) == []
    (tmp_path / "nothing").mkdir()
    with pytest.raises(UsageError, match="No files"):
        recordings.register(tmp_path / "nothing")


def test_a_failure_of_one_file_does_not_stop_the_others(recordings: Dataset, tmp_path: Path) -> None:
    folder = write(tmp_path / "files", {"good.bin": b"good", "also.bin": b"also", "bad\nname.bin": b"bad"})
    os.mkfifo(folder / "fifo")
    (folder / "link").symlink_to("good.bin")
    done = recordings.register([folder / name for name in ("good.bin", "bad\nname.bin", "fifo", "link", "also.bin")])
    assert [(Path(each.name).name, type(each.error)) for each in done.failures] == [
        ("bad\nname.bin", UsageError),
        ("fifo", StorageError),
    ]
    assert sorted(names(recordings)) == ["also.bin", "good.bin", "link"]


def test_a_name_that_only_windows_minds_is_kept_and_one_of_a_mac_is_spelled_as_it_is_typed(
    recordings: Dataset, tmp_path: Path
) -> None:
    said = ["2026-02-01T10:30:00.h5", "nul.txt", "why?.txt", "ends in dot."]
    folder = write(tmp_path / "files", dict.fromkeys([*said, "Gro\u0308\u00dfe.txt"], b"x"))
    assert recordings.register(folder).failures == []
    assert sorted(names(recordings)) == sorted([*said, "Gr\u00f6\u00dfe.txt"])
    assert recordings.where().fetch(tmp_path / "out").failures == []
    assert sorted(os.listdir(tmp_path / "out")) == sorted(names(recordings))
    with pytest.raises(PartlyDone, match="cannot be part of a release"):
        recordings.where().freeze("runs==1.0.0", pack=True)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything; run as another user")
def test_a_file_without_read_permission_is_reported(recordings: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path, {"a.bin": b"a"}) / "a.bin"
    path.chmod(0)
    [failure] = recordings.register(path).failures
    assert isinstance(failure.error, StorageError)


@pytest.mark.parametrize("size", [10, LARGE])
def test_a_file_that_changes_while_it_is_sent_is_an_error_and_leaves_no_wrong_bytes(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes(size))
    store = Writing(tmp_path / "repository", path)
    with pytest.raises(TreeChanged, match=r"a\.bin changed"):
        Sender(store, progress=lambda _: None).send(path)
    for info in store.list(""):
        assert info.key == blob_key(blake3(store.get(info.key)[0]).hexdigest())


class Writing(DirectoryStore):
    """A store during whose first request a file is modified."""

    def __init__(self, root: Path, victim: Path) -> None:
        super().__init__(root)
        self._victim = victim

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        with self._victim.open("r+b") as file:
            file.write(b"new")
        return super().head(key, version=version)


def test_a_blob_that_was_cut_short_is_mended(recordings: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path, {"a.bin": b"abcdef"}) / "a.bin"
    key = blob_key(blake3(b"abcdef").hexdigest())
    recordings.objects.put(key, b"abc")
    assert recordings.register(path).sent == 6
    assert recordings.objects.get(key)[0] == b"abcdef"


def test_metadata_is_the_words_of_the_registrar_before_the_sidecars(recordings: Dataset, tmp_path: Path) -> None:
    said = {"robot": "baxter", "action_T": 3, "nested": {"a": ["ü", 1.5, None]}, "図": "x" * 100_000}
    folder = write(tmp_path / "files", {"a.bin": b"a", "a.bin.json": json.dumps(said).encode()})
    recordings.register(folder / "a.bin", metadata={"robot": "sawyer"})
    [datum] = recordings.where().data()
    assert datum.metadata == {**said, "robot": "sawyer"}


@pytest.mark.parametrize("sidecar", [b"{", b"[1]", b'{"a": NaN}', b"\xff\xfe", b"", b'{"a":' * 200 + b"1" + b"}" * 200])
def test_metadata_that_cannot_be_read_is_a_warning_about_that_file(
    recordings: Dataset, tmp_path: Path, sidecar: bytes
) -> None:
    folder = write(tmp_path / "files", {"a.bin": b"a", "a.bin.json": sidecar, "b.bin": b"b", "b.bin.json": b'{"k": 1}'})
    done = recordings.register(folder)
    assert [name for name, _ in done.warnings] == ["a.bin"]
    assert (done.new, done.failures) == (2, [])
    assert [row["k"] for row in recordings.where().rows()] == [None, 1]


def test_five_megabytes_of_metadata_are_kept_whole(recordings: Dataset, tmp_path: Path) -> None:
    said = {"log": "äöü図" * 700_000, "many": {f"key-{number}": number for number in range(20_000)}}
    text = json.dumps(said, ensure_ascii=False).encode()
    assert len(text) > 5_000_000
    folder = write(tmp_path / "files", {"a.bin": b"a", "a.bin.json": text})
    done = recordings.register(folder)
    assert done.warnings == []
    [datum] = recordings.where("many->>'key-777' = '777'").data()
    assert datum.metadata == said


def test_keys_beyond_the_thousandth_have_no_column_and_are_not_lost(recordings: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path, {"a.bin": b"a"}) / "a.bin"
    recordings.register(path, metadata={f"key{number:04}": number for number in range(1500)})
    assert len(recordings.columns()) < 1020
    found = recordings.where("json_extract(metadata, '$.key1499')::INT = 1499")
    assert (found.count(), found.total_size()) == (1, 1)


def test_types_follow_what_the_catalogue_has(recordings: Dataset, tmp_path: Path) -> None:
    path = write(tmp_path, {"a.bin": b"a"}) / "a.bin"
    for value in (1.5, 2, "text", True, {"a": 1}):
        recordings.register(path, metadata={"Value": value})
    recordings.register(path, metadata={"value": 3})
    assert recordings.columns()["Value"] == "VARCHAR"
    assert "value" not in recordings.columns()
    assert [row["Value"] for row in recordings.where().rows()] == ["1.5", "2.0", "text", "true", '{"a":1}', "3"]


def test_lineage_names_data_that_are_there(recordings: Dataset, tmp_path: Path) -> None:
    folder = write(tmp_path / "files", {"a.bin": b"a", "b.bin": b"b", "mean.bin": b"m"})
    one = recordings.register(folder / "a.bin").data[0][1]
    two = recordings.register(folder / "b.bin").data[0][1]
    recordings.register(folder / "mean.bin", lineage=[one, two[:8]])
    [datum] = recordings.where("len(lineage) = 2").data()
    assert datum.lineage == (one, two)
    for word in ("f" * 32, "not an id", blake3(b"a").hexdigest()):
        with pytest.raises(UsageError):
            recordings.register(folder / "mean.bin", lineage=[word])


class Failing(DirectoryStore):
    """A store that fails permanently after a number of objects."""

    def __init__(self, root: Path, after: int, error: RepositoryError) -> None:
        super().__init__(root)
        self.left = after
        self._error = error
        self._counting = threading.Lock()

    def create(self, key: str, data: bytes | memoryview, **more: Any) -> ObjectInfo:
        if key.startswith("blobs/"):
            with self._counting:
                self.left -= 1
                if self.left < 0:
                    raise self._error
        return super().create(key, data, **more)


def test_files_sent_before_a_failure_are_registered_and_the_rest_is_reported(
    recordings: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "files", {f"{number:03}.bin": noise(10, seed=number) for number in range(200)})
    monkeypatch.setattr(recordings, "objects", Failing(tmp_path / "repository", 120, RepositoryError("No.")))
    done = recordings.register(folder)
    assert (done.new, len(done.failures)) == (120, 80)
    assert {name for name, _ in done.data} | {Path(each.name).name for each in done.failures} == {
        f"{number:03}.bin" for number in range(200)
    }
    monkeypatch.undo()
    # The same home again, without the failing store.
    again = recordings.register(folder)
    assert (again.new, again.failures, len(names(recordings))) == (80, [], 200)


def test_an_unreachable_server_does_not_delay_every_file(
    recordings: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write(tmp_path / "files", {f"{number:03}.bin": noise(10, seed=number) for number in range(200)})
    failing = Failing(tmp_path / "repository", 50, RepositoryUnreachable("Nobody answers."))
    monkeypatch.setattr(recordings, "objects", failing)
    with pytest.raises(RepositoryUnreachable):
        recordings.register(folder)
    assert failing.left > -100
    assert len(names(recordings)) == 50


def test_thousands_of_files_take_a_bounded_memory(tmp_path: Path) -> None:
    folder = write(tmp_path / "files", {f"{number}.bin": b"%d" % number for number in range(3000)})
    program = """
import sys
import orbitpkg
made = orbitpkg.create_dataset("recordings", sys.argv[1])
done = made.register(sys.argv[2], tags={"robot": "sawyer"})
assert (done.new, len(done.data), done.failures) == (3000, 3000, []), done.failures[:3]
assert made.where("robot = 'sawyer'").count() == 3000
"""
    assert peak_mebibytes(program, (tmp_path / "repository").as_uri(), folder) < 300
