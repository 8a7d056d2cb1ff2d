"""What happens where a file system lacks or refuses something: each function uses what works."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import stat
from typing import TYPE_CHECKING, NoReturn

import pytest

from orbitpkg.files.atomic import HIDDEN, publish_new_file
from orbitpkg.files.content import clone_or_link, write_file
from orbitpkg.files.folders import make_folders, set_mode
from orbitpkg.files.locks import file_lock
from orbitpkg.files.names import disk_path, parse_written_path, text_path, written_path
from orbitpkg.files.space import free_bytes

if TYPE_CHECKING:
    from pathlib import Path

REFUSALS = [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS]
LONGEST = "x" * 255


def refuse(monkeypatch: pytest.MonkeyPatch, number: int, *names: str) -> None:
    """Make calls of the system fail, as on a file system that lacks them."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    for name in names:
        monkeypatch.setattr(os, name, fail)


@pytest.mark.parametrize("number", REFUSALS)
def test_a_refused_mode_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o2770)
    refuse(monkeypatch, number, "chmod", "fchmod")
    set_mode(shared, 0o700)
    make_folders(str(shared / "a/b"))
    write_file(str(shared / "a/b/file"), b"x")
    assert (shared / "a/b/file").read_bytes() == b"x"


def test_another_error_about_a_mode_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, errno.EIO, "chmod")
    with pytest.raises(OSError, match="Input/output"):
        set_mode(tmp_path, 0o700)


@pytest.mark.parametrize("number", REFUSALS)
def test_without_hard_links_a_new_file_still_never_replaces_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse(monkeypatch, number, "link")
    for content in (b"first", b"second"):
        (tmp_path / "part").write_bytes(content)
        if content == b"first":
            publish_new_file(tmp_path / "part", tmp_path / "target")
        else:
            with pytest.raises(FileExistsError):
                publish_new_file(tmp_path / "part", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == b"first"
    assert os.listdir(tmp_path) == ["target"]


def test_a_file_with_the_longest_name_is_copied_where_links_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "source").write_bytes(b"x")
    (tmp_path / "source").chmod(0o555)
    refuse(monkeypatch, errno.EPERM, "link")
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: os.close(-1))
    assert clone_or_link(str(tmp_path / "source"), str(tmp_path / LONGEST))
    assert stat.S_IMODE((tmp_path / LONGEST).stat().st_mode) == 0o555
    assert [name for name in os.listdir(tmp_path) if name.startswith(HIDDEN)] == []


def test_a_file_system_that_reports_no_space_at_all_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert free_bytes(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(0, 0, 0))
    assert free_bytes(tmp_path) is None
    monkeypatch.undo()
    assert free_bytes(tmp_path / "absent") is None


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL])
def test_where_locks_are_refused_the_work_is_done_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fail(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    waited: list[None] = []
    with file_lock(tmp_path / "lock", on_wait=lambda: waited.append(None)):
        pass
    assert waited == []


@pytest.mark.parametrize("path", ["/plain", "/gr\u00fcn", "/b\udce9d/repository"])
def test_a_path_that_is_written_to_a_file_is_read_again(path: str) -> None:
    written = written_path(path)
    assert written.encode()
    assert parse_written_path(written) == path
    assert disk_path(text_path(path)) == path
