"""Freezing: a selection as an ordinary release, with the very bytes of then."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import orbitpkg
from orbitpkg.datasets.layout import blob_key
from orbitpkg.errors import (
    FileNotInPackage,
    IntegrityError,
    NotInstalled,
    ObjectNotFound,
    PartlyDone,
    ReleaseExists,
    UsageError,
)
from tests.packages import make_package, noise

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.datasets.dataset import Dataset


@pytest.fixture
def filled(recordings: Dataset, tmp_path: Path) -> Dataset:
    files = tmp_path / "files"
    files.mkdir()
    for number in range(4):
        (files / f"run {number}#%.bin").write_bytes(noise(100 + number))
        (files / f"run {number}#%.bin.json").write_text(f'{{"count": {number}, "text": "ü"}}')
    recordings.register(files, tags={"robot": "sawyer"})
    return recordings


def freeze(filled: Dataset, *, pack: bool, release: str = "runs==1.2.0") -> orbitpkg.Frozen:
    done = filled.where("count >= 2").freeze(release, pack=pack)
    assert done.outcome == "published"
    orbitpkg.install(release, repository=filled.repository)
    return orbitpkg.frozen(release)


@pytest.mark.parametrize("pack", [False, True], ids=["referring", "packed"])
def test_a_frozen_selection_gives_its_files_and_their_metadata(filled: Dataset, tmp_path: Path, *, pack: bool) -> None:
    found = freeze(filled, pack=pack)
    assert found.is_packed is pack
    assert list(found.data) == ["run 2#%.bin", "run 3#%.bin"]
    assert found.data["run 2#%.bin"].metadata == {"count": 2, "text": "ü"}
    assert found.data["run 2#%.bin"].tags == {"robot": "sawyer"}
    for number in (2, 3):
        assert found.file_path(f"run {number}#%.bin").read_bytes() == noise(100 + number)
    done = found.fetch(tmp_path / "out")
    assert (sorted(done.fetched), done.failures) == (["run 2#%.bin", "run 3#%.bin"], [])
    assert (tmp_path / "out" / "run 3#%.bin").read_bytes() == noise(103)
    assert found.fetch(tmp_path / "out").present == 2
    facts = found.package.metadata["dataset"]
    assert isinstance(facts, dict)
    assert facts["where"] == ["count >= 2"]


def test_a_packed_one_needs_the_dataset_no_more(filled: Dataset) -> None:
    found = freeze(filled, pack=True)
    for info in list(filled.objects.list("blobs/")):
        filled.objects.delete(info.key)
    assert found.file_path("run 2#%.bin").read_bytes() == noise(102)


def test_a_dataset_of_references_returns_the_original_bytes_or_an_error(filled: Dataset) -> None:
    found = freeze(filled, pack=False)
    keys = {path: blob_key(datum.blake3 or "") for path, datum in found.data.items()}
    filled.objects.put(keys["run 2#%.bin"], bytes(102))
    filled.objects.delete(keys["run 3#%.bin"])
    with pytest.raises(IntegrityError):
        found.file_path("run 2#%.bin")
    with pytest.raises(ObjectNotFound, match="is missing"):
        found.file_path("run 3#%.bin")


def test_a_file_is_fetched_on_first_use_and_then_cached(filled: Dataset) -> None:
    found = freeze(filled, pack=False)
    path = found.file_path("run 2#%.bin")
    for info in list(filled.objects.list("blobs/")):
        filled.objects.delete(info.key)
    assert found.file_path("run 2#%.bin") == path
    assert path.read_bytes() == noise(102)


def test_the_same_selection_again_is_the_same_release_and_a_grown_one_is_not(filled: Dataset, tmp_path: Path) -> None:
    chosen = filled.where("count >= 2")
    assert chosen.freeze("runs==1.0.0").outcome == "published"
    filled.compact()
    assert chosen.freeze("runs==1.0.0").outcome == "already published"
    (tmp_path / "more.bin").write_bytes(b"more")
    filled.register(tmp_path / "more.bin", metadata={"count": 5})
    with pytest.raises(ReleaseExists):
        chosen.freeze("runs==1.0.0")


@pytest.mark.parametrize("release", ["runs", "runs>=1.0", "runs==1.0", "a b==1.0.0"])
def test_a_release_is_a_name_and_a_version(filled: Dataset, release: str) -> None:
    with pytest.raises(UsageError):
        filled.where().freeze(release)


def test_empty_and_unavailable_selections_are_not_frozen(filled: Dataset) -> None:
    with pytest.raises(UsageError, match="No files match the filter"):
        filled.where("count = 77").freeze("runs==1.0.0")
    for info in list(filled.objects.list("blobs/")):
        filled.objects.delete(info.key)
    with pytest.raises(PartlyDone, match="could not be fetched") as caught:
        filled.where().freeze("runs==1.0.0", pack=True)
    assert len(caught.value.data["failures"]) == 4
    with pytest.raises(orbitpkg.ResolutionError):
        orbitpkg.install("runs", repository=filled.repository)


def test_a_package_that_is_not_a_frozen_dataset_is_reported(filled: Dataset, tmp_path: Path) -> None:
    with pytest.raises(NotInstalled):
        orbitpkg.frozen("runs")
    orbitpkg.publish(make_package(tmp_path / "p", files={"data.bin": b"x"}), filled.repository)
    orbitpkg.install("model", repository=filled.repository)
    with pytest.raises(UsageError, match="not a frozen dataset"):
        orbitpkg.frozen("model")
    with pytest.raises(FileNotInPackage, match=r"no file run\.bin"):
        freeze(filled, pack=False).file_path("run.bin")


@pytest.mark.parametrize("line", ["{", "[]", '{"path": "a"}', '{"path": 1, "size": "x"}', "null"])
def test_a_frozen_release_with_damaged_lines_is_named(filled: Dataset, tmp_path: Path, line: str) -> None:
    package = make_package(tmp_path / "p", name="broken", files={"data.jsonl": line.encode()})
    orbitpkg.publish(package, filled.repository)
    orbitpkg.install("broken", repository=filled.repository)
    with pytest.raises(IntegrityError, match=r"(?i)line 1 of"):
        orbitpkg.frozen("broken")
