"""Stores that several users share: two real users of one group, with umasks that deny each other access.

These tests run as root only, which can start a process as each of the users.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orbitpkg.api.publish import publish
from orbitpkg.files.folders import make_folders
from tests.packages import make_package, noise
from tests.servers.fixtures import skip_or_fail
from tests.servers.processes import ServerMissing
from tests.torture.scale import scaled, tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GROUP = 61_000
SECONDS = scaled(1, 30)
SHARED = {"weights.bin": noise(1_200_000), "a/blob": noise(40_000, seed=1), "a/b/small": b"small"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The result of a command: its exit code, its output, and its messages in one line."""

    status: int
    out: str
    err: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd:
    """A process that runs things as other users; see `tests/store/users.py`."""

    process: subprocess.Popen[str]
    folder: Path

    def start(self, task: Mapping[str, object]) -> Running:
        """Start something."""
        output = self.folder / secrets.token_hex(8)
        return Running(crowd=self, number=self.ask({**task, "output": str(output)}), output=output)

    def ask(self, task: Mapping[str, object]) -> int:
        """Ask the process something."""
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps(task) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A running task of a user."""

    crowd: Crowd
    number: int
    output: Path

    def end(self) -> Done:
        """Wait for its end."""
        status = self.crowd.ask({"wait": self.number})
        out, err = (self.output.with_suffix(f".{name}").read_text() for name in ("out", "err"))
        return Done(status=status, out=out, err=" ".join(err.split()))


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Somebody who uses a store.

    Attributes:
        crowd: What runs things for them.
        number: Their user number.
        home: The store's home folder.
        umask: What their shell takes away from the modes of files.
        groups: Which groups they are in.
    """

    crowd: Crowd
    number: int
    home: Path
    umask: int
    groups: tuple[int, ...] = (GROUP,)

    def run(self, *words: str | Path, **environment: str) -> Done:
        """Run a command of orbitpkg as this user."""
        return self._start(environment, words=[*map(str, words)]).end()

    def does(self, *words: str | Path) -> str:
        """Run a command that succeeds, and give what it says."""
        done = self.run(*words)
        assert done.status == 0, (words, done)
        return done.out

    def start(self, code: str) -> Running:
        """Start a program as this user."""
        return self._start({}, code=code)

    def python(self, code: str) -> str:
        """Run a program that succeeds as this user, and give what it says."""
        done = self.start(code).end()
        assert done.status == 0, done.err
        return done.out

    def _start(self, environment: Mapping[str, str], **task: object) -> Running:
        environment = {"HOME": "/nonexistent", "ORBITPKG_HOME": str(self.home), **environment}
        who = {"user": self.number, "groups": self.groups, "umask": self.umask}
        return self.crowd.start({**who, "environment": environment, **task})


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder that all users can reach.

    Attributes:
        crowd: What runs things for its users.
        folder: The folder.
        repository: Three releases that share most.
    """

    crowd: Crowd
    folder: Path
    repository: Path

    @property
    def home(self) -> Path:
        """The home folder of the store, which may not exist yet."""
        return self.folder / "store of a group"

    def user(self, number: int, umask: int, *, member: bool = True) -> User:
        """Give a user of the store."""
        return User(crowd=self.crowd, number=number, home=self.home, umask=umask, groups=(GROUP,) if member else ())


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    if os.geteuid() != 0:
        skip_or_fail(ServerMissing("several users take root: run the tests as root"))
    folder = tmp_path_factory.mktemp("crowd")
    # Parallel runs of the tests set COLUMNS, which would wrap what is printed.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORBITPKG_", "COLUMNS"))}
    command: list[str | Path] = [sys.executable, Path(__file__).with_name("users.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder, env=environment, text=True
    ) as process:
        yield Crowd(process=process, folder=folder)
        assert process.stdin
        process.stdin.close()


@pytest.fixture(scope="module")
def repository() -> Iterator[Path]:
    with open_folder() as folder:
        for version in ("1.0.0", "2.0.0", "3.0.0"):
            files = {**SHARED, "a/own": noise(60_000, seed=int(version[0])), "version": version.encode()}
            source = make_package(folder / version, version=version, files=files)
            (source / "a/blob").chmod(0o755)
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("ORBITPKG_HOME", str(folder / "publisher"))
                publish(source, folder / "repository")
        subprocess.run(["chmod", "-R", "go+rX", folder], check=True)
        yield folder / "repository"


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder that everybody can reach, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def place(crowd: Crowd, repository: Path) -> Iterator[Place]:
    with open_folder() as folder:
        yield Place(crowd=crowd, folder=folder, repository=repository)


@pytest.fixture
def shared(place: Place) -> Place:
    """The same, with a store for a group, as its administrator makes one by hand; others may read."""
    place.home.mkdir()
    os.chown(place.home, 0, GROUP)
    place.home.chmod(0o2775)
    return place


@pytest.fixture
def first(shared: Place) -> User:
    """A user whose umask gives other users no access."""
    return shared.user(61_001, 0o077)


@pytest.fixture
def second(shared: Place) -> User:
    """Somebody else of the same group, with the usual umask."""
    return shared.user(61_002, 0o022)


@pytest.fixture
def reader(shared: Place) -> User:
    """A user outside of the group, who can only read."""
    return shared.user(61_003, 0o022, member=False)


def assert_all_good(user: User, *versions: str) -> None:
    """See that a user finds these versions, all of them good."""
    packages = json.loads(user.does("verify", "--json"))["data"]["packages"]
    assert [(each["version"], each["good"]) for each in packages] == [(version, True) for version in versions]


def assert_modes(home: Path) -> None:
    """Check that the group can change all directories, and that all users can read but not write a package's files."""
    for path in home.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert path.stat().st_gid == GROUP, path
        if path.is_dir():
            assert mode == 0o2775, (path, oct(mode))
        elif "files" in path.parts or "blobs" in path.parts:
            executable = path.stat().st_mode & 0o100
            assert mode == (0o555 if executable else 0o444), (path, oct(mode))
        elif "aside" not in path.parts:  # foreign files keep the mode that their user gave them
            assert mode == 0o664, (path, oct(mode))


