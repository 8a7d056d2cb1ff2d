"""Files and folders that appear whole or not at all, on the file systems that refuse part of it."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orbitpkg.files.atomic import (
    HIDDEN,
    atomic_file,
    atomic_write,
    create_file,
    move_file,
    move_folder,
    publish_file,
    remove_folder,
    replace_folder,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OLD, NEW = b"old", b"new"
SYSTEM_CALLS = {"fsync", "link", "rename", "replace"}


def mount(kind: str, options: str, folder: Path) -> None:
    """Mount a file system, or skip the test."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("mounting a file system takes root: run the tests as root")
    done = subprocess.run(["mount", "-t", kind, "-o", options, kind, folder], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"{kind} could not be mounted: {done.stderr.decode().strip()}")


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    mount("tmpfs", "size=4m", tmp_path / "disk")
    yield tmp_path / "disk"
    subprocess.run(["umount", tmp_path / "disk"], check=True)


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    """An overlay, as a container's, with a folder that came with its image: the system refuses to rename that one."""
    # An overlay's upper layer cannot itself be on an overlay, which /tmp may be.
    mount("tmpfs", "size=4m", tmp_path / "layers")
    layers = tmp_path / "layers"
    for name in ("lower/release/files", "upper", "work"):
        (layers / name).mkdir(parents=True)
    (layers / "lower/release/record").write_bytes(b"record")
    (layers / "lower/release/files/data").write_bytes(OLD)
    (layers / "lower/release/files/link").symlink_to("data")
    try:
        options = f"lowerdir={layers}/lower,upperdir={layers}/upper,workdir={layers}/work"
        mount("overlay", options, tmp_path / "image")
        yield tmp_path / "image"
        subprocess.run(["umount", tmp_path / "image"], check=True)
    finally:
        subprocess.run(["umount", layers], check=True)


def system_calls(work: Callable[[], object]) -> list[str]:
    """Return the calls that sync or rename, in order, which a piece of work really makes."""
    calls: list[str] = []

    def note(_: object, event: str, function: object) -> None:
        name = getattr(function, "__name__", "")
        if event == "c_call" and name in SYSTEM_CALLS:
            calls.append(name)

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


