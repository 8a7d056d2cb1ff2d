"""Reading a package's directory: what is picked, what is refused, and what counts as a change."""

from __future__ import annotations

import os
import shutil
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orbitpkg.archive.tree import SourceTree, _status, read_tree
from orbitpkg.errors import ManifestError, StorageError, TreeChanged
from orbitpkg.model.manifest import MAX_MANIFEST_BYTES
from tests.packages import make_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_package(tmp_path / "model", files={"data/a": b"a", "data/b": b"bb", "c": b"ccc"})


def paths(tree: SourceTree) -> list[str]:
    return [file.path for file in tree.files]


def problems(folder: Path) -> list[str]:
    with pytest.raises(ManifestError) as caught:
        read_tree(folder)
    assert all(problem.pointer.startswith("/include") for problem in caught.value.problems)
    return [problem.message for problem in caught.value.problems]


class TestPicking:
    def test_the_manifest_comes_first_and_the_rest_by_path(self, folder: Path) -> None:
        make_package(folder, files={"Z": b"", "data-x": b"", "data/A": b""})
        (folder / "data/a").rename(folder / "data/a\u00e9")
        assert paths(read_tree(folder)) == ["package.json", "Z", "c", "data-x", "data/A", "data/a\u00e9", "data/b"]

    def test_a_file_is_described_as_it_is(self, folder: Path) -> None:
        (folder / "data/b").chmod(0o700)
        tree = read_tree(folder)
        assert [(file.path, file.size, file.executable) for file in tree.files[1:]] == [
            ("c", 3, False),
            ("data/a", 1, False),
            ("data/b", 2, True),
        ]
        assert tree.files[3].source == str(folder / "data/b")
        assert tree.total_size == tree.files[0].size + 6
        assert tree.manifest.name == "model"
        assert tree.root == folder

    @pytest.mark.parametrize("mode", [0o100, 0o744, 0o755, 0o4711])
    def test_a_file_that_its_owner_may_execute_is_executable(self, folder: Path, mode: int) -> None:
        (folder / "c").chmod(mode)
        assert read_tree(folder).files[1].executable

    @pytest.mark.parametrize("mode", [0o600, 0o444, 0o655, 0o611, 0o666])
    def test_a_file_that_only_others_may_execute_is_not(self, folder: Path, mode: int) -> None:
        (folder / "c").chmod(mode)
        assert not read_tree(folder).files[1].executable

    def test_a_relative_folder_is_read_from_the_working_directory(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(folder)
        assert paths(read_tree(Path())) == paths(read_tree(folder))
        assert [file.source for file in read_tree(Path()).files[:2]] == ["package.json", "c"]
        monkeypatch.chdir(folder.parent)
        assert read_tree(Path("model")).files[1].source == "model/c"

    def test_a_folder_reached_by_a_link_is_read(self, folder: Path) -> None:
        link = folder.with_name("link")
        link.symlink_to(folder, target_is_directory=True)
        (folder / "l").symlink_to("c")
        assert paths(read_tree(link)) == paths(read_tree(folder))

    def test_empty_directories_are_ignored(self, folder: Path) -> None:
        (folder / "empty/deep").mkdir(parents=True)
        assert paths(read_tree(folder)) == ["package.json", "c", "data/a", "data/b"]

    def test_archives_that_build_left_beside_the_manifest_are_not_picked(self, folder: Path) -> None:
        left = ["model-1.0.0.tar.zst", "model-2.0.0-rc.1.tar.zst", ".orbitpkg-0123abcd.tmp"]
        others = ["other-1.0.0.tar.zst", "model.tar.zst", "model-1.part", "data/model-1.0.0.tar.zst"]
        make_package(folder, files=dict.fromkeys([*left, *others], b""))
        assert set(paths(read_tree(folder))) == {"package.json", "c", "data/a", "data/b", *others}


class TestManifest:
    def test_a_directory_without_a_manifest_gives_a_hint_how_to_begin(self, tmp_path: Path) -> None:
        with pytest.raises(ManifestError, match="there is no such file") as caught:
            read_tree(tmp_path)
        assert caught.value.problems[0].hint == f"to create one: orbitpkg init {tmp_path}"

    @pytest.mark.parametrize("name", ["nowhere", "model/c"])
    def test_a_path_that_is_not_a_directory_is_reported(self, folder: Path, name: str) -> None:
        with pytest.raises(StorageError, match="is not a directory") as caught:
            read_tree(folder.parent / name)
        assert caught.value.hint == "Give the directory that contains package.json."

    @pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "fifo"])
    def test_a_manifest_that_is_not_a_file_is_refused_without_blocking(
        self, tmp_path: Path, make: Callable[[Path], None]
    ) -> None:
        make(tmp_path / "package.json")
        with pytest.raises(ManifestError, match="is not a regular file"):
            read_tree(tmp_path)

    def test_a_manifest_without_measure_is_not_read_to_its_end(self, folder: Path) -> None:
        with (folder / "package.json").open("r+b") as file:
            file.truncate(MAX_MANIFEST_BYTES + 1)
        with pytest.raises(ManifestError, match="is larger than 1,048,576 bytes"):
            read_tree(folder)

    def test_a_name_too_long_for_the_file_system_is_an_error_of_storage(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="cannot be read: File name too long"):
            read_tree(tmp_path / ("x" * 300))

    def test_a_pattern_without_matches_is_reported(self, folder: Path) -> None:
        make_package(folder, files={}, include=["data/**", "nothing/*"])
        assert problems(folder) == ['"nothing/*" matches no file']


