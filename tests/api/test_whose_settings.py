"""Whose settings count, and where there are none: other users' files, closed folders, users without a home."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import orbitpkg
from orbitpkg.api.install import install
from orbitpkg.api.project.lock import lock
from orbitpkg.api.project.repositories import add_repository
from orbitpkg.api.project.sync import sync
from orbitpkg.api.publish import publish
from orbitpkg.config.home import home_folder, user_config_file
from orbitpkg.config.repositories import settings
from orbitpkg.config.settings import find_project
from orbitpkg.errors import LockfileError, ProjectError, StorageError, UsageError
from orbitpkg.model.project import check_binding
from tests.packages import make_package

STRANGER = 12345
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORBITPKG_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.delenv("ORBITPKG_TRUSTED_FOLDERS", raising=False)
    (tmp_path / "shared/app").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "shared/app")
    return tmp_path / "home"


def give_away(path: Path) -> Path:
    os.chown(path, STRANGER, STRANGER, follow_symlinks=False)
    return path


@as_root
class TestOwners:
    @pytest.mark.parametrize("name", ["orbit.toml", "pyproject.toml"])
    def test_settings_of_another_user_are_refused(self, tmp_path: Path, name: str) -> None:
        path = tmp_path / "shared" / name
        table = "tool.orbitpkg.repositories.theirs" if name == "pyproject.toml" else "repositories.theirs"
        path.write_text(f'[{table}]\nurl = "/elsewhere"\n')
        give_away(path)
        with pytest.raises(ProjectError, match=f"{name} belongs to another user") as caught:
            publish(make_package(tmp_path / "model"))
        assert str(path.parent) in str(caught.value.hint)
        assert not Path("/elsewhere").exists()

    def test_a_link_of_another_user_to_own_settings_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "mine.toml").write_text('[repositories.mine]\nurl = "/mine"\n')
        link = tmp_path / "shared/orbit.toml"
        link.symlink_to(tmp_path / "mine.toml")
        give_away(link)
        with pytest.raises(ProjectError, match="belongs to another user"):
            settings()

    def test_a_pyproject_of_another_user_without_settings_is_ignored(self, tmp_path: Path) -> None:
        path = tmp_path / "shared/pyproject.toml"
        path.write_text('[project]\nname = "x"\n')
        give_away(path)
        assert find_project() is None

    @pytest.mark.parametrize("how", ["environment", "configuration", "everything"])
    def test_they_count_in_a_trusted_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
        path = tmp_path / "shared/orbit.toml"
        path.write_text('[repositories.theirs]\nurl = "/elsewhere"\n')
        give_away(path)
        if how == "configuration":
            (tmp_path / "config.toml").write_text(f'trusted = ["{tmp_path}"]\n')
        else:
            monkeypatch.setenv("ORBITPKG_TRUSTED_FOLDERS", "*" if how == "everything" else f"/else:{tmp_path}")
        assert [each.name for each in settings().repositories] == ["theirs"]

    def test_a_folder_whose_name_only_begins_alike_is_not_trusted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        give_away_path = tmp_path / "shared/orbit.toml"
        give_away_path.write_text('[repositories.theirs]\nurl = "/elsewhere"\n')
        give_away(give_away_path)
        monkeypatch.setenv("ORBITPKG_TRUSTED_FOLDERS", str(tmp_path / "share"))
        with pytest.raises(ProjectError, match="belongs to another user"):
            settings()

    def test_a_lockfile_of_another_user_is_refused(self, tmp_path: Path) -> None:
        lockfile = tmp_path / "shared/orbit.lock"
        lockfile.write_text("# x\nformat = 1\n\n# end\n")
        give_away(lockfile)
        for use in (orbitpkg.project, lambda: sync(frozen=True)):
            with pytest.raises(LockfileError, match="belongs to another user"):
                use()

    def test_a_project_cannot_declare_itself_trusted(self, tmp_path: Path) -> None:
        (tmp_path / "shared/orbit.toml").write_text('trusted = ["/"]\n')
        with pytest.raises(ProjectError, match="trusted is not a setting of projects"):
            settings()


class TestPlaces:
    @pytest.mark.parametrize("name", ["orbit.toml", "orbit.lock"])
    @pytest.mark.parametrize("kind", ["fifo", "endless"])
    def test_what_is_not_a_regular_file_is_refused_at_once(self, name: str, kind: str) -> None:
        if kind == "fifo":
            os.mkfifo(name)
        else:
            Path(name).symlink_to("/dev/zero")
        if name == "orbit.lock":
            Path("orbit.toml").write_text('requirements = ["model"]\n')
        with pytest.raises(StorageError, match="Not a regular file"):
            lock()

    def test_a_byte_order_mark_is_ignored(self) -> None:
        Path("orbit.toml").write_bytes(b'\xef\xbb\xbf[repositories.mine]\nurl = "./mine"\n')
        assert [each.name for each in settings().repositories] == ["mine"]
        add_repository("other", "./other")
        assert [each.name for each in settings().repositories] == ["mine", "other"]

    def test_without_a_working_directory_installed_packages_are_found(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        publish(make_package(tmp_path / "model"), tmp_path / "repository")
        (tmp_path / "gone").mkdir()
        monkeypatch.chdir(tmp_path / "gone")
        (tmp_path / "gone").rmdir()
        install("model", repository=tmp_path / "repository")
        assert orbitpkg.package("model").version == "1.0.0"
        with pytest.raises(StorageError, match="working directory was deleted"):
            install("model", repository="./repository")
        monkeypatch.chdir(tmp_path)

    def test_the_users_configuration_is_readable_by_the_user_only(self, tmp_path: Path) -> None:
        config = tmp_path / "config.toml"
        config.write_text("")
        config.chmod(0o644)
        add_repository("mine", "https://user:password@example.org/models", user=True)
        assert config.stat().st_mode & 0o777 == 0o600


NOBODY = """
import pwd
def getpwuid(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = getpwuid
"""


class TestWithoutAHome:
    def run(self, tmp_path: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (tmp_path / "site").mkdir(exist_ok=True)
        (tmp_path / "site/sitecustomize.py").write_text(NOBODY)
        hidden = ("HOME", "ORBITPKG_HOME", "ORBITPKG_CONFIG", "XDG_DATA_HOME", "XDG_CONFIG_HOME")
        env = {name: value for name, value in os.environ.items() if name not in hidden}
        env |= {"PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *sys.path]), **environment}
        return subprocess.run([sys.executable, *words], env=env, capture_output=True, text=True, check=False)

    @pytest.mark.parametrize("home", [{}, {"HOME": ""}, {"ORBITPKG_HOME": "~/store"}])
    def test_an_error_names_the_variable_to_set(self, tmp_path: Path, home: dict[str, str]) -> None:
        done = self.run(tmp_path, "-m", "orbitpkg", "list", **home)
        assert done.returncode == 1
        assert "ORBITPKG_HOME" in done.stderr
        program = "import orbitpkg\ntry: orbitpkg.package('model')\nexcept orbitpkg.OrbitError as error: print(error)"
        assert "ORBITPKG_HOME" in self.run(tmp_path, "-c", program, **home).stdout

    def test_everything_works_with_the_variable_set(self, tmp_path: Path) -> None:
        publish(make_package(tmp_path / "model"), tmp_path / "repository")
        store = {"ORBITPKG_HOME": str(tmp_path / "store")}
        for words in (("install", "model", "-r", str(tmp_path / "repository")), ("repo", "list"), ("list",), ("tree",)):
            done = self.run(tmp_path, "-m", "orbitpkg", *words, **store)
            assert done.returncode == 0, done.stderr

    def test_there_is_no_user_configuration(self, tmp_path: Path) -> None:
        program = "from orbitpkg.config.home import user_config_file; print(user_config_file())"
        assert self.run(tmp_path, "-c", program).stdout == "None\n"
        assert Path(str(user_config_file())) == tmp_path / "config.toml"
        assert home_folder() == str(tmp_path / "home")


def test_adds_at_the_same_time_lose_no_requirement(tmp_path: Path) -> None:
    names = [f"lib{number}" for number in range(6)]
    for name in names:
        publish(make_package(tmp_path / name, name=name, files={"a.txt": name.encode()}), tmp_path / "repository")
    Path("orbit.toml").write_text(f'[repositories.ours]\nurl = "{tmp_path}/repository"\n')
    command = [sys.executable, "-m", "orbitpkg", "add", "--quiet"]
    started = [subprocess.Popen([*command, name], stderr=subprocess.PIPE, text=True) for name in names]
    assert [(each.communicate()[1], each.returncode) for each in started] == [("", 0)] * len(names)
    project = find_project()
    assert project is not None
    assert sorted(each.key for each in project.document.requirements) == names
    assert sorted(orbitpkg.project().lock.packages) == names


def test_repositories_added_at_the_same_time_are_all_there(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "orbitpkg", "repo", "add", "--user"]
    started = [subprocess.Popen([*command, f"r{number}", f"s3://bucket-{number}"]) for number in range(6)]
    assert [each.wait() for each in started] == [0] * 6
    assert sorted(each.name for each in settings().repositories) == [f"r{number}" for number in range(6)]


@pytest.mark.parametrize("text", ["acme-", "-acme", "-*", "*-", "acme-*-", "", "a" * 101, f"{'a' * 60}*{'b' * 60}"])
def test_a_binding_that_can_match_no_name_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not a valid package name or pattern"):
        check_binding(text)


@pytest.mark.parametrize(("text", "expected"), [("acme-*", "acme-*"), ("*", "*"), ("A_b*", "a-b*"), ("a__*", "a-*")])
def test_a_binding_has_a_canonical_form(text: str, expected: str) -> None:
    assert check_binding(text) == expected


def test_offline_without_a_configured_repository_installed_packages_count(tmp_path: Path) -> None:
    publish(make_package(tmp_path / "model"), tmp_path / "repository")
    install("model", repository=tmp_path / "repository")
    assert install("model", offline=True).version == "1.0.0"
    assert install("model>=1", offline=True).version == "1.0.0"
