"""Verifying a repository: flaws found by size, flaws found by reading, and what does not count as a flaw."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING

import pytest

import orbitpkg
from orbitpkg.api import maintain
from orbitpkg.errors import RepositoryNotFound
from orbitpkg.objects import open_store
from orbitpkg.repository.indexing import announce
from orbitpkg.repository.repository import Repository
from tests.packages import make_package, noise

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.repository.verification import Verdict

LARGE = 40_000_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own."""
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORBITPKG_REPOSITORY", raising=False)
    return tmp_path / "home"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository with two releases of one package and one of another."""
    place = tmp_path / "repository"
    for version in ("1.0.0", "1.1.0"):
        orbitpkg.publish(make_package(tmp_path / version, version=version, files={"w": noise(5_000_000)}), place)
    orbitpkg.publish(make_package(tmp_path / "o", name="other"), place)
    return place


def archive(place: Path, version: str) -> Path:
    record = json.loads((place / f"releases/model/{version}.json").read_bytes())
    found: Path = place / record["archive"]["key"]
    return found


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def faults(verdict: Verdict) -> set[tuple[str, str]]:
    return {(fault.key, str(fault.kind)) for fault in verdict.faults}


def test_an_intact_repository_has_no_faults(place: Path) -> None:
    verdict = maintain.check_repository(place)
    assert (verdict.packages, verdict.releases, verdict.read, verdict.faults) == (2, 3, 0, [])
    assert verdict.size == sum(path.stat().st_size for path in (place / "archives").rglob("*.zst"))


def test_reading_everything_reads_every_chunk(place: Path) -> None:
    verdict = maintain.check_repository(place, share=1)
    assert verdict.faults == []
    assert verdict.size * 0.99 < verdict.read < verdict.size


def test_an_archive_that_is_gone_or_of_another_size_is_found_unread(place: Path) -> None:
    gone, short = archive(place, "1.0.0"), archive(place, "1.1.0")
    gone.unlink()
    short.write_bytes(short.read_bytes()[:-1])
    verdict = maintain.check_repository(place)
    keys = [str(path.relative_to(place)) for path in (gone, short)]
    assert faults(verdict) == {(keys[0], "missing"), (keys[1], "altered")}
    assert maintain.finding_bits(fault.kind for fault in verdict.faults) == 16 + 32


@pytest.mark.parametrize("at", [0, 2_000_000, -100, -70])
def test_an_altered_byte_is_found_by_reading(place: Path, at: int) -> None:
    flip(archive(place, "1.0.0"), at)
    assert maintain.check_repository(place).faults == []
    verdict = maintain.check_repository(place, share=1)
    assert faults(verdict) == {(str(archive(place, "1.0.0").relative_to(place)), "altered")}


@pytest.mark.parametrize("damage", ["releases/model/1.0.0.json", "index/model.json", "orbitpkg.json"])
@pytest.mark.parametrize("data", [b"", b"{}", b"[" * 1000])
def test_a_damaged_document_is_found_and_the_rest_is_still_looked_at(place: Path, damage: str, data: bytes) -> None:
    (place / damage).write_bytes(data)
    archive(place, "1.1.0").unlink()
    verdict = maintain.check_repository(place)
    assert (damage, "altered") in faults(verdict)
    assert len(verdict.faults) == 2


def test_a_missing_or_wrong_index_is_found(place: Path) -> None:
    (place / "index/model.json").unlink()
    index = json.loads((place / "index/other.json").read_bytes())
    index["releases"]["1.0.0"]["size"] = 1
    (place / "index/other.json").write_text(json.dumps(index))
    verdict = maintain.check_repository(place)
    assert faults(verdict) == {("index/model.json", "missing"), ("index/other.json", "altered")}


def test_an_index_that_somebody_is_writing_may_lag(place: Path) -> None:
    (place / "index/model.json").unlink()
    announce(Repository(open_store(place.as_uri())), "model")
    assert maintain.check_repository(place).faults == []


def test_objects_outside_releases_are_not_a_fault(place: Path) -> None:
    (place / "archives/model/model-9.0.0-0123456789ab.tar.zst").write_bytes(b"on its way")
    assert maintain.check_repository(place, share=1).faults == []


def test_a_subset_is_about_as_large_as_asked_for(tmp_path: Path) -> None:
    place = tmp_path / "repository"
    orbitpkg.publish(make_package(tmp_path / "p", files={"w": noise(LARGE * 2)}), place)
    verdict = maintain.check_repository(place, share=0.2)
    assert 1 <= round(verdict.read / (8 << 20)) <= 3
    assert verdict.faults == []


def test_reading_holds_a_few_chunks_in_memory(tmp_path: Path) -> None:
    place = tmp_path / "repository"
    orbitpkg.publish(make_package(tmp_path / "p", files={"w": noise(LARGE * 2)}), place)
    tracemalloc.start()
    try:
        assert maintain.check_repository(place, share=1).faults == []
        assert tracemalloc.get_traced_memory()[1] < LARGE
    finally:
        tracemalloc.stop()


def test_without_a_repository_nothing_is_reported_as_intact(tmp_path: Path) -> None:
    with pytest.raises(RepositoryNotFound):
        maintain.check_repository(tmp_path / "nothing")
