"""The catalogue: parts that are appended and compacted, and what one can rely on meanwhile."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from blake3 import blake3

from orbitpkg.datasets.dataset import dataset
from orbitpkg.datasets.layout import catalogue_prefix, part_key
from orbitpkg.datasets.parts import Description, footer_text
from orbitpkg.errors import IntegrityError, OfflineError
from orbitpkg.objects.directory import DirectoryStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orbitpkg.datasets.dataset import Dataset
    from orbitpkg.objects.protocol import ObjectInfo

PREFIX = catalogue_prefix("recordings")


def fill(recordings: Dataset, folder: Path, number: int, *, start: int = 0) -> None:
    """Register files one by one, which makes one part per file."""
    for count in range(start, start + number):
        path = folder / f"run-{count}.bin"
        path.write_bytes(b"%d" % count)
        assert recordings.register(path, metadata={"count": count, f"only{count}": True}).new == 1


def counts(recordings: Dataset) -> list[object]:
    return [row["count"] for row in recordings.where().rows(columns=["count"])]


def parts(recordings: Dataset) -> list[str]:
    return [info.key for info in recordings.objects.list(PREFIX)]


class Counting(DirectoryStore):
    """A store that notes which objects are read whole."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.read: list[str] = []

    def get(self, key: str, **more: Any) -> tuple[bytes, ObjectInfo]:
        self.read.append(key)
        return super().get(key, **more)


