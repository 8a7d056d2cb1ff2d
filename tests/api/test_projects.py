"""A project's file and its lockfile on the disk, and the packages that an app gets by them."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

import orbitpkg
from orbitpkg.api.install import install, install_all
from orbitpkg.api.options import InstallOptions
from orbitpkg.api.packages import package as open_package
from orbitpkg.api.packages import packages, remove
from orbitpkg.api.project.inspect import Branch, dependency_tree, diff, outdated
from orbitpkg.api.project.lock import Locked, lock
from orbitpkg.api.project.repositories import add_repository, remove_repository
from orbitpkg.api.project.sync import add, sync
from orbitpkg.api.publish import publish as publish_package
from orbitpkg.api.repository import mark
from orbitpkg.api.search import versions as list_versions
from orbitpkg.config.editing import put_repository, put_requirements, write_text
from orbitpkg.config.editing import remove_repository as edit_out_repository
from orbitpkg.config.repositories import home as home_folder
from orbitpkg.config.settings import find_project, read_settings
from orbitpkg.errors import (
    IntegrityError,
    LockfileError,
    NotInstalled,
    ProjectError,
    RepositoryUnreachable,
    ResolutionError,
    UsageError,
    VersionNotFound,
)
from orbitpkg.model.project import RepositorySetting
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.store.layout import Layout
from orbitpkg.store.roots import read_roots
from tests.packages import make_package, tree_of

if TYPE_CHECKING:
    from pathlib import Path

COMMENTED = """\
# mine
requirements = [  # which
  "alpha",  # why alpha
  # beta is for later
  "beta>=1",
]

