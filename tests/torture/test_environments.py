"""The whole life of a package in environments that refuse, lack or change something that others take for granted.

Each environment runs build, publish, install, sync, verify, gc and remove as processes of their own, and the result is
compared with the package's files.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from tests.packages import make_package, noise, tree_of
from tests.servers.fixtures import skip_or_fail
from tests.servers.processes import ServerMissing
from tests.torture.scale import SCALE, tally

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

LONG = "\u00fc" * 127 + "e"
FILES = {
    "weights.bin": noise(1_500_000),
    "blob.bin": noise(50_000, seed=1),
    "notes/gr\u00fc\u00dfe.txt": "gr\u00fc\u00dfe".encode(),
    # The longest names: 255 bytes for a part, 1,024 for a path.
    f"{LONG}": b"long",
    f"{'/'.join(['x' * 255] * 3)}/{'y' * 250}.bin": noise(40_000, seed=3),
    "empty": b"",
    **{f"many/{number}": str(number).encode() for number in range(40)},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What a place refuses or lacks.

    Attributes:
        refuse: System calls that fail, by the name of the error.
        variables: Environment variables.
        options: Options of the interpreter.
        limits: Resource limits.
        mode: The mode of the home folder, if it is made beforehand.
        folder: The name of the folder in which everything lies.
    """

    refuse: Mapping[str, str] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    options: Sequence[str] = ()
    limits: Mapping[int, int] = field(default_factory=dict)
    mode: int | None = None
    folder: bytes = b"life"