def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Open the repository through a store that counts its calls."""
    store = Counting(tmp_path / "repository")
    monkeypatch.setattr("orbitpkg.objects.open_store", lambda _, **__: store)
    return store


def test_each_registration_is_a_part_and_readers_see_one_table(recordings: Dataset, tmp_path: Path) -> None:
    fill(recordings, tmp_path, 3)
    assert len(parts(recordings)) == 3
    assert counts(recordings) == [0, 1, 2]
    assert {"only0", "only1", "only2"} <= recordings.columns().keys()


def test_the_name_of_a_part_is_the_digest_of_its_bytes(recordings: Dataset, tmp_path: Path) -> None:
    fill(recordings, tmp_path, 1)
    [key] = parts(recordings)
    assert key.endswith(f"-{blake3(recordings.objects.get(key)[0]).hexdigest()[:32]}.parquet")


def test_only_new_objects_are_fetched_without_data(
    recordings: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(recordings, tmp_path, 2)
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "another machine"))
    store = watched(tmp_path, monkeypatch)
    there = dataset("recordings", recordings.repository)
    before = parts(recordings)
    assert counts(there) == [0, 1]
    assert sorted(key for key in store.read if key.endswith(".parquet")) == before
    store.read.clear()
    assert counts(there) == [0, 1]
    assert store.read == []
    fill(recordings, tmp_path, 1, start=2)
    store.read.clear()
    assert counts(there) == [0, 1, 2]
    assert store.read == [key for key in parts(recordings) if key not in before]


def test_compacting_leaves_one_part_with_every_row_once(recordings: Dataset, tmp_path: Path) -> None:
    fill(recordings, tmp_path, 5)
    rows = list(recordings.where().rows())
    done = recordings.compact()
    assert (done.before, done.after, done.rows) == (5, 1, 5)
    assert len(parts(recordings)) == 1
    assert list(recordings.where().rows()) == rows
    assert recordings.compact().rows == 0
    fill(recordings, tmp_path, 1, start=5)
    assert counts(recordings) == [0, 1, 2, 3, 4, 5]


def test_a_compaction_that_was_stopped_before_deleting_shows_no_row_twice(recordings: Dataset, tmp_path: Path) -> None:
    fill(recordings, tmp_path, 3)
    kept = {key: recordings.objects.get(key)[0] for key in parts(recordings)}
    recordings.compact()
    for key, data in kept.items():
        recordings.objects.put(key, data)
    assert len(parts(recordings)) == 4
    assert counts(recordings) == [0, 1, 2]
    recordings.compact()
    assert len(parts(recordings)) == 1
    assert counts(recordings) == [0, 1, 2]


def test_two_concurrent_compactions_lose_and_duplicate_nothing(recordings: Dataset, tmp_path: Path) -> None:
    fill(recordings, tmp_path, 3)
    kept = {key: recordings.objects.get(key)[0] for key in parts(recordings)}
    recordings.compact()
    [first] = parts(recordings)
    whole = recordings.objects.get(first)[0]
    recordings.objects.delete(first)
    for key, data in kept.items():
        recordings.objects.put(key, data)
    recordings.compact()
    recordings.objects.put(first, whole)
    assert len(parts(recordings)) == 2
    assert counts(recordings) == [0, 1, 2]
    assert recordings.where().count() == 3
    recordings.compact()
    assert counts(recordings) == [0, 1, 2]


def test_a_compacted_part_sorts_after_the_parts_it_replaces_regardless_of_the_clock(
    recordings: Dataset, tmp_path: Path
) -> None:
    fill(recordings, tmp_path, 2)
    oldest, key = parts(recordings)
    data = recordings.objects.get(key)[0]
    recordings.objects.delete(key)
    ahead = part_key("recordings", datetime(2999, 1, 1, tzinfo=UTC), blake3(data).hexdigest()[:32])
    recordings.objects.put(ahead, data)
    recordings.compact()
    [compacted] = parts(recordings)
    assert compacted > ahead > oldest


def test_others_register_while_one_compacts(recordings: Dataset, tmp_path: Path) -> None:
    fill(recordings, tmp_path, 4)

    def work(number: int) -> None:
        there = dataset("recordings", recordings.repository)
        if number % 2:
            fill(there, tmp_path, 3, start=10 * number)
        else:
            there.compact()
            counts(there)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    expected = {0, 1, 2, 3, *range(10, 13), *range(30, 33), *range(50, 53)}
    assert set(counts(recordings)) == expected
    assert len(counts(recordings)) == len(expected)


def damage(recordings: Dataset, change: str) -> str:
    """Replace the only part with a damaged one. Return its key."""
    [key] = parts(recordings)
    data = recordings.objects.get(key)[0]
    if change == "cut short":
        recordings.objects.put(key, data[:-100])
        return key
    if change == "a byte":
        recordings.objects.put(key, data[:50] + bytes([data[50] ^ 1]) + data[51:])
        return key
    recordings.objects.delete(key)
    table = pq.read_table(pa.BufferReader(data))
    footer = {
        "no Parquet": None,
        "no footer": {},
        "newer": {"orbitpkg": '{"format": 2}'},
        "no JSON": {"orbitpkg": "{"},
        "of another": {"orbitpkg": footer_text(Description(dataset="other"))},
        "wrong types": {"orbitpkg": '{"format": 1, "dataset": 1, "replaces": 2}'},
    }[change]
    sink = pa.BufferOutputStream()
    pq.write_table(table.replace_schema_metadata(footer), sink)
    forged = b"PAR1 and so on PAR1" if footer is None else sink.getvalue().to_pybytes()
    key = part_key("recordings", datetime.now(UTC), blake3(forged).hexdigest()[:32])
    recordings.objects.put(key, forged)
    return key


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("cut short", "is damaged"),
        ("a byte", "is damaged"),
        ("no Parquet", "not a valid Parquet file"),
        ("no footer", "not a part of a catalogue"),
        ("newer", "format 2"),
        ("no JSON", "footer"),
        ("of another", "belongs to the dataset other"),
        ("wrong types", "damaged"),
    ],
)
def test_a_part_that_is_damaged_or_newer_is_named_and_fewer_rows_are_never_given(
    recordings: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, says: str
) -> None:
    fill(recordings, tmp_path, 1)
    key = damage(recordings, change)
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "another machine"))
    with pytest.raises(IntegrityError, match=re.escape(says)) as caught:
        dataset("recordings", recordings.repository).where("count >= 0").count()
    assert key.rpartition("/")[2] in caught.value.message


def test_objects_that_are_not_parts_are_ignored(recordings: Dataset, tmp_path: Path) -> None:
    fill(recordings, tmp_path, 1)
    recordings.objects.put(f"{PREFIX}README.txt", b"Somebody else's")
    assert counts(recordings) == [0]


def test_damaged_caches_of_this_machine_are_repaired(recordings: Dataset, tmp_path: Path) -> None:
    fill(recordings, tmp_path, 2)
    assert counts(recordings) == [0, 1]
    kept = sorted((tmp_path / "home" / "cache").rglob("part-*.parquet"))
    assert len(kept) == 2
    kept[0].write_bytes(kept[0].read_bytes()[:-20])
    kept[1].write_bytes(b"x" * kept[1].stat().st_size)
    assert counts(recordings) == [0, 1]


def test_without_a_network_the_cached_catalogue_is_used(
    recordings: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(recordings, tmp_path, 2)
    address = "s3://nowhere-at-all/lab"
    with pytest.raises(OfflineError, match="offline"):
        dataset("recordings", address, offline=True).where().count()
    monkeypatch.setenv("ORBITPKG_OFFLINE", "1")
    # A directory takes no network.
    found = dataset("recordings", recordings.repository).where()
    assert (found.count(), found.total_size()) == (2, 2)


def test_rows_of_one_datum_are_one_row(recordings: Dataset, tmp_path: Path) -> None:
    fill(recordings, tmp_path, 1)
    [key] = parts(recordings)
    data = recordings.objects.get(key)[0]
    table = pq.read_table(pa.BufferReader(data))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="gzip")
    again = sink.getvalue().to_pybytes()
    later = part_key("recordings", datetime.now(UTC), blake3(again).hexdigest()[:32])
    recordings.objects.put(later, again)
    assert counts(recordings) == [0]
    found = recordings.where("count = 0")
    assert (found.count(), found.total_size()) == (1, 1)
    assert len(recordings.where().to_pandas()) == 1
    recordings.compact()
    assert pq.read_table(pa.BufferReader(recordings.objects.get(parts(recordings)[0])[0])).num_rows == 1


def test_keys_may_be_called_anything(recordings: Dataset, tmp_path: Path) -> None:
    keys = [
        "filename",
        "file_row_number",
        "row",
        "rows",
        "rowid",
        "data",
        "select",
        'quot"ed',
        "a.b",
        "it's",
        "part",
        "図 ",
    ]
    for count in range(2):
        path = tmp_path / f"run-{count}.bin"
        path.write_bytes(b"%d" % count)
        recordings.register(path, metadata={key: f"{key}{count}" for key in keys})
    recordings.compact()
    assert len(parts(recordings)) == 1
    for key in keys:
        column, value = key.replace('"', '""'), f"{key}1".replace("'", "''")
        assert [row["name"] for row in recordings.where(f"\"{column}\" = '{value}'").rows()] == ["run-1.bin"]


def plain_rows(recordings: Dataset) -> Iterator[Any]:
    import duckdb

    paths = f"{recordings.repository.removeprefix('file://')}/{PREFIX}*.parquet"
    query = f"SELECT id, count, registered FROM read_parquet('{paths}', union_by_name = true) ORDER BY count"  # noqa: S608
    yield from duckdb.connect().execute(query).fetchall()


def test_a_plain_reader_sees_every_row_once(recordings: Dataset, tmp_path: Path) -> None:
    fill(recordings, tmp_path, 3)
    before = list(plain_rows(recordings))
    assert [row[1] for row in before] == [0, 1, 2]
    recordings.compact()
    assert list(plain_rows(recordings)) == before


def test_frames_and_tables_contain_the_same_values_as_rows(recordings: Dataset, tmp_path: Path) -> None:
    fill(recordings, tmp_path, 3)
    selection = recordings.where("count >= 1")
    rows = list(selection.rows())
    assert selection.to_arrow().select(["id", "count"]).to_pylist() == [
        {"id": row["id"], "count": row["count"]} for row in rows
    ]
    assert selection.to_pandas()["id"].tolist() == [row["id"] for row in rows]