def test_two_users_install_upgrade_complete_remove_and_collect_each_others_packages(
    shared: Place, first: User, second: User
) -> None:
    source = ("--repository", shared.repository)
    first.does("install", "model==1.0.0", *source)
    assert_all_good(second, "1.0.0")
    second.does("install", "model==2.0.0", *source)
    first.does("install", "model==3.0.0", "--only", "a/**", *source)
    second.does("install", "model==3.0.0", *source)
    for user in (first, second):
        assert_all_good(user, "1.0.0", "2.0.0", "3.0.0")
    assert_modes(shared.home)
    second.does("remove", "model==1.0.0")
    first.does("gc", "--keep-last", "1")
    for user in (first, second):
        assert_all_good(user, "3.0.0")
    second.does("remove", "model==3.0.0")
    assert os.listdir(shared.home / "store/v1/tmp") == []
    assert [path for path in (shared.home / "store/v1/blobs").rglob("*") if path.is_file()] == []


def test_one_user_repairs_what_the_other_installed(shared: Place, first: User, second: User) -> None:
    first.does("install", "model==1.0.0", "--repository", shared.repository)
    folder = shared.home / "store/v1/packages/model/1.0.0"
    (folder / "files/a/blob").unlink()
    (folder / "files/weights.bin").write_bytes(b"other")
    (folder / "files/a/mine").write_text("somebody's")
    (folder / "contents").unlink()
    second.does("verify", "--repair")
    assert_all_good(first, "1.0.0")
    assert_modes(shared.home)


def test_a_read_only_user_uses_installed_packages_and_other_commands_explain_why_they_fail(
    shared: Place, first: User, reader: User
) -> None:
    source = ("--repository", shared.repository)
    first.does("install", "model==1.0.0", *source)
    reading = "import orbitpkg; print(len(orbitpkg.package('model').file_path('a/own').read_bytes()))"
    assert reader.python(reading) == "60000\n"
    assert reader.does("list").startswith("model")
    assert_all_good(reader, "1.0.0")
    reader.does("install", "model==1.0.0", *source)
    for words in (("install", "model==2.0.0", *source), ("remove", "model"), ("gc", "--keep-last", "0")):
        done = reader.run(*words)
        assert done.status == 1, (words, done)
        assert "cannot be written" in done.err
        assert str(shared.home) in done.err
        assert "Traceback" not in done.err
    assert_all_good(reader, "1.0.0")


