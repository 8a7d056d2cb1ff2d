"""Making datasets, telling about them, and noting things."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from orbitpkg.datasets.dataset import create_dataset, dataset, find_dataset, list_datasets
from orbitpkg.datasets.layout import notes_prefix, record_key
from orbitpkg.errors import (
    DatasetExists,
    DatasetNotFound,
    IntegrityError,
    UnsafeRepository,
    UsageError,
)

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.datasets.dataset import Dataset
    from tests.servers.processes import S3Server


@pytest.fixture
def place(tmp_path: Path) -> str:
    return (tmp_path / "repository").as_uri()


def test_a_dataset_keeps_the_facts_of_its_creation(place: str) -> None:
    made = create_dataset("Robot_Runs", place, description="Arms")
    found = dataset("robot-runs", place)
    assert (found.id, found.description, found.created) == ("Robot_Runs", "Arms", made.created)
    assert [each.id for each in list_datasets(place)] == ["Robot_Runs"]


def test_an_id_is_taken_once_however_it_is_spelled(place: str) -> None:
    create_dataset("Robot_Runs", place)
    with pytest.raises(DatasetExists):
        create_dataset("robot.runs", place)


def test_of_many_concurrent_creators_of_a_dataset_one_succeeds(place: str) -> None:
    create_dataset("another", place)

    def make(number: int) -> bool:
        try:
            create_dataset("recordings", place, description=str(number))
        except DatasetExists:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(make, range(8)))
    assert made.count(True) == 1
    assert dataset("recordings", place).description == str(made.index(True))


def test_a_missing_one_is_reported_with_a_similar_name(place: str) -> None:
    create_dataset("recordings", place)
    with pytest.raises(DatasetNotFound) as caught:
        dataset("recordngs", place)
    assert caught.value.hint == "Did you mean recordings?"
    assert find_dataset("recordngs", place) is None


def test_without_a_repository_no_dataset_exists(place: str) -> None:
    assert find_dataset("recordings", place) is None
    assert list_datasets(place) == []


@pytest.mark.parametrize("identifier", ["", "a/b", "..", "ü", "a b", "x" * 101])
def test_an_id_that_cannot_be_a_key_is_refused(place: str, identifier: str) -> None:
    with pytest.raises(UsageError):
        create_dataset(identifier, place)


def test_notes_are_kept_in_their_order(recordings: Dataset) -> None:
    for text in ("first", "zweite: ä, 図", "third\nwith a line"):
        recordings.note(text)
    notes = recordings.notes()
    assert [each.text for each in notes] == ["first", "zweite: ä, 図", "third\nwith a line"]
    assert [each.written for each in notes] == sorted(each.written for each in notes)


@pytest.mark.parametrize("text", ["", " \n", "x" * 2**21])
def test_nothing_and_too_much_cannot_be_noted(recordings: Dataset, text: str) -> None:
    with pytest.raises(UsageError):
        recordings.note(text)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b"\xff",
        b'{"format": true}',
        b'{"format": 1, "id": "other", "created": "2026-01-01", "description": ""}',
        b'{"format": 1, "id": "recordings", "created": "today", "description": ""}',
    ],
)
def test_a_damaged_record_is_named_and_not_treated_as_an_absent_dataset(recordings: Dataset, data: bytes) -> None:
    recordings.objects.put(record_key("recordings"), data)
    with pytest.raises(IntegrityError, match="record of the dataset"):
        dataset("recordings", recordings.repository)


def test_files_of_a_newer_version_are_refused_with_a_hint(recordings: Dataset) -> None:
    recordings.objects.put(record_key("recordings"), b'{"format": 2}')
    recordings.objects.put(f"{notes_prefix('recordings')}1.json", b'{"format": 2}')
    for ask in (lambda: dataset("recordings", recordings.repository), recordings.notes):
        with pytest.raises(IntegrityError, match="format 2") as caught:
            ask()
        assert "pip install -U" in str(caught.value.hint)


def test_a_store_that_ignores_create_only_writes_takes_one_writer(
    rclone: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in rclone.env().items():
        monkeypatch.setenv(name, value)
    url = f"s3://{rclone.new_bucket()}/lab"
    with pytest.raises(UnsafeRepository, match="create-only"):
        create_dataset("recordings", url)
    create_dataset("recordings", url, unsafe_single_writer=True)
    with pytest.raises(DatasetExists):
        create_dataset("recordings", url, unsafe_single_writer=True)
