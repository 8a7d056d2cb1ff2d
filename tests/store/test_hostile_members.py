"""A shared store of which one member is hostile: links, hard links and FIFOs where another member's commands write.

Two real users share a store. The hostile one may change everything in it that the group may change. Whatever it puts
there, commands of the other user, and of root, change no file outside of the store, and do not hang.
"""

# ruff: noqa: F401, F811 - fixtures are imported

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.store.test_sharing import (
    GROUP,
    Place,
    User,
    crowd,
    first,
    place,
    repository,
    second,
    shared,
)
from tests.torture.scale import scaled, tally

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OWN = {"notes.txt": b"mine", "a/own": b"mine, too", "blob": b"also mine", "model.json": b"my settings"}
ROUNDS = scaled(2, 20)


@pytest.fixture
def precious(shared: Place, second: User) -> Iterator[Path]:
    """A folder of the other member, which only this user can write to; it is as it was at the end."""
    folder = shared.folder / "precious"
    folder.mkdir()
    for name, data in OWN.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, second.number, second.number)
    before = snapshot(folder)
    yield folder
    assert snapshot(folder) == before


def snapshot(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Return the mode and the content of everything in a folder."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in sorted(folder.rglob("*"))
    }


# What the hostile member does to the store, forever; FOLDER is the store, PRECIOUS the other's folder.
PLANT = """
import os, random, shutil, time
chance = random.Random(SEED)
store, precious = FOLDER + "/store/v1", PRECIOUS
end = time.monotonic() + SECONDS
def plant(path):
    kind = chance.choice(["file", "folder", "fifo", "hard", "away"])
    try:
        if os.path.lexists(path):
            os.rename(path, path + f"-{chance.random()}")
        if kind == "file": os.symlink(precious + "/" + chance.choice(NAMES), path)
        elif kind == "folder": os.symlink(precious, path)
        elif kind == "fifo": os.mkfifo(path, 0o666)
        elif kind == "hard": os.link(precious + "/notes.txt", path)
    except OSError:
        pass
while time.monotonic() < end:
    try:
        found = [os.path.join(root, name) for root, dirs, files in os.walk(store) for name in dirs + files]
    except OSError:
        continue
    for path in chance.sample(found, min(len(found), 20)):
        plant(path)
    for name in ("locks/model-1.0.0.lock", "packages/model", "packages/model/1.0.0/files/a", "roots/x.json"):
        if chance.random() < 0.3:
            plant(store + "/" + name)
"""


@pytest.mark.parametrize("victim", ["member", "root"])
def test_nothing_that_a_member_plants_leads_the_commands_of_another_out_of_the_store(
    shared: Place,
    first: User,
    second: User,
    precious: Path,
    victim: str,
) -> None:
    """The hostile member replaces folders and files all the while the other one installs, repairs and tidies."""
    user = second if victim == "member" else User(crowd=shared.crowd, number=0, home=shared.home, umask=0o022)
    for seed in range(ROUNDS):
        values = {
            "SEED": str(seed),
            "SECONDS": "6",
            "FOLDER": repr(str(shared.home)),
            "PRECIOUS": repr(str(precious)),
            "NAMES": repr([*OWN]),
        }
        code = PLANT
        for name, value in values.items():
            code = code.replace(name, value)
        hostile = first.start(code)
        for words in (
            ("install", "model==1.0.0", "--repository", shared.repository),
            ("install", "model==2.0.0", "--only", "a/*", "--repository", shared.repository),
            ("install", "model==2.0.0", "--repository", shared.repository),
            ("verify", "--repair"),
            ("gc", "--keep-last", "1"),
            ("remove", "model"),
            ("gc",),
        ):
            done = user.run(*words)
            assert done.status != 70, done.err
            assert "Traceback" not in done.err
        hostile.end()
        shutil.rmtree(shared.home / "store", ignore_errors=True)
    tally("rounds of one member of a store against another", ROUNDS)