class TestNames:
    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("back\\slash", "contains '\\\\'"),
            ("a:b", "contains ':'"),
            ("line\nbreak", "contains a control character"),
            ("NUL.txt", "a reserved device name"),
            ("dot.", "ends in '.'"),
            ("cafe\u0301", "NFC"),
            ("\u202egnp.exe", "U+202E"),
            (os.fsdecode(b"\xff\xfe"), "is not valid Unicode"),
        ],
    )
    def test_a_name_that_not_every_system_allows_is_refused_when_picked(
        self, folder: Path, name: str, reason: str
    ) -> None:
        (folder / name).touch()
        (problem,) = problems(folder)
        assert problem.startswith(f"matches {name!r}, which ")
        assert reason in problem

    def test_such_a_name_does_no_harm_when_it_is_not_picked(self, folder: Path) -> None:
        make_package(folder, files={"a:b": b"", os.fsdecode(b"x/\xff"): b""}, include=["data/*"])
        assert paths(read_tree(folder)) == ["package.json", "data/a", "data/b"]

    def test_names_alike_but_for_case_are_refused(self, folder: Path) -> None:
        make_package(folder, files={"C": b"", "Data/x": b""})
        assert [problem.split(", which ")[0] for problem in problems(folder)] == [
            "matches 'c'",
            "matches 'data/a'",
            "matches 'data/b'",
        ]

    def test_all_problems_are_reported_at_once(self, folder: Path) -> None:
        make_package(folder, files={"a:b": b"", "C": b""}, include=["**", "none"])
        (folder / "l").symlink_to("/etc/passwd")
        assert [problem.split(",")[0] for problem in problems(folder)] == [
            '"none" matches no file',
            "matches 'a:b'",
            "matches 'c'",
            "matches 'l'",
        ]


