"""Freezing: a selection as an ordinary release, with the very bytes of then."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3

import orbitpkg
from orbitpkg.config.repositories import home
from orbitpkg.datasets.datum import new_datum
from orbitpkg.datasets.layout import blob_key, part_key
from orbitpkg.datasets.parts import write_part
from orbitpkg.errors import (
    FileNotInPackage,
    IntegrityError,
    NotInstalled,
    ObjectNotFound,
    PartlyDone,
    ReleaseExists,
    StorageError,
    UsageError,
)
from orbitpkg.objects import open_store
from tests.packages import make_package, noise
from tests.servers.fixtures import skip_or_fail
from tests.servers.processes import ServerMissing

if TYPE_CHECKING:
    from collections.abc import Callable

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


@pytest.mark.parametrize("folder", ["cache", "cache/datasets", "cache/datasets/files"])
def test_no_folder_of_the_cache_that_another_user_replaced_by_a_link_is_followed(
    filled: Dataset, tmp_path: Path, folder: str
) -> None:
    if os.geteuid() != 0:
        skip_or_fail(ServerMissing("a link of another user takes root: run the tests as root"))
    found = freeze(filled, pack=False)
    shared, own = home(), tmp_path / "own"
    shared.chmod(0o2775)
    own.mkdir()
    planted = shared / folder
    if planted.exists():
        planted.rename(tmp_path / "before")
    planted.parent.mkdir(parents=True, exist_ok=True)
    planted.symlink_to(own)
    os.lchown(planted, 61_001, 61_001)
    with pytest.raises(StorageError, match="another user"):
        found.file_path("run 2#%.bin")
    assert os.listdir(own) == []


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


@pytest.mark.parametrize("digests", [("blake3", "sha256"), ("sha256",), ()], ids=["BLAKE3", "SHA-256", "no digest"])
def test_a_cached_file_that_another_member_of_a_shared_home_replaced_is_fetched_again(
    filled: Dataset, digests: tuple[str, ...]
) -> None:
    original = freeze(filled, pack=False)
    home().chmod(0o2775)
    datum = original.data["run 2#%.bin"]
    # Data that was only indexed may have other digests or none.
    datum = replace(
        datum,
        blake3=datum.blake3 if "blake3" in digests else None,
        sha256=datum.sha256 if "sha256" in digests else None,
    )
    found = replace(original, data={**original.data, "run 2#%.bin": datum})
    path = found.file_path("run 2#%.bin")
    modified = path.stat().st_mtime_ns
    path.unlink()
    path.write_bytes(bytes(102))
    os.utime(path, ns=(modified, modified))
    assert found.file_path("run 2#%.bin") == path
    assert path.read_bytes() == noise(102)


def test_an_intact_file_of_a_shared_cache_is_not_fetched_again(filled: Dataset) -> None:
    found = freeze(filled, pack=False)
    home().chmod(0o2775)
    path = found.file_path("run 2#%.bin")
    for info in list(filled.objects.list("blobs/")):
        filled.objects.delete(info.key)
    assert found.file_path("run 2#%.bin") == path


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


def forge(filled: Dataset, change: Callable[[dict[str, Any]], None]) -> orbitpkg.Frozen:
    """Install a release of a frozen selection whose description someone has changed, and return it."""
    found = freeze(filled, pack=False)
    folder = Path(filled.repository.removeprefix("file://")).parent / "forged"
    folder.mkdir()
    rows = [json.loads(line) for line in found.package.read_text("data.jsonl").splitlines()]
    for row in rows:
        change(row)
    (folder / "data.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    metadata = {"dataset": {"id": "recordings", "packed": False}}
    manifest = {"name": "evil", "version": "1.0.0", "include": ["data.jsonl"], "metadata": metadata}
    (folder / "package.json").write_text(json.dumps(manifest))
    orbitpkg.publish(folder, filled.repository)
    orbitpkg.install("evil", repository=filled.repository)
    return orbitpkg.frozen("evil")


def update_id(row: dict[str, Any]) -> None:
    """Give a row the id that belongs to its other fields."""
    facts = {name: row[name] for name in ("name", "size", "uri", "blake3", "sha256", "etag", "version", "supersedes")}
    made = new_datum(
        **facts,
        registered=datetime.fromisoformat(row["registered"]),
        modified=datetime.fromisoformat(row["modified"]) if row["modified"] else None,
        tags=row["tags"],
        metadata=row["metadata"],
        lineage=row["lineage"],
    )
    row["id"] = made.id


@pytest.mark.parametrize(
    "change",
    [
        {"id": "../../../../../../.ssh"},
        {"id": "/root/.ssh"},
        {"id": "0" * 32},
        {"id": None},
        {"path": "../authorized_keys"},
        {"path": "/root/.ssh/authorized_keys"},
        {"path": "a/../../b"},
        {"path": ""},
        {"blake3": "../" * 20 + "aaaa"},
        {"blake3": None},
        {"size": -1},
        {"size": True},
        {"size": 2**70},
        {"lineage": ["../../x"]},
        {"name": 5},
        {"registered": "0001-01-01T00:00:00+23:00"},
    ],
    ids=str,
)
def test_a_forged_description_is_refused_and_writes_no_file(
    filled: Dataset, tmp_path: Path, change: dict[str, object]
) -> None:
    def apply(row: dict[str, Any]) -> None:
        row.update(change)
        if "id" not in change and isinstance(row["name"], str):
            with suppress(Exception):
                update_id(row)

    with pytest.raises(IntegrityError, match=r"not a valid datum|is not valid|The path"):
        forge(filled, apply)
    assert not list(tmp_path.rglob("authorized_keys"))


@pytest.mark.parametrize("trusted", [False, True])
def test_an_address_of_this_machine_in_a_release_is_read_only_if_the_user_trusts_it(
    filled: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, trusted: bool
) -> None:
    (tmp_path / "private").mkdir()
    secret = tmp_path / "private" / "id_ed25519"

    def apply(row: dict[str, Any]) -> None:
        secret.write_bytes(noise(row["size"]))
        row["uri"] = secret.as_uri()
        row["blake3"] = blake3(secret.read_bytes()).hexdigest()
        row["sha256"] = None
        update_id(row)

    found = forge(filled, apply)
    if trusted:
        monkeypatch.setenv("ORBITPKG_TRUSTED_ADDRESSES", (tmp_path / "private").as_uri())
        assert found.file_path("run 3#%.bin").read_bytes() == secret.read_bytes()
        return
    with pytest.raises(IntegrityError, match="leads to a file on this machine") as caught:
        found.file_path("run 3#%.bin")
    assert "ORBITPKG_TRUSTED_ADDRESSES" in str(caught.value.hint)
    assert [failure.error.code for failure in found.fetch(tmp_path / "out").failures] == ["integrity"] * 2


def test_a_row_of_a_catalogue_never_leads_to_a_file_of_this_machine(filled: Dataset, tmp_path: Path) -> None:
    secret = tmp_path / "id_ed25519"
    secret.write_bytes(b"the private key")
    forged = new_datum(
        name="key", size=15, uri=secret.as_uri(), registered=datetime.now(UTC), etag=info_of(secret), metadata={}
    )
    broken = replace(forged, id="../../../../../../../tmp/x")
    for datum in (forged, broken):
        data = write_part([datum], dataset="recordings", known={})
        filled.objects.put(part_key("recordings", datetime.now(UTC), blake3(data).hexdigest()[:32]), data)
    done = filled.where().fetch(tmp_path / "out")
    assert sorted(failure.name for failure in done.failures) == ["key", "key"]
    assert not (tmp_path / "out" / "key").exists()
    assert len(done.fetched) == 4
    for pack in (True, False):
        with pytest.raises((PartlyDone, IntegrityError)):
            filled.where("name = 'key'").freeze("keys==1.0.0", pack=pack)


def info_of(path: Path) -> str:
    etag = open_store(path.parent.as_uri()).head(path.name).etag
    assert etag is not None
    return etag


def test_data_of_a_directory_that_the_user_indexed_can_be_fetched_by_this_user_alone(
    recordings: Dataset, tmp_path: Path, home: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.bin").write_bytes(b"a")
    assert recordings.index((tmp_path / "data").as_uri()).new == 1
    assert recordings.where().fetch(tmp_path / "out").fetched == ["a.bin"]
    (remembered,) = (home / "cache" / "datasets").glob("trusted-*.json")
    remembered.chmod(0o666)
    (tmp_path / "out" / "a.bin").unlink()
    done = recordings.where().fetch(tmp_path / "out")
    assert [failure.error.code for failure in done.failures] == ["integrity"]