[repositories.ours]  # hello
url = "s3://x"  # there
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORBITPKG_CONFIG", str(tmp_path / "config.toml"))
    for variable in ("ORBITPKG_REPOSITORY", "ORBITPKG_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "home"


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder, which is the working directory."""
    folder = tmp_path / "app"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def publish(folder: Path, name: str, version: str, repository: Path, **manifest: object) -> None:
    files = {"what.txt": f"{name} {version}".encode()}
    package = make_package(folder / f"{name}-{version}", name=name, version=version, files=files, **manifest)
    publish_package(package, repository)


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A repository: two versions of top, which needs base, of which there are three."""
    repository = tmp_path / "shelf"
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        publish(tmp_path, "base", version, repository)
    publish(tmp_path, "top", "1.0.0", repository, dependencies={"base": ">=1,<2"})
    publish(tmp_path, "top", "1.1.0", repository, dependencies={"base": ">=1"})
    return repository


@pytest.fixture
def project(app: Path, shelf: Path) -> Path:
    """A project that uses that repository."""
    (app / "orbit.toml").write_text(f'# comment\n[repositories.shelf]\nurl = "../{shelf.name}"\n')
    return app


class TestEdits:
    def edited(self, tmp_path: Path, text: str, *requirements: str, name: str = "orbit.toml") -> str:
        path = tmp_path / name
        path.write_text(text)
        return put_requirements(path, map(parse_requirement, requirements))

    def test_comments_order_and_layout_are_kept(self, tmp_path: Path) -> None:
        edited = self.edited(tmp_path, COMMENTED, "gamma", "Beta==2.0.0")
        assert edited == COMMENTED.replace('  "beta>=1",\n', '  "Beta==2.0.0",\n  "gamma",\n')

    def test_only_the_table_in_pyproject_is_edited(self, tmp_path: Path) -> None:
        text = (
            '[project]\nname = "x"  # x\n\n[tool.orbitpkg]\nrequirements = ["a"]  # ours\n\n[tool.mypy]\nwarn = true\n'
        )
        assert self.edited(tmp_path, text, "b", name="pyproject.toml") == text.replace('["a"]', '["a", "b"]')

    def test_a_new_file_is_created(self, tmp_path: Path) -> None:
        text = put_requirements(tmp_path / "orbit.toml", [parse_requirement("a>=1")])
        assert text.endswith('requirements = [\n    "a>=1",\n]\n')

    def test_a_repository_is_added_changed_and_removed(self, tmp_path: Path) -> None:
        path = tmp_path / "orbit.toml"
        path.write_text(COMMENTED)
        put = put_repository(path, RepositorySetting(name="two", url="s3://two", packages=("a-*",)))
        assert put == COMMENTED + '\n[repositories.two]\nurl = "s3://two"\npackages = ["a-*"]\n'
        path.write_text(put)
        moved = put_repository(path, RepositorySetting(name="two", url="s3://other", packages=("b",)))
        assert moved == put.replace("s3://two", "s3://other").replace('["a-*"]', '["a-*", "b"]')
        assert edit_out_repository(path, "two").rstrip() == COMMENTED.rstrip()
        with pytest.raises(UsageError, match="has no repository named 'three'"):
            edit_out_repository(path, "three")

    @pytest.mark.parametrize("text", ["requirements = 1", "[", "requirements = [1]", 'requirements = ["a>>1"]', "[x]"])
    def test_an_invalid_file_is_not_overwritten(self, tmp_path: Path, text: str) -> None:
        with pytest.raises(ProjectError):
            self.edited(tmp_path, text, "b")
        assert (tmp_path / "orbit.toml").read_text() == text

    def test_links_and_modes_are_kept(self, tmp_path: Path) -> None:
        real = tmp_path / "real.toml"
        real.write_text("old")
        real.chmod(0o640)
        link = tmp_path / "link.toml"
        link.symlink_to(real)
        write_text(link, "new")
        assert (link.is_symlink(), real.read_text(), real.stat().st_mode & 0o777) == (True, "new", 0o640)


class TestSettings:
    def urls(self, said: str | None = None) -> list[str]:
        return [each.url for each in read_settings(said, lambda: "file:///default").repositories]

    def test_the_caller_precedes_the_environment_the_project_and_the_user(
        self, app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert self.urls() == ["file:///default"]
        (tmp_path / "config.toml").write_text('[repositories.mine]\nurl = "s3://mine"\n')
        assert self.urls() == ["s3://mine"]
        (app / "orbit.toml").write_text('[repositories.ours]\nurl = "s3://ours"\n[repositories.b]\nurl = "s3://b"\n')
        assert self.urls() == ["s3://ours", "s3://b"]
        monkeypatch.setenv("ORBITPKG_REPOSITORY", "s3://variable")
        assert self.urls() == ["s3://variable"]
        assert self.urls("s3://word") == ["s3://word"]
        assert self.urls("b") == ["s3://b"]

    def test_an_unknown_name_suggests_the_nearest(self, app: Path) -> None:
        (app / "orbit.toml").write_text('[repositories.models]\nurl = "s3://models"\n')
        with pytest.raises(UsageError, match="Unknown repository 'model'") as caught:
            self.urls("model")
        assert caught.value.hint == "Did you mean models?"

    def test_a_configured_name_precedes_a_directory_of_that_name(self, app: Path) -> None:
        (app / "models").mkdir()
        assert self.urls("models") == [(app / "models").as_uri()]
        (app / "orbit.toml").write_text('[repositories.models]\nurl = "s3://models"\n')
        assert self.urls("models") == ["s3://models"]

    def test_paths_are_relative_to_the_file_and_the_project_is_found_from_below(
        self, app: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (app / "pyproject.toml").write_text('[tool.orbitpkg.repositories.a]\nurl = "./a"\nmirrors = ["../b"]\n')
        below = app / "deep" / "down"
        below.mkdir(parents=True)
        (app / "deep" / "pyproject.toml").write_text("[project]\n")
        monkeypatch.chdir(below)
        found = find_project()
        assert found is not None
        assert found.folder == app
        assert [(each.url, each.mirrors) for each in found.document.repositories] == [
            ((app / "a").as_uri(), ((app.parent / "b").as_uri(),))
        ]

    def test_a_broken_pyproject_without_orbitpkg_settings_is_ignored(self, app: Path) -> None:
        (app / "pyproject.toml").write_text("[broken")
        assert find_project() is None
        (app / "pyproject.toml").write_text("[tool.orbitpkg\n")
        with pytest.raises(ProjectError, match="not valid TOML"):
            find_project()


def versions(locked: Locked) -> dict[str, str]:
    return {key: str(package.version) for key, package in locked.lock.packages.items()}


class TestLocking:
    def test_add_writes_both_files_and_installs(self, project: Path) -> None:
        locked, installed = add(["top<1.1"])
        assert versions(locked) == {"base": "1.1.0", "top": "1.0.0"}
        assert [str(package.version) for package in installed.packages] == ["1.0.0"]
        assert (project / "orbit.toml").read_text().startswith("# comment\n")
        assert '"top<1.1",' in (project / "orbit.toml").read_text()
        assert orbitpkg.project().package("base").read_text("what.txt") == "base 1.1.0"

    @pytest.mark.usefixtures("project")
    def test_locked_versions_stay_until_upgraded(self, tmp_path: Path, shelf: Path) -> None:
        add(["top"])
        assert versions(lock()) == {"base": "2.0.0", "top": "1.1.0"}
        publish(tmp_path, "base", "2.1.0", shelf)
        publish(tmp_path, "top", "1.2.0", shelf, dependencies={"base": ""})
        assert lock().changes == []
        assert lock(upgrade=["base"]).changes == [("base", "2.0.0", "2.1.0")]
        assert lock(upgrade=True).changes == [("top", "1.1.0", "1.2.0")]
        with pytest.raises(UsageError, match="bse cannot be upgraded because it is not locked"):
            lock(upgrade=["bse"])

    def test_an_add_without_a_solution_changes_nothing(self, project: Path) -> None:
        add(["top<1.1"])
        before = tree_of(project)
        with pytest.raises(ResolutionError):
            add(["base>=2"])
        with pytest.raises(ResolutionError):
            add(["nowhere"])
        assert tree_of(project) == before

    def test_removing_a_requirement_removes_its_dependencies(self, project: Path) -> None:
        add(["top"])
        text = (project / "orbit.toml").read_text()
        (project / "orbit.toml").write_text(text.replace('"top"', '"base==1.0.0"'))
        assert lock().changes == [("base", "2.0.0", "1.0.0"), ("top", "1.1.0", None)]

    def test_an_unchanged_lock_is_not_rewritten(self, project: Path) -> None:
        add(["top"])
        before = (project / "orbit.lock").stat()
        lock()
        sync()
        after = (project / "orbit.lock").stat()
        assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)

    @pytest.mark.usefixtures("project")
    def test_a_replaced_release_is_refused(self, shelf: Path) -> None:
        add(["base==1.0.0"])
        record = shelf / "releases" / "base" / "1.0.0.json"
        record.write_bytes(record.read_bytes().replace(b'"published":"2', b'"published":"3'))
        with pytest.raises(IntegrityError, match=r"is not the release that is locked: its digest"):
            lock()

    @pytest.mark.usefixtures("app")
    def test_without_a_project_the_error_gives_a_hint_how_to_create_one(self) -> None:
        with pytest.raises(ProjectError) as caught:
            lock()
        assert caught.value.hint == "To create a project: orbitpkg add NAME"


class TestSyncing:
    def test_locked_fails_on_a_stale_lock_and_changes_nothing(self, project: Path) -> None:
        add(["base<2"])
        text = (project / "orbit.toml").read_text()
        (project / "orbit.toml").write_text(text.replace("base<2", "base>=2"))
        before = tree_of(project)
        with pytest.raises(LockfileError, match=r"requires base>=2, but base==1\.1\.0 is locked"):
            sync(locked=True)
        assert tree_of(project) == before
        result, _ = sync(frozen=True)
        assert result is None
        result, _ = sync()
        assert result is not None
        assert result.changes == [("base", "1.1.0", "2.0.0")]

    @pytest.mark.usefixtures("project")
    def test_frozen_reads_only_the_locked_records_and_no_index(
        self, shelf: Path, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(["base==1.0.0"])
        for pattern in ("index/*", "releases/top/*.json", "releases/base/[12].[12]*"):
            for path in shelf.glob(pattern):
                path.unlink()
        monkeypatch.setenv("ORBITPKG_HOME", str(home.parent / "another"))
        _, installed = sync(frozen=True)
        assert [str(package.version) for package in installed.new] == ["1.0.0"]

    @pytest.mark.parametrize("frozen", [True, False])
    @pytest.mark.usefixtures("project")
    def test_a_record_with_another_digest_stops_the_sync(
        self, shelf: Path, home: Path, monkeypatch: pytest.MonkeyPatch, *, frozen: bool
    ) -> None:
        add(["top"])
        record = shelf / "releases" / "top" / "1.1.0.json"
        record.write_bytes(record.read_bytes().replace(b'"published":"2', b'"published":"3'))
        monkeypatch.setenv("ORBITPKG_HOME", str(home.parent / "another"))
        with pytest.raises(IntegrityError, match="differs from the locked release"):
            sync(frozen=frozen)
        assert packages() == []

    @pytest.mark.usefixtures("project")
    def test_a_missing_record_is_named(self, shelf: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        add(["base"])
        (shelf / "releases" / "base" / "2.0.0.json").unlink()
        monkeypatch.setenv("ORBITPKG_HOME", str(home.parent / "another"))
        with pytest.raises(VersionNotFound, match=r"base==2\.0\.0 is locked, but .* does not have it"):
            sync(frozen=True)

    @pytest.mark.parametrize("options", [{"frozen": True}, {"locked": True}])
    @pytest.mark.usefixtures("project")
    def test_without_a_lockfile_frozen_and_locked_fail(self, options: dict[str, bool]) -> None:
        with pytest.raises(LockfileError, match=r"No orbit\.lock was found"):
            sync(locked="locked" in options, frozen="frozen" in options)

    @pytest.mark.usefixtures("project")
    def test_binding_a_package_to_another_repository_makes_the_lock_stale(self, tmp_path: Path) -> None:
        add(["base"])
        add_repository("other", str(tmp_path / "other"), packages=["base"])
        with pytest.raises(LockfileError, match="is locked from shelf, but bound to other"):
            sync(locked=True)

    @pytest.mark.usefixtures("project")
    def test_a_locked_release_that_is_yanked_installs_with_a_warning(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        add(["base"])
        mark("base==2.0.0", "yanked", reason="wrong labels")
        locked = lock()
        assert (locked.changes, locked.warnings) == ([], ["base 2.0.0 is yanked: wrong labels."])
        assert locked.is_rewritten
        monkeypatch.setenv("ORBITPKG_HOME", str(home.parent / "another"))
        _, installed = sync(locked=True)
        assert installed.warnings == ["base 2.0.0 is yanked: wrong labels."]
        assert lock(upgrade=True).changes == [("base", "2.0.0", "1.1.0")]

    @pytest.mark.usefixtures("project")
    def test_frozen_warns_about_releases_that_were_yanked_when_locked(
        self, shelf: Path, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The lockfile decides, without a request."""
        add(["base==2.0.0"])
        mark("base==2.0.0", "yanked", reason='the "labels"\nare wrong')
        assert lock().lock.packages["base"].yanked == 'the "labels"\nare wrong'
        for path in [*shelf.glob("index/*"), *shelf.glob("releases/base/status/*")]:
            path.unlink()
        monkeypatch.setenv("ORBITPKG_HOME", str(home.parent / "another"))
        _, installed = sync(frozen=True)
        assert installed.warnings == ['base 2.0.0 was yanked when it was locked: the "labels"\nare wrong.']
        _, installed = sync(frozen=True)
        assert installed.warnings == []

    @pytest.mark.usefixtures("project")
    def test_a_reverted_yank_is_removed_from_the_lock(self, monkeypatch: pytest.MonkeyPatch) -> None:
        add(["base"])
        first = lock()
        assert not first.is_rewritten
        mark("base==2.0.0", "yanked", reason="wrong labels")
        lock()
        monkeypatch.setenv("ORBITPKG_OFFLINE", "1")
        assert not lock().is_rewritten
        monkeypatch.delenv("ORBITPKG_OFFLINE")
        mark("base==2.0.0", "available")
        again = lock()
        assert (again.is_rewritten, again.lock) == (True, first.lock)

    @pytest.mark.usefixtures("project")
    def test_garbage_collection_keeps_packages_that_add_installed(self, project: Path) -> None:
        add(["base<2"])
        add(["base"])
        found = read_roots(Layout(home_folder()))
        assert [str(version) for _, version in found.needed] == ["2.0.0"]
        assert set(found.needed.values()) == {str(project / "orbit.lock")}


class TestYanking:
    def test_a_yanked_release_is_installed_only_by_its_exact_version(self, shelf: Path) -> None:
        mark("base==2.0.0", "yanked", reason="wrong labels", repository=shelf)
        assert install("base", repository=shelf).version == "1.1.0"
        result = install_all(["base==2.0.0"], InstallOptions(repository=shelf))
        assert [package.version for package in result.packages] == ["2.0.0"]
        assert result.warnings == ["base 2.0.0 is yanked: wrong labels."]
        mark("base==2.0.0", "available", repository=shelf)
        assert install("base", repository=shelf).version == "2.0.0"

    def test_a_deprecated_release_is_chosen_with_a_warning(self, shelf: Path) -> None:
        mark("base", "deprecated", reason="use other", repository=shelf)
        result = install_all(["base"], InstallOptions(repository=shelf))
        assert result.warnings == ["base 2.0.0 is deprecated: use other."]

    def test_yanking_every_version_by_a_bare_name_is_refused(self, shelf: Path) -> None:
        with pytest.raises(UsageError, match="A version or range is required to yank base"):
            mark("base", "yanked", reason="x", repository=shelf)

    def test_a_missing_release_cannot_be_yanked(self, shelf: Path) -> None:
        with pytest.raises(VersionNotFound):
            mark("base==7.0.0", "yanked", reason="x", repository=shelf)


class TestSeveralRepositories:
    @pytest.fixture
    def second(self, project: Path, tmp_path: Path) -> Path:
        """A second repository of the project, with the newest version of base."""
        assert project.is_dir()
        repository = tmp_path / "second"
        publish(tmp_path / "foreign", "base", "9.0.0", repository)
        publish(tmp_path / "foreign", "only-there", "1.0.0", repository)
        add_repository("second", str(repository))
        return repository

    @pytest.mark.usefixtures("second")
    def test_an_unbound_name_in_two_repositories_is_an_error_with_advice(self) -> None:
        with pytest.raises(ResolutionError, match="base was found in several repositories: shelf, second") as caught:
            add(["base"])
        assert "--packages base" in str(caught.value.hint)
        assert caught.value.data["repositories"] == ["shelf", "second"]

    @pytest.mark.usefixtures("second")
    def test_an_unbound_dependency_in_two_repositories_is_an_error_with_advice(self) -> None:
        with pytest.raises(ResolutionError, match="base was found in several repositories"):
            add(["top"])

    @pytest.mark.parametrize("requirement", ["base", "base==9.0.0"])
    @pytest.mark.usefixtures("second")
    def test_a_bound_name_is_searched_only_in_its_repository(self, shelf: Path, requirement: str) -> None:
        add_repository("shelf", str(shelf), packages=["ba*"])
        if requirement == "base":
            locked, _ = add([requirement])
            assert versions(locked) == {"base": "2.0.0"}
            assert locked.lock.packages["base"].repository == "shelf"
        else:
            with pytest.raises(ResolutionError):
                add([requirement])

    @pytest.mark.usefixtures("second")
    def test_a_name_in_a_single_repository_is_found(self) -> None:
        locked, _ = add(["only-there"])
        assert locked.lock.packages["only-there"].repository == "second"

    @pytest.mark.usefixtures("second")
    def test_a_missing_bound_name_reports_the_only_repository_searched(self, shelf: Path) -> None:
        add_repository("shelf", str(shelf), packages=["only-*"])
        with pytest.raises(ResolutionError) as caught:
            add(["only-there"])
        assert str(caught.value.hint).startswith("only-there is bound to shelf, so only shelf was searched.")

    def test_a_missing_bound_name_reports_where_it_was_seen_before(self, shelf: Path, second: Path) -> None:
        """The local cache decides, without another request."""
        assert list_versions("only-there") == ["1.0.0"]
        add_repository("shelf", str(shelf), packages=["only-*"])
        for path in (second / "releases").rglob("*.json"):
            path.unlink()
        with pytest.raises(ResolutionError) as caught:
            add(["only-there"])
        assert (
            "It was found in second before. To use that repository: "
            f"orbitpkg repo add second {second.as_uri()} --packages only-there" in str(caught.value.hint)
        )

    @pytest.mark.usefixtures("second")
    def test_an_unreachable_repository_is_an_error_even_if_another_has_the_name(self) -> None:
        add_repository("down", "http://127.0.0.1:9/models")
        with pytest.raises(orbitpkg.RepositoryError, match=r"127\.0\.0\.1"):
            add(["only-there"])

    @pytest.mark.usefixtures("second")
    def test_publishing_requires_a_single_repository(self, shelf: Path, tmp_path: Path) -> None:
        package = make_package(tmp_path / "new", name="new-one")
        with pytest.raises(UsageError, match="Several repositories are configured: shelf, second"):
            publish_package(package)
        assert publish_package(package, "second").release.name == "new-one"
        add_repository("shelf", str(shelf), packages=["new-*"])
        assert publish_package(make_package(tmp_path / "new", name="new-two")).outcome == "published"
        assert (shelf / "releases" / "new-two").is_dir()

    def test_a_lock_of_an_unknown_repository_does_not_use_the_default_one(self, project: Path, shelf: Path) -> None:
        add(["top"])
        remove("base")
        (project / "orbit.toml").write_text('requirements = ["top"]\n')
        for work in (lambda: sync(frozen=True), sync, outdated):
            with pytest.raises(
                ProjectError, match="takes packages from a repository 'shelf', which is not configured here"
            ):
                work()
        _, installed = sync(frozen=True, repository=shelf)
        assert [package.name for package in installed.new] == ["base"]

    def test_a_lock_from_repositories_of_the_user_configuration_warns(self, app: Path, shelf: Path) -> None:
        add_repository("mine", str(shelf), user=True)
        locked, _ = add(["base"])
        (warning,) = locked.warnings
        assert warning.startswith("orbit.toml names no repository")
        assert f"orbitpkg repo add mine {shelf.as_uri()}" in warning
        assert lock().warnings == []
        add_repository("mine", str(shelf))
        lock(upgrade=True)
        assert add(["top"])[0].warnings == []
        assert (app / "orbit.toml").read_text().count("url") == 1

    def test_a_locked_release_missing_from_a_mirror_does_not_count_as_deleted(self, app: Path, shelf: Path) -> None:
        """A late mirror does not lead to an older version."""
        add_repository("main", "http://127.0.0.1:9/models", mirrors=[str(shelf)])
        add(["base"])
        (shelf / "releases" / "base" / "2.0.0.json").unlink()
        before = (app / "orbit.lock").read_text()
        for upgrade in (False, True):
            with pytest.raises(RepositoryUnreachable, match=r"none of its mirrors has base 2\.0\.0"):
                lock(upgrade=upgrade)
        assert (app / "orbit.lock").read_text() == before

    @pytest.mark.usefixtures("home")
    def test_a_lock_of_a_repository_no_longer_configured(self, second: Path) -> None:
        add(["only-there"])
        add_repository("third", str(second))
        remove_repository("second")
        remove("only-there")
        with pytest.raises(ProjectError, match="takes packages from a repository 'second'"):
            sync(frozen=True)


class TestAnAppsView:
    def test_only_locked_packages_are_returned(self, project: Path) -> None:
        install("base==2.0.0")
        add(["base<2"])
        assert open_package("base").version == "2.0.0"
        assert orbitpkg.project().package("base").version == "1.1.0"
        assert [package.name for package in orbitpkg.project(project).packages()] == ["base"]
        with pytest.raises(LockfileError, match=r"locks base==1\.1\.0, which does not match base>=2"):
            orbitpkg.project().package("base>=2")

    @pytest.mark.usefixtures("project")
    def test_an_unlocked_name_suggests_the_nearest(self) -> None:
        add(["base"])
        with pytest.raises(LockfileError, match="does not list bse") as caught:
            orbitpkg.project().package("bse")
        assert caught.value.hint == "Did you mean base? If not: orbitpkg add bse"

    @pytest.mark.usefixtures("project")
    def test_a_package_that_is_not_installed_is_an_error_with_advice(self) -> None:
        add(["base"])
        remove("base")
        with pytest.raises(NotInstalled) as caught:
            orbitpkg.project().package("base")
        assert caught.value.hint == "Install the locked packages: orbitpkg sync"

    def test_another_release_of_the_locked_version_is_refused(self, project: Path) -> None:
        add(["base"])
        text = (project / "orbit.lock").read_text()
        digest = orbitpkg.project().package("base").digest
        (project / "orbit.lock").write_text(text.replace(digest, "0" * 64))
        with pytest.raises(IntegrityError, match="is not the locked release"):
            orbitpkg.project().package("base")

    def test_a_project_is_found_from_below_and_a_missing_one_is_an_error_with_a_hint(
        self, project: Path, tmp_path: Path
    ) -> None:
        add(["base"])
        (project / "deep").mkdir()
        assert orbitpkg.project(project / "deep").path == project
        with pytest.raises(LockfileError) as caught:
            orbitpkg.project(tmp_path)
        assert caught.value.hint == "To create it, run in the project's directory: orbitpkg lock"

    @pytest.mark.usefixtures("project")
    def test_opening_a_locked_package_loads_no_slow_library(self) -> None:
        add(["base"])
        program = (
            "import sys, orbitpkg; orbitpkg.project().package('base').file_path('what.txt');"
            "sys.stdout.write(' '.join(sys.modules))"
        )
        done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
        loaded = {name.split(".")[0] for name in done.stdout.split()}
        assert (
            loaded & {"tomlkit", "dataclasses", "obstore", "boto3", "jsonschema", "semantic_version", "packaging"}
            == set()
        )


class TestLooking:
    @pytest.mark.usefixtures("project")
    def test_outdated_lists_the_newest_allowed_and_the_newest_version(self) -> None:
        add(["top==1.0.0", "base==1.0.0"])
        found = [(each.name, each.current, each.allowed, each.newest) for each in outdated()]
        assert found == [("base", "1.0.0", "1.0.0", "2.0.0"), ("top", "1.0.0", "1.0.0", "1.1.0")]
        mark("base==2.0.0", "yanked", reason="x")
        assert outdated()[0].newest == "1.1.0"

    @pytest.mark.usefixtures("shelf")
    def test_the_tree_shows_the_project_or_the_installed_packages(self, project: Path) -> None:
        def told(branches: list[Branch]) -> list[object]:
            return [(each.name, each.version, each.wanted, told(each.needs)) for each in branches]

        expected: list[object] = [("base", "2.0.0", ">=1", [])]
        add(["top"])
        assert told(dependency_tree()) == [("top", "1.1.0", "", expected)]
        (project / "orbit.toml").unlink()
        assert told(dependency_tree()) == [("top", "1.1.0", "", expected)]

    def test_a_diff_accepts_a_missing_lockfile(self, shelf: Path) -> None:
        old, new, found = diff("base==1.0.0", "base", repository=shelf)
        assert (str(old), str(new)) == ("base==1.0.0", "base==2.0.0")
        assert [each.new.path for each in found.changed] == ["package.json", "what.txt"]
        assert packages() == []
