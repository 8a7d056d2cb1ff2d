"""Reading small files that anybody may have put where they are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from orbitpkg.errors import LockTimeout, StorageError
from orbitpkg.files.editing import editing
from orbitpkg.files.reading import foreign_owner, read_bounded, read_owned
from orbitpkg.files.working import absolute_path, working_folder

if TYPE_CHECKING:
    from pathlib import Path

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


def test_a_regular_file_is_read_up_to_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "settings"
    path.write_bytes(b"12345")
    assert read_bounded(path, max_bytes=5) == b"12345"
    with pytest.raises(OSError, match="Larger than 4 bytes"):
        read_bounded(path, max_bytes=4)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom", "/dev/tty", "fifo"])
def test_devices_and_pipes_are_refused_without_waiting(tmp_path: Path, device: str) -> None:
    os.mkfifo(tmp_path / "fifo")
    link = tmp_path / "link"
    link.symlink_to(device)
    with pytest.raises(OSError, match="Not a regular file"):
        read_bounded(link, max_bytes=1_000)


def test_the_null_device_is_an_empty_file() -> None:
    assert read_bounded(os.devnull, max_bytes=1) == b""


def test_a_folder_is_reported_as_one(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_bounded(tmp_path, max_bytes=1)


@as_root
def test_files_and_links_of_others_are_foreign(tmp_path: Path) -> None:
    own, link = tmp_path / "own", tmp_path / "link"
    own.write_bytes(b"x")
    link.symlink_to(own)
    assert read_owned(own, max_bytes=1) == (b"x", None)
    os.chown(link, 12345, 12345, follow_symlinks=False)
    assert read_owned(link, max_bytes=1) == (b"x", 12345)
    os.chown(own, 12345, 12345)
    assert read_owned(own, max_bytes=1) == (b"x", 12345)


@as_root
def test_the_caller_of_sudo_is_not_foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.chown(tmp_path, 12345, 12345)
    monkeypatch.setenv("SUDO_UID", "12345")
    assert foreign_owner(tmp_path.stat()) is None
    monkeypatch.setenv("SUDO_UID", "54321")
    assert foreign_owner(tmp_path.stat()) == 12345


def test_a_deleted_working_directory_matters_to_relative_paths_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert working_folder() is None
    assert absolute_path("/a/../b") == "/b"
    with pytest.raises(StorageError, match="working directory was deleted"):
        absolute_path("b")
    monkeypatch.chdir(tmp_path)


class TestEditing:
    def test_it_leaves_nothing_behind(self, tmp_path: Path) -> None:
        with editing(tmp_path, seconds=0):
            assert list(tmp_path.iterdir())
        assert list(tmp_path.iterdir()) == []

    def test_a_second_editor_gives_way(self, tmp_path: Path) -> None:
        with (
            editing(tmp_path, seconds=0),
            pytest.raises(LockTimeout, match="has been changing the settings"),
            editing(tmp_path, seconds=0),
        ):
            pytest.fail("two editors at once")
        with editing(tmp_path, seconds=0):
            pass

    def test_it_works_where_the_file_system_has_no_locks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        import errno
        import fcntl

        def refuse(descriptor: int, operation: int) -> None:
            del descriptor, operation
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

        monkeypatch.setattr(fcntl, "flock", refuse)
        with editing(tmp_path, seconds=0), pytest.raises(LockTimeout), editing(tmp_path, seconds=0):
            pytest.fail("two editors at once")
        held = tmp_path / ".orbitpkg.lock.held"
        held.touch()
        os.utime(held, (0, 0))  # its process was killed long ago
        with editing(tmp_path, seconds=1):
            pass
        assert not held.exists()