class TestWriting:
    def test_a_file_is_synced_before_it_is_renamed_and_its_folder_after(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        assert system_calls(lambda: atomic_write(path, NEW)) == ["fsync", "replace", "fsync"]
        assert path.read_bytes() == NEW

    def test_a_cache_is_not_synced(self, tmp_path: Path) -> None:
        assert system_calls(lambda: atomic_write(tmp_path / "file", NEW, durable=False)) == ["replace"]

    def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(OLD)

        def write_a_part() -> None:
            with atomic_file(path) as file:
                file.write(NEW)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_a_part()
        assert path.read_bytes() == OLD
        assert os.listdir(tmp_path) == ["file"]

    def test_the_temporary_file_is_hidden_from_listings_of_packages(self, tmp_path: Path) -> None:
        with atomic_file(tmp_path / "file") as file:
            file.write(NEW)
            (name,) = os.listdir(tmp_path)
            assert name.startswith(HIDDEN)

    def test_a_link_stays_a_link_and_its_file_is_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "dotfiles").mkdir()
        target, link = tmp_path / "dotfiles/config.toml", tmp_path / "config.toml"
        target.write_bytes(OLD)
        link.symlink_to(target)
        atomic_write(link, NEW)
        assert link.is_symlink()
        assert target.read_bytes() == NEW

    def test_the_mode_of_a_replaced_file_is_kept(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(OLD)
        path.chmod(0o640)
        atomic_write(path, NEW)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    def test_a_mode_that_is_given_holds_from_the_first_byte(self, tmp_path: Path) -> None:
        with atomic_file(tmp_path / "file", mode=0o600) as file:
            assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o600

    def test_a_file_in_a_shared_folder_gets_the_folders_mode(self, tmp_path: Path) -> None:
        shared = tmp_path / "shared"
        shared.mkdir()
        shared.chmod(0o2775)
        atomic_write(shared / "file", NEW)
        assert stat.S_IMODE((shared / "file").stat().st_mode) == 0o664

    def test_an_error_names_the_file_and_not_its_temporary_name(self, tmp_path: Path) -> None:
        for path in (tmp_path / "absent/file", tmp_path):
            with pytest.raises(OSError, match=r"\[Errno") as caught:
                atomic_write(path, NEW)
            assert HIDDEN not in str(caught.value)
            assert str(tmp_path) in str(caught.value)


class TestPublishing:
    def test_a_finished_file_is_synced_and_renamed(self, tmp_path: Path) -> None:
        part, target = tmp_path / "part", tmp_path / "target"
        part.write_bytes(NEW)
        target.write_bytes(OLD)
        assert system_calls(lambda: publish_file(part, target)) == ["fsync", "replace", "fsync"]
        assert (target.read_bytes(), part.exists()) == (NEW, False)

    def test_a_file_whose_bytes_are_synced_is_only_renamed(self, tmp_path: Path) -> None:
        part = tmp_path / "part"
        part.write_bytes(NEW)
        assert system_calls(lambda: move_file(part, tmp_path / "target")) == ["replace", "fsync"]

    def test_only_one_of_two_files_gets_a_new_name(self, tmp_path: Path) -> None:
        first, second, target = tmp_path / "first", tmp_path / "second", tmp_path / "target"
        first.write_bytes(NEW)
        second.write_bytes(OLD)
        create_file(first, target)
        with pytest.raises(FileExistsError):
            create_file(second, target)
        assert target.read_bytes() == NEW

    def test_a_link_that_was_made_although_its_reply_was_lost_counts(self, tmp_path: Path) -> None:
        part, target = tmp_path / "part", tmp_path / "target"
        part.write_bytes(NEW)
        os.link(part, target)
        create_file(part, target)
        assert target.read_bytes() == NEW


class TestFolders:
    def test_a_folder_is_renamed(self, tmp_path: Path) -> None:
        (tmp_path / "source").mkdir()
        (tmp_path / "source/file").write_bytes(NEW)
        move_folder(tmp_path / "source", tmp_path / "target")
        assert (tmp_path / "target/file").read_bytes() == NEW
        assert os.listdir(tmp_path) == ["target"]

    def test_a_folder_moves_to_another_file_system(self, tmp_path: Path, other_disk: Path) -> None:
        (tmp_path / "source/inner").mkdir(parents=True)
        (tmp_path / "source/inner/file").write_bytes(NEW)
        move_folder(tmp_path / "source", other_disk / "target")
        assert (other_disk / "target/inner/file").read_bytes() == NEW
        assert os.listdir(other_disk) == ["target"]
        assert not (tmp_path / "source").exists()

    def test_a_folder_that_does_not_fit_stays_where_it_is(self, tmp_path: Path, other_disk: Path) -> None:
        (tmp_path / "source").mkdir()
        (tmp_path / "source/file").write_bytes(bytes(8 << 20))
        with pytest.raises(OSError, match="No space left"):
            move_folder(tmp_path / "source", other_disk / "target")
        assert (tmp_path / "source/file").stat().st_size == 8 << 20
        assert os.listdir(other_disk) == []

    def test_a_folder_of_an_image_is_moved(self, image: Path) -> None:
        with pytest.raises(OSError, match="cross-device") as caught:
            (image / "release").rename(image / "elsewhere")
        assert caught.value.errno == errno.EXDEV
        written = (image / "release/files/data").stat().st_mtime_ns
        move_folder(image / "release", image / "moved")
        assert (image / "moved/files/data").stat().st_mtime_ns == written
        assert (image / "moved/files/data").read_bytes() == OLD
        assert (image / "moved/files/link").is_symlink()
        assert os.listdir(image) == ["moved"]

    def test_a_folder_of_an_image_is_removed(self, image: Path) -> None:
        remove_folder(image / "release", trash=image / "trash", first="record")
        assert os.listdir(image) == []

    def test_a_folder_of_an_image_is_replaced(self, image: Path) -> None:
        (image / "fresh").mkdir()
        (image / "fresh/file").write_bytes(NEW)
        assert replace_folder(image / "fresh", image / "release", aside=image / "aside")
        assert (image / "release/file").read_bytes() == NEW
        assert (image / "aside/files/data").read_bytes() == OLD

    def test_a_folder_that_is_absent_cannot_be_removed(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            remove_folder(tmp_path / "absent", trash=tmp_path / "trash")

    def test_a_removed_folder_is_gone_from_the_disk_before_this_returns(self, tmp_path: Path) -> None:
        (tmp_path / "folder").mkdir()
        assert system_calls(lambda: remove_folder(tmp_path / "folder", trash=tmp_path / "trash")) == ["rename", "fsync"]
        assert os.listdir(tmp_path) == []
