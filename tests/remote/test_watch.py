"""Watching a folder: each file is uploaded once it is complete, whatever happens in between."""

from __future__ import annotations

import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest

from orbitpkg.errors import RepositoryUnreachable, UsageError
from orbitpkg.objects import open_store
from orbitpkg.remote.sync_plan import LocalFile
from orbitpkg.remote.watch import Settling, Watch, open_watch
from tests.cli.machine import ORBITPKG, Machine
from tests.remote.test_sync import acts, conflicts, use, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orbitpkg.objects.protocol import ObjectStore
    from orbitpkg.remote.syncing import SyncResult
    from tests.servers.processes import S3Server


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without sync state."""
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORBITPKG_OFFLINE", raising=False)
    return tmp_path / "home"


class TestSettling:
    def test_a_file_has_settled_after_staying_unchanged_long_enough(self) -> None:
        settling, small, large = Settling(5), LocalFile(size=1, mtime_ns=1), LocalFile(size=2, mtime_ns=1)
        assert settling.observe(100.0, {"a": small}) == {}
        assert settling.observe(104.9, {"a": small}) == {}
        assert settling.observe(105.0, {"a": small}) == {"a": small}
        assert settling.observe(106.0, {"a": large}) == {}
        assert settling.observe(110.9, {"a": large}) == {}
        assert settling.observe(111.0, {"a": large}) == {"a": large}

    def test_changes_of_other_files_do_not_delay_a_file(self) -> None:
        settling, one, other = Settling(5), LocalFile(size=1, mtime_ns=1), LocalFile(size=1, mtime_ns=2)
        settling.observe(0.0, {"a": one, "b": one})
        assert settling.observe(5.0, {"a": one, "b": other, "c": one}) == {"a": one}

    def test_a_file_that_was_recreated_must_settle_again(self) -> None:
        settling, file = Settling(5), LocalFile(size=1, mtime_ns=1)
        settling.observe(0.0, {"a": file})
        settling.observe(3.0, {})
        assert settling.observe(6.0, {"a": file}) == {}


class Day:
    """A watched folder, a store, and a clock that advances by a second whenever the watch waits.

    Args:
        folder: The watched folder.
        options: The options of the watch.
    """

    def __init__(self, folder: Path, **options: Any) -> None:
        self.folder = folder
        self.place = f"memory://{uuid4().hex}/robot"
        self.notes: list[str] = []
        self._options = options
        self._events: dict[int, Callable[[], object]] = {}
        self._now = 0

    def at(self, second: int, event: Callable[[], object]) -> None:
        """Schedule an action at a time."""
        self._events[second] = event

    def writes(self, second: int, name: str, data: bytes) -> None:
        """Schedule the writing of a file at a time."""

        def event() -> None:
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            # The file system's clock may not advance between two writes.
            os.utime(path, ns=(second * 10**9, second * 10**9))

        self.at(second, event)

    def until(self, end: int, watch: Watch | None = None) -> Iterator[tuple[int, SyncResult]]:
        """Watch until a time; return the events and their times."""
        watch = watch or open_watch(self.folder, self.place, settle=3.0, **self._options)
        watch._clock = lambda: float(self._now)

        def wait(_: float) -> bool:
            self._now += 1
            self._events.pop(self._now, lambda: None)()
            return self._now > end

        self._events.pop(0, lambda: None)()
        for result in watch.rounds(cast("Any", self), wait=wait):
            yield self._now, result
        watch.close()

    def task(self, title: str, total: int | None) -> Any:
        from orbitpkg.reporting import SILENT

        return SILENT.task(title, total)

    def note(self, message: str) -> None:
        self.notes.append(message)

    @property
    def objects(self) -> dict[str, bytes]:
        store = open_store(self.place.removesuffix("/robot"))
        return {info.key.removeprefix("robot/"): store.get(info.key)[0] for info in store.list("robot/")}


@pytest.fixture
def day(tmp_path: Path) -> Day:
    (tmp_path / "recordings").mkdir()
    return Day(tmp_path / "recordings")


class TestWatching:
    def test_a_growing_file_is_uploaded_once_when_it_stops_growing(self, day: Day) -> None:
        for second in range(1, 9):
            day.writes(second, "run.csv", b"row\n" * second)
        happened = [(second, acts(result)) for second, result in day.until(30)]
        assert happened == [(11, [("upload", "run.csv")])]
        assert day.objects == {"run.csv": b"row\n" * 8}

    def test_existing_files_and_later_changes_are_uploaded(self, day: Day) -> None:
        write(day.folder, {"a/b": b"before"})
        day.writes(10, "c", b"later")
        day.writes(20, "a/b", b"changed")
        happened = [acts(result) for _, result in day.until(40)]
        assert happened == [[("upload", "a/b")], [("upload", "c")], [("upload", "a/b")]]
        assert day.objects == {"a/b": b"changed", "c": b"later"}

    def test_uploaded_files_are_not_uploaded_again_after_a_restart(self, day: Day) -> None:
        write(day.folder, {"a": b"a"})
        assert len(list(day.until(10))) == 1
        assert list(day.until(20)) == []
        write(day.folder, {"b": b"b"})
        assert [acts(result) for _, result in day.until(40)] == [[("upload", "b")]]

    def test_a_deleted_file_keeps_its_object(self, day: Day) -> None:
        write(day.folder, {"a": b"a", "b": b"b"})
        day.at(10, (day.folder / "a").unlink)
        assert len(list(day.until(30))) == 1
        assert sorted(day.objects) == ["a", "b"]

    def test_with_delete_a_deleted_file_deletes_its_object_but_a_lost_disk_deletes_nothing(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "recordings").mkdir()
        day = Day(tmp_path / "recordings", delete=True)
        write(day.folder, {"a": b"a", "b": b"b"})
        day.at(10, (day.folder / "a").unlink)
        day.at(20, lambda: day.folder.rename(tmp_path / "unmounted"))
        happened = [acts(result) for _, result in day.until(40)]
        assert happened == [[("upload", "a"), ("upload", "b")], [("delete object", "a")]]
        assert sorted(day.objects) == ["b"]

    def test_with_delete_a_growing_file_does_not_count_as_deleted(self, tmp_path: Path) -> None:
        (tmp_path / "recordings").mkdir()
        day = Day(tmp_path / "recordings", delete=True)
        write(day.folder, {"a": b"a", "b": b"b"})
        for second in range(10, 20):
            day.writes(second, "a", b"x" * second)
        happened = [acts(result) for _, result in day.until(40)]
        assert happened == [[("upload", "a"), ("upload", "b")], [("upload", "a")]]

    def test_with_delete_a_file_replaced_by_another_kind_does_not_count_as_deleted(self, tmp_path: Path) -> None:
        (tmp_path / "recordings").mkdir()
        day = Day(tmp_path / "recordings", delete=True)
        write(day.folder, {"a": b"a", "b": b"b"})
        day.at(10, lambda: _replace_by_pipe(day.folder / "a"))
        happened = [(acts(result), [row.path for row in result.unusable]) for _, result in day.until(40)]
        assert happened == [([("upload", "a"), ("upload", "b")], []), ([], ["a"])]
        assert sorted(day.objects) == ["a", "b"]

    def test_an_object_of_another_writer_is_a_conflict_reported_once(self, day: Day) -> None:
        write(day.folder, {"a": b"a"})
        day.at(10, lambda: open_store(day.place.removesuffix("/robot")).put("robot/a", b"somebody's"))
        day.writes(11, "a", b"mine")
        happened = [(acts(result), conflicts(result)) for _, result in day.until(60)]
        assert happened == [([("upload", "a")], []), ([], ["a"])]
        assert day.objects == {"a": b"somebody's"}

    def test_a_path_that_cannot_be_uploaded_is_reported_once(self, day: Day) -> None:
        os.mkfifo(day.folder / "pipe")
        happened = [[row.path for row in result.unusable] for _, result in day.until(30)]
        assert happened == [["pipe"]]

    def test_a_temporary_outage_of_the_store_does_not_end_the_watch(self, day: Day) -> None:
        write(day.folder, {"a": b"a"})
        silent = [True]

        def opener(url: str) -> ObjectStore:
            store = open_store(url)
            put = store.create

            def sometimes(*words: Any, **options: Any) -> Any:
                if silent:
                    raise RepositoryUnreachable("Nobody answers.")
                return put(*words, **options)

            cast("Any", store).create = sometimes
            return store

        day.at(20, silent.clear)
        watch = open_watch(day.folder, day.place, settle=3.0, opener=opener)
        happened = [(second, acts(result)) for second, result in day.until(60, watch)]
        assert happened == [(20, [("upload", "a")])]
        assert len(day.notes) == 1
        assert day.notes[0].startswith("Nobody answers. Uploads continue")

    def test_a_remounted_disk_does_not_end_the_watch(self, day: Day, tmp_path: Path) -> None:
        write(day.folder, {"a": b"a"})
        day.at(10, lambda: day.folder.rename(tmp_path / "away"))
        day.at(11, lambda: day.folder.write_bytes(b"in its place"))
        day.at(20, day.folder.unlink)
        day.at(21, lambda: (tmp_path / "away").rename(day.folder))
        day.writes(30, "b", b"b")
        assert [acts(result) for _, result in day.until(60)] == [[("upload", "a")], [("upload", "b")]]
        assert len(day.notes) == 1

    def test_only_included_paths_are_watched(self, tmp_path: Path) -> None:
        (tmp_path / "recordings").mkdir()
        day = Day(tmp_path / "recordings", include=["*.csv"], exclude=["tmp*"])
        write(day.folder, {"a.csv": b"", "a.lock": b"", "x/tmp.csv": b""})
        assert [acts(result) for _, result in day.until(10)] == [[("upload", "a.csv")]]

    def test_only_a_folder_can_be_watched(self, tmp_path: Path) -> None:
        write(tmp_path, {"file": b""})
        for source, destination in (("memory://n/d/", tmp_path / "x"), (tmp_path / "file", "memory://n/d")):
            with pytest.raises(UsageError, match="Only a local directory can be watched"):
                open_watch(source, destination)


def _replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


class TestInterrupting:
    def test_ctrl_c_ends_the_command_cleanly_and_saves_the_state(
        self, moto: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = f"{use(moto, monkeypatch)}/robot"
        machine = Machine(tmp_path)
        folder = write(tmp_path / "recordings", {"a": b"a"})
        words = [*ORBITPKG, "remote", "sync", str(folder), place, "--watch", "--settle", "0.1"]
        process = subprocess.Popen(
            words, env=machine.environment(**moto.env()), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline().split() == ["upload", "a", "1", "byte"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert (process.returncode, out) == (0, "")
        assert err.endswith("Stopped. The next sync continues from here.\n")
        done = machine.run("remote", "sync", str(folder), place, "--json", **moto.env())
        assert (done.envelope["data"]["done"], done.envelope["data"]["unchanged"]) == ([], 1)