class TestLinks:
    def test_a_link_to_a_file_inside_is_followed(self, folder: Path) -> None:
        (folder / "data/l").symlink_to("../c")
        (folder / "data/l2").symlink_to("l")
        (folder / "data/l3").symlink_to(folder / "c")
        files = {file.path: file for file in read_tree(folder).files}
        for link in ("data/l", "data/l2", "data/l3"):
            assert (files[link].size, files[link].identity) == (3, files["c"].identity)

    @pytest.mark.parametrize(
        ("target", "reason"),
        [
            ("/etc/passwd", "is a symbolic link that points outside the package directory"),
            ("../outside", "is a symbolic link that points outside the package directory"),
            ("data/../../outside", "is a symbolic link that points outside the package directory"),
            ("nothing", "is a broken symbolic link"),
            ("../nothing", "is a broken symbolic link"),
            ("link", "is a broken symbolic link"),
            ("c/x", "is a broken symbolic link"),
            ("data", "is a symbolic link to a directory, which is not followed"),
            (".", "is a symbolic link to a directory, which is not followed"),
            ("..", "is a symbolic link that points outside the package directory"),
            ("fifo", "is a symbolic link to something other than a regular file"),
            ("x" * 300, "is a broken symbolic link"),
        ],
    )
    def test_any_other_link_is_refused(self, folder: Path, target: str, reason: str) -> None:
        (folder.parent / "outside").write_bytes(b"secret")
        os.mkfifo(folder / "fifo")
        make_package(folder, files={}, exclude=["fifo"])
        (folder / "link").symlink_to(target)
        assert problems(folder) == [f"matches 'link', which {reason}"]

    def test_a_link_out_and_in_again_is_followed(self, folder: Path) -> None:
        (folder.parent / "back").symlink_to(folder / "c")
        (folder / "l").symlink_to("../back")
        assert read_tree(folder).files[-1].size == 3

    def test_a_linked_folder_is_not_entered(self, folder: Path) -> None:
        (folder / "also").symlink_to("data", target_is_directory=True)
        make_package(folder, files={}, include=["also/*", "c"])
        assert problems(folder)[0] == '"also/*" matches no file'

    @pytest.mark.parametrize("pattern", ["linked/**", "linked/*.bin", "linked/sub/a.bin", "linked/sub/**/[ab].bin"])
    @pytest.mark.parametrize("target", ["data", "../elsewhere"])
    def test_a_pattern_below_a_linked_folder_names_the_link(self, folder: Path, pattern: str, target: str) -> None:
        (folder.parent / "elsewhere/sub").mkdir(parents=True)
        (folder / "linked").symlink_to(target, target_is_directory=True)
        make_package(folder, files={}, include=[pattern])
        assert problems(folder) == [f'"{pattern}" matches no file']
        with pytest.raises(ManifestError) as caught:
            read_tree(folder)
        assert caught.value.problems[0].hint == (
            '"linked" is a symbolic link to a directory, which is not followed; '
            "replace the link with the directory itself"
        )

    def test_a_linked_folder_below_a_folder_is_named_with_its_path(self, folder: Path) -> None:
        (folder / "data/gr\u00fcn").symlink_to("..", target_is_directory=True)
        make_package(folder, files={}, include=["data/gr\u00fcn/*.bin"])
        with pytest.raises(ManifestError) as caught:
            read_tree(folder)
        assert (caught.value.problems[0].hint or "").startswith('"data/gr\u00fcn" is a symbolic link to a directory')

    def test_a_folder_linked_to_itself_ends(self, folder: Path) -> None:
        (folder / "data/loop").symlink_to("..", target_is_directory=True)
        make_package(folder, files={}, exclude=["data/loop"])
        assert paths(read_tree(folder)) == ["package.json", "c", "data/a", "data/b"]

    def test_links_of_any_kind_do_no_harm_when_not_picked(self, folder: Path) -> None:
        (folder / "l").symlink_to("/etc/passwd")
        make_package(folder, files={}, include=["data/*"])
        assert len(read_tree(folder).files) == 3