def test_a_store_that_is_closed_to_others_stays_closed_whatever_the_umask(
    shared: Place, second: User, reader: User
) -> None:
    shared.home.chmod(0o2770)
    second.does("install", "model==1.0.0", "--repository", shared.repository)
    modes = {stat.S_IMODE(path.stat().st_mode) & 0o007 for path in shared.home.rglob("*")}
    assert modes == {0}
    assert reader.run("list").status == 1


def test_a_lock_of_one_user_keeps_another_waiting_and_serves_them_next(
    shared: Place, first: User, second: User
) -> None:
    gate = shared.folder / "gate"
    os.mkfifo(gate)
    gate.chmod(0o666)
    holder = first.start(f"""
from orbitpkg.api.search import released
from orbitpkg.config.repositories import home
from orbitpkg.store.store import Store
with Store(home()).lock(released("model==1.0.0", repository={str(shared.repository)!r})):
    open({str(gate)!r}).read()
""")
    words = ("install", "model==1.0.0", "--repository", shared.repository)
    with gate.open("w"):  # it is read from when the lock is held
        assert "Another process" in second.run(*words, ORBITPKG_LOCK_TIMEOUT="0.1").err
    assert holder.end().status == 0
    second.does(*words)
    assert_all_good(first, "1.0.0")


def test_leftovers_of_another_users_install_are_removed_and_not_used(shared: Place, first: User, second: User) -> None:
    """Its folders and files are another user's: they cannot be written, and can be deleted."""
    leaving = f"""
from orbitpkg.api.search import released
from orbitpkg.config.repositories import home
from orbitpkg.files.folders import make_folders
from orbitpkg.store.store import Store
store = Store(home())
staging = store.stage(released("model==1.0.0", repository={str(shared.repository)!r}), origin="somewhere")
make_folders(staging.files + "/a")
open(staging.files + "/a/own", "wb").write(b"half")
store.offer_for_reuse(staging)
"""
    first.python(leaving)
    second.does("install", "model==1.0.0", "--repository", shared.repository)
    assert len(os.listdir(shared.home / "store/v1/tmp")) == 1
    freeing = """
from orbitpkg.api.search import released
from orbitpkg.config.repositories import home
from orbitpkg.store.garbage import Policy, collect, find_garbage
from orbitpkg.store.store import Store
store = Store(home())
collect(store, find_garbage(store.layout, Policy(), grace=0))
"""
    second.python(freeing)
    assert os.listdir(shared.home / "store/v1/tmp") == []
    assert_all_good(first, "1.0.0")


def test_cached_and_upload_files_of_one_user_can_be_replaced_by_another(
    shared: Place, first: User, second: User
) -> None:
    code = """
me = "NAME"
from orbitpkg.api.search import released
from orbitpkg.config.repositories import home
from orbitpkg.repository.cache import Cache, KeptIndex
from orbitpkg.objects.transfer.journal import Journal
cache = Cache(home() / "cache")
before = cache.index("s3://bucket", "model")
cache.keep_index("s3://bucket", "model", KeptIndex(etag=me, data=b"{}"))
def journal():
    return Journal(home() / "uploads", url="s3://bucket", name="model", version="1.0.0")
upload = journal().upload
journal().begin("archive", me)
journal().arrived(1, "part")
print(before and before.etag, upload, cache.index("s3://bucket", "model").etag, journal().upload)
"""
    assert first.python(code.replace("NAME", "first")) == "None None first first\n"
    assert second.python(code.replace("NAME", "second")) == "first first second second\n"