STAGES = {
    "the lock is a link to a file": "store/v1/locks/model-1.0.0.lock -> notes.txt",
    "the folder of locks is a link": "store/v1/locks -> .",
    "the staging folder is a link": "store/v1/tmp -> .",
    "the packages are a link": "store/v1/packages -> .",
    "the package is a link": "store/v1/packages/model -> a",
    "the blobs are a link": "store/v1/blobs -> .",
    "the roots are a link": "store/v1/roots -> .",
    "the cache is a link": "cache -> .",
    "the store is a link": "store -> .",
}


@pytest.mark.parametrize("planted", STAGES.values(), ids=STAGES)
def test_a_link_that_was_there_first_is_named_or_replaced_but_not_followed(
    shared: Place,
    first: User,
    second: User,
    precious: Path,
    planted: str,
) -> None:
    name, _, target = planted.partition(" -> ")
    first.python(f"""
import os
path = {str(shared.home / name)!r}
os.makedirs(os.path.dirname(path), mode=0o2775, exist_ok=True)
os.symlink({str(precious)!r} + "/" + {target!r}, path)
""")
    for path in (shared.home, *shared.home.rglob("*")):
        if path.is_dir() and not path.is_symlink():
            os.chown(path, -1, GROUP)
            path.chmod(0o2775)
    for words in (
        ("install", "model==1.0.0", "--repository", shared.repository),
        ("verify", "--repair"),
        ("gc", "--keep-last", "0"),
        ("remove", "model"),
    ):
        done = second.run(*words)
        assert done.status in {0, 1, 16, 32, 48}, done
        assert "Traceback" not in done.err


def test_a_folder_in_a_release_that_became_a_link_is_not_written_through(
    shared: Place,
    first: User,
    second: User,
    precious: Path,
) -> None:
    second.does("install", "model==1.0.0", "--only", "version", "--repository", shared.repository)
    files = shared.home / "store/v1/packages/model/1.0.0/files"
    first.python(f"import os; os.symlink({str(precious / 'a')!r}, {str(files / 'a')!r})")
    done = second.run("install", "model==1.0.0", "--repository", shared.repository)
    assert done.status == 1
    assert "another user of this shared directory made it" in done.err


def test_fifos_make_no_command_wait(shared: Place, first: User, second: User, precious: Path) -> None:
    second.does("install", "model==1.0.0", "--repository", shared.repository)
    home = "store/v1/packages/model/1.0.0"
    for name in ("store/v1/roots/x.json", f"{home}/contents", f"{home}/release.json", f"{home}/listing"):
        first.python(f"""
import os
path = {str(shared.home / name)!r}
if os.path.exists(path): os.unlink(path)
os.mkfifo(path, 0o666)
""")
        for words in (("list",), ("verify",), ("gc",), ("install", "model==1.0.0", "--repository", shared.repository)):
            assert second.run(*words).status in {0, 1, 16, 32, 48}
    assert precious.is_dir()


def test_garbage_collection_leaves_files_of_others_alone(shared: Place, first: User, second: User) -> None:
    second.does("install", "model==1.0.0", "--repository", shared.repository)
    kept = ["uploads/thesis.pdf", "cache/photo.jpg", "cache/remote/unsent/0-draft.csv", "cache/remote/tmp/0/draft.csv"]
    kept += ["store/v1/tmp/notes.txt", "store/v1/blobs/aa/object", "cache/index/mine.json"]
    for name in kept:
        path = shared.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
        os.utime(path, (0, 0))
    code = """
import time
from orbitpkg.config.repositories import home
from orbitpkg.store.garbage import Policy, collect, find_garbage
from orbitpkg.store.store import Store
store = Store(home())
collect(store, find_garbage(store.layout, Policy(keep_last=0), now=time.time() + 1e9))
"""
    os.environ.pop("ORBITPKG_HOME", None)
    first.python(code)
    assert [name for name in kept if not (shared.home / name).exists()] == []