_CHMOD = {"chmod": "EPERM", "fchmod": "EPERM", "fchmodat": "EPERM"}
_LINK = {"link": "EPERM", "linkat": "EPERM"}
ENVIRONMENTS: Mapping[str, Environment] = {
    "plain": Environment(),
    "latin-1": Environment(variables={"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"}),
    "c-locale": Environment(variables={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "optimized": Environment(options=["-O"]),
    "no-chmod": Environment(refuse=_CHMOD),
    "no-modes": Environment(refuse=dict.fromkeys(_CHMOD, "EOPNOTSUPP")),
    "no-links": Environment(refuse=_LINK),
    "no-links-on-smb": Environment(refuse=dict.fromkeys(_LINK, "EOPNOTSUPP")),
    "no-locks": Environment(refuse={"flock": "ENOLCK"}),
    "no-lock-calls": Environment(refuse={"flock": "ENOSYS"}),
    "no-syncfs": Environment(refuse={"syncfs": "ENOSYS"}),
    "syncfs-of-others": Environment(refuse={"syncfs": "EIO"}),
    "no-range-calls": Environment(
        refuse={"sync_file_range": "ENOSYS", "copy_file_range": "ENOSYS", "fallocate": "EOPNOTSUPP"}
    ),
    "setgid-without-links-or-chmod": Environment(refuse={**_CHMOD, **_LINK}, mode=0o2770),
    "not-utf-8": Environment(folder=b"b\xe9d"),
    "not-utf-8-in-latin-1": Environment(folder=b"b\xe9d", variables={"LC_ALL": "de_DE.ISO-8859-1", "PYTHONUTF8": "0"}),
    "few-descriptors": Environment(limits={resource.RLIMIT_NOFILE: 32}),
}
# The sample leaves out what differs from a neighbour by the number of the error only.
SAMPLE = [name for name in ENVIRONMENTS if name not in {"no-modes", "no-links-on-smb", "no-lock-calls", "plain"}]


class Life:
    """A package's life in one environment."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.environment = environment
        self.folder = folder
        self.home = folder / "home"
        self.project = folder / "project"

    def run(self, *words: str) -> str:
        """Run a command, which must succeed, in the project; return its output."""
        return self._execute("-m", "orbitpkg", *words)

    def python(self, program: str) -> str:
        """Run a program, which must succeed, in the project; return its output."""
        return self._execute("-c", program)

    def _execute(self, *words: str) -> str:
        variables = {key: text for key, text in os.environ.items() if not key.startswith(("ORBITPKG_", "XDG_"))}
        variables |= {"HOME": str(self.folder), "ORBITPKG_HOME": str(self.home), **self.environment.variables}
        done = subprocess.run(
            [*self._tracer(), sys.executable, *self.environment.options, *words],
            cwd=self.project,
            env=variables,
            check=False,
            capture_output=True,
            preexec_fn=self._limit() if self.environment.limits else None,
        )
        output = (done.stdout + done.stderr).decode(errors="replace")
        assert done.returncode == 0, f"{' '.join(words)}: {output}"
        return output

    def _tracer(self) -> list[str]:
        refuse = self.environment.refuse
        if not refuse:
            return []
        injections = [f"--inject=?{call}:error={error}" for call, error in refuse.items()]
        calls = ",".join(f"?{call}" for call in refuse)
        return ["strace", "-f", "-qq", "-o", os.devnull, "--seccomp-bpf", f"--trace={calls}", *injections]

    def _limit(self) -> Callable[[], None]:
        limits = self.environment.limits

        def limit() -> None:
            for kind, most in limits.items():
                resource.setrlimit(kind, (most, most))

        return limit


def live(life: Life) -> None:
    """Go through the life of a package, and compare what is installed with what was published."""
    repository = str(life.folder / "repository")
    life.run("build", "../first", "-o", "../dist")
    life.run("publish", "../dist/model-1.0.0.tar.zst", "--repository", repository)
    life.run("publish", "../second", "--repository", repository)
    life.run("install", "model==1.0.0", "--repository", repository)
    assert installed(life, "1.0.0") == tree_of(life.folder / "first")
    life.run("repo", "add", "main", repository)
    life.run("add", "model")
    life.run("sync")
    assert installed(life, "2.0.0") == tree_of(life.folder / "second")
    life.run("verify")
    life.run("gc")
    life.run("remove", "model==1.0.0")
    life.run("sync", "--frozen")
    assert installed(life, "2.0.0") == tree_of(life.folder / "second")
    assert [path for path in life.home.rglob("*") if path.parent.name == "tmp"] == []


def installed(life: Life, version: str) -> dict[str, tuple[bytes, bool]]:
    """Return the files of an installed release."""
    return tree_of(life.home / "store/v1/packages/model" / version / "files")


@pytest.fixture
def life(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """An environment and the packages that live in it."""
    environment = ENVIRONMENTS[request.param]
    if environment.refuse and shutil.which("strace") is None:
        skip_or_fail(ServerMissing("strace is not installed; on Debian: apt-get install strace"))
    folder = tmp_path_factory.mktemp("life") / os.fsdecode(environment.folder)
    folder.mkdir()
    life = Life(environment, folder)
    life.project.mkdir()
    make_package(folder / "first", version="1.0.0", files=FILES)
    changed = FILES | {"weights.bin": FILES["weights.bin"][:-1000] + noise(2000, seed=2)}
    make_package(folder / "second", version="2.0.0", files=changed)
    if environment.mode is not None:
        life.home.mkdir()
        life.home.chmod(environment.mode)
    if "LC_ALL" in environment.variables and environment.variables["LC_ALL"] != "C":
        _make_locale(life)
    yield life
    with contextlib.suppress(OSError):
        shutil.rmtree(folder)


def _make_locale(life: Life) -> None:
    """Compile a locale whose encoding is not UTF-8, where the C library's tools are installed."""
    locales = life.folder / "locales"
    locales.mkdir()
    if shutil.which("localedef") is None or subprocess.run(
        ["localedef", "-i", "de_DE", "-f", "ISO-8859-1", locales / "de_DE.ISO-8859-1"], check=False, capture_output=True
    ).returncode not in {0, 1}:
        skip_or_fail(ServerMissing("localedef or its sources are missing; on Debian: apt-get install locales"))
    life.environment = replace(life.environment, variables={**life.environment.variables, "LOCPATH": str(locales)})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("life", list(ENVIRONMENTS) if SCALE else SAMPLE, indirect=True)
def test_a_package_lives_in_an_environment_that_lacks_something(life: Life) -> None:
    live(life)
    tally("lives of a package in an odd environment", 1)


@pytest.mark.timeout(300)
def test_a_package_lives_in_a_store_that_came_with_an_image(tmp_path: Path) -> None:
    """overlayfs: folders of the lower layer cannot be renamed (EXDEV)."""
    if os.geteuid() != 0:
        pytest.skip("mounting an overlay takes root: run the tests as root")
    life = Life(Environment(), tmp_path / "image")
    for name in ("image/project", "image/repository", "disk"):
        (tmp_path / name).mkdir(parents=True)
    make_package(life.folder / "first", version="1.0.0", files=FILES)
    make_package(life.folder / "second", version="2.0.0", files=FILES | {"new": b"new"})
    for folder in ("../first", "../second"):
        life.run("publish", folder, "--repository", str(life.folder / "repository"))
    for version in ("1.0.0", "2.0.0"):
        life.run("install", f"model=={version}", "--repository", str(life.folder / "repository"))
    merged = Life(Environment(), tmp_path / "merged")
    merged.folder.mkdir()
    # The upper layer of an overlay cannot lie in another overlay, which a container's own disk may be.
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", tmp_path / "disk"], check=True)
    try:
        for name in ("upper", "work"):
            (tmp_path / "disk" / name).mkdir()
        layers = f"lowerdir={life.folder},upperdir={tmp_path}/disk/upper,workdir={tmp_path}/disk/work"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, merged.folder], check=True)
        try:
            merged.run("install", "model==2.0.0", "--repository", str(merged.folder / "repository"))
            merged.run("remove", "model==1.0.0")
            assert not (merged.home / "store/v1/packages/model/1.0.0").exists()
            merged.run("install", "model==1.0.0", "--repository", str(merged.folder / "repository"))
            weights = merged.home / "store/v1/packages/model/2.0.0/files/weights.bin"
            weights.unlink()
            weights.write_bytes(b"damaged")
            merged.run("verify", "--repair")
            merged.run("gc")
            for number, version in (("first", "1.0.0"), ("second", "2.0.0")):
                assert installed(merged, version) == tree_of(merged.folder / number)
        finally:
            subprocess.run(["umount", merged.folder], check=True)
    finally:
        subprocess.run(["umount", tmp_path / "disk"], check=True)