def test_users_can_install_and_remove_the_same_package_at_once(shared: Place, first: User, second: User) -> None:
    code = f"""
repository = {str(shared.repository)!r}
import random
import orbitpkg
from orbitpkg import OrbitError
from orbitpkg.store.garbage import Policy
from orbitpkg.api.maintain import tidy
import time
chance = random.Random(SEED)
end = time.monotonic() + {SECONDS}
while time.monotonic() < end:
    version = chance.choice("123") + ".0.0"
    try:
        match chance.choice(["install", "install", "some", "remove", "gc"]):
            case "install": orbitpkg.install("model==" + version, repository=repository)
            case "some": orbitpkg.install("model==" + version, repository=repository, only="a/*")
            case "remove": orbitpkg.remove("model==" + version)
            case "gc": tidy(Policy(keep_last=1))
    except OrbitError as error:
        if "may not be" in error.message or "cannot be" in error.message:
            raise
"""
    seeds = range(scaled(2, 8))
    racers = [user.start(code.replace("SEED", str(seed))) for seed in seeds for user in (first, second)]
    ended = [racer.end() for racer in racers]
    assert not any(done.status for done in ended), "\n".join(done.err for done in ended if done.status)
    first.does("install", "model==1.0.0", "--repository", shared.repository)
    assert "damaged" not in second.does("verify")
    assert_modes(shared.home)
    tally("processes of two users that raced in one store", len(racers))


class TestGiving:
    """`orbitpkg store share`."""

    def test_a_users_private_store_can_be_shared_with_the_group(self, place: Place) -> None:
        first, second = place.user(61_001, 0o077), place.user(61_002, 0o022)
        place.folder.chmod(0o777)
        first.does("install", "model==1.0.0", "--repository", place.repository)
        assert second.run("list").status == 1
        said = json.loads(first.does("store", "share", "--group", str(GROUP), "--mode", "0664", "--json"))["data"]
        assert said == {
            "home": str(place.home),
            "group": str(GROUP),
            "mode": "0664",
            "left": [],
            "closed": None,
        }
        second.does("install", "model==2.0.0", "--repository", place.repository)
        second.does("remove", "model==1.0.0")
        assert_all_good(first, "2.0.0")
        assert_modes(place.home)

    def test_without_a_mode_others_read_what_the_umask_lets_them(self, place: Place) -> None:
        place.folder.chmod(0o777)
        for umask, mode in ((0o022, 0o2775), (0o027, 0o2770)):
            owner = place.user(61_001, umask)
            said = owner.does("store", "share", place.folder / f"{umask:o}", "--group", str(GROUP))
            expected = f"Shared {place.folder}/{umask:o}: members of the group {GROUP} can install and remove packages"
            assert said.startswith(expected)
            assert f"export ORBITPKG_HOME={place.folder}/{umask:o}\n" in said
            assert stat.S_IMODE((place.folder / f"{umask:o}").stat().st_mode) == mode

    def test_commands_to_type_are_quoted(self, place: Place) -> None:
        place.folder.chmod(0o777)
        said = place.user(61_001, 0o022).does("store", "share", "--group", str(GROUP))
        assert f"export ORBITPKG_HOME='{place.home}'\n" in said

    def test_with_0640_the_group_reads_and_one_installs(self, place: Place) -> None:
        first, second = place.user(61_001, 0o077), place.user(61_002, 0o022)
        stranger = place.user(61_003, 0o022, member=False)
        place.folder.chmod(0o777)
        first.does("store", "share", "--group", str(GROUP), "--mode", "640")
        first.does("install", "model==1.0.0", "--repository", place.repository)
        assert_all_good(second, "1.0.0")
        assert "cannot be written" in second.run("remove", "model").err
        assert "cannot be read" in stranger.run("list").err

    def test_it_reports_files_it_could_not_share_and_closed_folders_above(self, place: Place, shared: Place) -> None:
        first, second = shared.user(61_001, 0o022), shared.user(61_002, 0o022)
        first.does("install", "model==1.0.0", "--repository", shared.repository)
        os.chown(shared.home, second.number, GROUP)
        os.chown(shared.folder, second.number, -1)
        shared.folder.chmod(0o700)
        data = json.loads(second.does("store", "share", "--mode", "0660", "--json"))["data"]
        assert data["closed"] == str(place.folder)
        assert str(shared.home / "store") in data["left"]

    def test_a_user_who_cannot_share_it_is_told_which_user_can(self, shared: Place) -> None:
        for user in (shared.user(61_001, 0o022), shared.user(61_003, 0o022, member=False)):
            done = user.run("store", "share", "--group", str(GROUP), "--mode", "0660")
            assert done.status == 1
            assert "with the group 61000." in done.err
            assert "Only root and its owner can" in done.err

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--group", "no-such-group"), "The group 'no-such-group' does not exist"),
            (("--mode", "0666"), "'0666' is not a valid mode"),
            (("--mode", "600"), "'600' is not a valid mode"),
            (("--mode", "rw-rw----"), "'rw-rw----' is not a valid mode"),
            (("/etc",), "/etc is not a home directory of orbitpkg"),
        ],
    )
    def test_invalid_combinations_are_refused(self, place: Place, words: tuple[str, ...], said: str) -> None:
        done = place.user(61_001, 0o022).run("store", "share", *words)
        assert (done.status, said in done.err) == (2, True), done
        assert not place.home.exists()