class TestOtherKinds:
    def test_a_fifo_is_refused_when_picked(self, folder: Path) -> None:
        os.mkfifo(folder / "data/fifo")
        assert problems(folder) == ["matches 'data/fifo', which is not a regular file"]

    def test_a_socket_is_refused_when_picked(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)  # the path of a socket has about a hundred bytes
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
            assert problems(folder) == ["matches 'socket', which is not a regular file"]

    def test_a_device_is_refused_when_picked(self, folder: Path) -> None:
        try:
            os.mknod(folder / "null", stat.S_IFCHR | 0o600, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("only root makes devices: run the tests as root, in a container for instance")
        assert problems(folder) == ["matches 'null', which is not a regular file"]

    def test_files_that_are_not_included_may_be_of_any_kind(self, folder: Path) -> None:
        os.mkfifo(folder / "fifo")
        make_package(folder, files={}, exclude=["fifo"])
        assert "fifo" not in paths(read_tree(folder))


class TestDeepFolders:
    """Root can read everything except paths that are longer than a system call accepts (4,096 bytes on Linux)."""

    @pytest.fixture
    def deep(self, tmp_path: Path) -> Iterator[Path]:
        part, folder = "d" * 200, tmp_path
        while len(str(folder)) + len(part) < 3900:
            folder /= part
        folder.mkdir(parents=True)
        yield make_package(folder, files={})
        shutil.rmtree(tmp_path / part)

    def make_below(self, folder: Path, make: Callable[[int], None]) -> None:
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            make(descriptor)
        finally:
            os.close(descriptor)

    def test_an_inaccessible_file_is_reported(self, deep: Path) -> None:
        self.make_below(deep, lambda at: os.close(os.open("f" * 250, os.O_CREAT, dir_fd=at)))
        with pytest.raises(StorageError, match=r"f{250} cannot be read: File name too long"):
            read_tree(deep)

    def test_an_inaccessible_directory_is_reported(self, deep: Path) -> None:
        self.make_below(deep, lambda at: os.mkdir("f" * 250, dir_fd=at))
        with pytest.raises(StorageError, match=r"f{250} cannot be read: File name too long"):
            read_tree(deep)


class TestChanges:
    def test_a_file_that_disappears_between_two_scans_is_a_change(self, tmp_path: Path) -> None:
        with pytest.raises(TreeChanged, match="gone changed while it was being read"):
            _status(str(tmp_path / "gone"), tmp_path)

    def test_a_tree_that_holds_still_is_unchanged(self, folder: Path) -> None:
        read_tree(folder).check_unchanged()

    def test_a_relative_tree_that_holds_still_is_unchanged(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder.parent)
        read_tree(Path("model")).check_unchanged()

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            pytest.param(lambda at: (at / "c").write_bytes(b"cccc"), "c", id="longer"),
            pytest.param(lambda at: os.utime(at / "c", ns=(1, 1)), "c", id="touched"),
            pytest.param(lambda at: (at / "c").chmod(0o777), "c", id="mode"),
            pytest.param(lambda at: (at / "data/a").unlink(), "data/a", id="removed"),
            pytest.param(lambda at: (at / "data/new").touch(), "data/new", id="added"),
            pytest.param(lambda at: (at / "data/a").rename(at / "data/0"), "data/0", id="renamed"),
            pytest.param(lambda at: (at / "c").replace(at / "data/a"), "c", id="replaced"),
            pytest.param(lambda at: (at / "package.json").touch(), "package.json", id="manifest-touched"),
            pytest.param(lambda at: (at / "package.json").unlink(), "package.json", id="manifest-removed"),
            pytest.param(lambda at: (at / "package.json").write_text("{"), "package.json", id="manifest-broken"),
            pytest.param(lambda at: os.mkfifo(at / "fifo"), "'fifo'", id="fifo-added"),
            pytest.param(lambda at: at.rename(at.with_name("moved")), "", id="folder-moved"),
        ],
    )
    def test_any_change_of_selected_files_is_reported_by_name(
        self, folder: Path, change: Callable[[Path], object], named: str
    ) -> None:
        tree = read_tree(folder)
        change(folder)
        with pytest.raises(TreeChanged, match=r"changed while it was being read") as caught:
            tree.check_unchanged()
        assert str(folder) in caught.value.message
        assert named in caught.value.message
        assert caught.value.hint is not None

    def test_the_only_match_of_a_pattern_removed_is_a_change_too(self, folder: Path) -> None:
        make_package(folder, files={}, include=["data/*", "c"])
        tree = read_tree(folder)
        (folder / "c").unlink()
        with pytest.raises(TreeChanged):
            tree.check_unchanged()

    def test_a_link_turned_outward_is_a_change(self, folder: Path) -> None:
        (folder / "l").symlink_to("c")
        tree = read_tree(folder)
        (folder / "l").unlink()
        (folder / "l").symlink_to("/etc/passwd")
        with pytest.raises(TreeChanged, match="is a symbolic link that points outside the package directory"):
            tree.check_unchanged()

    def test_files_that_are_not_included_may_change(self, folder: Path) -> None:
        make_package(folder, files={"log": b""}, exclude=["log"])
        tree = read_tree(folder)
        (folder / "log").write_bytes(b"more")
        (folder / "model-1.0.0.tar.zst").touch()
        tree.check_unchanged()