NAME = "gr\u00fc\u00dfe \u03b1.csv"
LOCALES = ["latin-1", "c-locale"]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("life", LOCALES, indirect=True)
def test_files_keep_their_names_in_syncs_copies_and_datasets_whatever_the_locale(life: Life) -> None:
    source = life.folder / "source"
    for name in ("folder/" + NAME, NAME):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(name.encode())
    bucket = life.folder / "bucket"
    bucket.mkdir()
    life.run("remote", "sync", "../source", f"{bucket.as_uri()}/synced/")
    assert tree_of(bucket / "synced") == tree_of(source)
    life.run("remote", "sync", f"{bucket.as_uri()}/synced/", "../down")
    assert tree_of(life.folder / "down") == tree_of(source)
    life.run("remote", "cp", "-R", "../source/", f"{bucket.as_uri()}/copied/")
    life.run("remote", "cp", "-R", f"{bucket.as_uri()}/copied/", "../back/")
    assert tree_of(life.folder / "back") == tree_of(source)
    life.run("remote", "mv", "-R", f"{bucket.as_uri()}/copied/", f"{bucket.as_uri()}/moved/")
    assert tree_of(bucket / "moved") == tree_of(source)
    repository = str(life.folder / "repository")
    life.run("repo", "init", repository)
    life.run("dataset", "create", "names", "--repository", repository)
    life.run("dataset", "register", "names", "../source", "--repository", repository)
    life.run("dataset", "download", "names", "--dir", "../fetched", "--repository", repository)
    assert tree_of(life.folder / "fetched") == tree_of(source)
    life.run("dataset", "freeze", "names", "--as", "frozen==1.0.0", "--pack", "-r", repository)
    life.run("install", "frozen", "--repository", repository)
    life.run("dataset", "thaw", "frozen", "--dir", "../thawed")
    assert tree_of(life.folder / "thawed") == tree_of(source)


@pytest.mark.parametrize("life", LOCALES, indirect=True)
def test_a_program_finds_the_files_of_packages_whatever_its_locale(life: Life) -> None:
    life.run("publish", "../first", "--repository", str(life.folder / "repository"))
    life.run("install", "model", "--repository", str(life.folder / "repository"))
    program = f"""
import orbitpkg, pickle
package = pickle.loads(pickle.dumps(orbitpkg.package("model")))
names = {sorted(FILES)!a}
assert sorted({{*package.files()}} - {{"package.json"}}) == names, package.files()
for name in names:
    assert package.file_path(name).is_file()
    assert package.has_file(*name.split("/"))
    assert package.file_path(name).parent == package.dir_path(*name.split("/")[:-1])
assert package.read_text("notes", "gr\\u00fc\\u00dfe.txt") == "gr\\u00fc\\u00dfe"
"""
    life.python(program)