class TestFolders:
    """What decides the modes, without other users."""

    def test_they_are_made_where_one_is(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        make_folders("a/b")
        assert (tmp_path / "a/b").is_dir()
        (tmp_path / "file").touch()
        with pytest.raises(FileExistsError):
            make_folders("file/b")

    def test_without_the_setgid_bit_the_umask_decides(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o777)
        make_folders(f"{tmp_path}/a/b")
        assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) & 0o022 == 0

    def test_setgid_folders_pass_on_their_mode_and_leave_no_temporary_files(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o2770)
        make_folders(f"{tmp_path}/a/b")
        make_folders(f"{tmp_path}/a/c")
        assert [stat.S_IMODE(path.stat().st_mode) for path in tmp_path.rglob("*")] == [0o2770] * 3


class TestRepositories:
    """A directory as the repository of a group."""

    @pytest.mark.parametrize("umask", [0o022, 0o077])
    @pytest.mark.parametrize("mode", [0o2770, 0o2775])
    def test_members_publish_beside_each_other_whatever_their_umasks(self, place: Place, umask: int, mode: int) -> None:
        repository = place.folder / "repository of a group"
        repository.mkdir()
        os.chown(repository, 0, GROUP)
        repository.chmod(mode)
        sources = {}
        for name, version in (("model", "1.0.0"), ("model", "2.0.0"), ("other", "1.0.0")):
            sources[name, version] = make_package(
                place.folder / name / version, name=name, version=version, files=SHARED
            )
        subprocess.run(["chmod", "-R", "go+rX", place.folder / "model", place.folder / "other"], check=True)
        users = []
        for number in (61_001, 61_002):
            user = replace(place.user(number, umask), home=place.folder / f"home of {number}")
            user.home.mkdir()
            os.chown(user.home, number, number)
            users.append(user)
        first, second = users
        first.does("publish", sources["model", "1.0.0"], "--repository", repository)
        second.does("install", "model", "--repository", repository)
        second.does("publish", sources["model", "2.0.0"], "--repository", repository)
        second.does("publish", sources["other", "1.0.0"], "--repository", repository)
        first.does("yank", "model==2.0.0", "--reason", "wrong", "--repository", repository)
        second.does("repo", "gc", repository)
        first.does("install", "other", "--repository", repository)
        for path in repository.rglob("*"):
            status = path.stat()
            assert status.st_gid == GROUP
            assert stat.S_IMODE(status.st_mode) == (mode if path.is_dir() else mode & 0o666), path

    def test_the_umask_decides_in_a_folder_that_is_not_shared(self, place: Place) -> None:
        source = make_package(place.folder / "model", files=SHARED)
        subprocess.run(["chmod", "-R", "go+rX", source], check=True)
        repository = place.folder / "repository of one"
        repository.mkdir()
        os.chown(repository, 61_001, GROUP)
        user = replace(place.user(61_001, 0o027), home=place.folder / "own")
        user.home.mkdir()
        os.chown(user.home, 61_001, 61_001)
        user.does("publish", source, "--repository", repository)
        modes = {stat.S_IMODE(path.stat().st_mode) for path in repository.rglob("*") if path.is_file()}
        assert modes == {0o640}
