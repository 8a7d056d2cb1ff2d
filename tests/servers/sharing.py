"""One server of a kind for a whole test run, however many processes the run has.

The process that is there first and last (pytest, or pytest-xdist's controller) makes a `Run`: a folder with a FIFO in
it, of which it holds the writing end. Whoever needs a server calls `obtain`: the first to do so starts a keeper, a
process that runs the server's context manager and then reads from the FIFO. Nobody ever writes. When the run ends,
in whatever manner, SIGKILL included, the kernel closes the writing end, every keeper reads the end of file, stops its
server and removes its folder. A worker that dies takes nothing with it: keepers are not its group, and hold no pipe
of it.
"""

from __future__ import annotations

import fcntl
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tests.servers.processes import ServerFailed, ServerMissing

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TOP", "Run", "obtain", "wait_for_keepers"]

TOP = Path(__file__).parents[2]
ALIVE = "alive"


class Run:
    """A test run's folder of servers; made by the process that outlives all others of the run."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="orbitpkg-servers-"))
        os.mkfifo(self.folder / ALIVE)
        # Read-write, since opening a FIFO only for writing waits for a reader. Python opens it non-inheritable, so no
        # child of this process keeps it open.
        self._alive = os.open(self.folder / ALIVE, os.O_RDWR)

    def end(self) -> None:
        """Let every keeper stop its server, wait until all have, and remove the folder."""
        os.close(self._alive)
        wait_for_keepers(self.folder)
        shutil.rmtree(self.folder)


def wait_for_keepers(folder: Path) -> None:
    """Return when all keepers of a run that has ended have ended, too."""
    for lock in sorted(folder.glob("*.keeper")):
        with _locked(lock):  # Held by the keeper for as long as it runs.
            pass


def obtain(folder: Path, server: str) -> dict[str, str]:
    """Return what is needed to talk to the run's server of a kind, starting it if it does not run.

    Args:
        folder: The run's folder.
        server: "module.function" of a context manager below `tests.servers` that takes a folder and yields a dataclass.

    Returns:
        The dataclass's fields as text.

    Raises:
        ServerMissing: A program is not installed.
        ServerFailed: The server did not come up; it is not tried again within this run.
    """
    answer = folder / f"{server}.json"
    with _locked(folder / f"{server}.lock"):
        if not answer.exists():
            answer.write_bytes(_start_keeper(folder, server))
    told: dict[str, dict[str, str]] = json.loads(answer.read_bytes())
    match told:
        case {"running": fields}:
            return fields
        case {"missing": {"message": message}}:
            raise ServerMissing(message)
        case {"failed": {"message": message}}:
            raise ServerFailed(message)
    raise AssertionError(told)


def _start_keeper(folder: Path, server: str) -> bytes:
    log = folder / f"{server}.keeper-log"
    # Its errors go to a file: a pipe of ours would end with us.
    with log.open("wb") as errors:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.servers.sharing", str(folder), server],
            cwd=TOP,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
    assert keeper.stdout is not None
    with keeper.stdout as output:
        line = output.readline()
    # It outlives this process, and nobody waits for it: Popen would warn of that when it is collected.
    keeper.returncode = 0
    message = f"the keeper of {server} ended without a word:\n{log.read_text(errors='replace')}"
    return line or json.dumps({"failed": {"message": message}}).encode()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel lets go of it when the process ends, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _keep(folder: Path, server: str) -> None:
    """Run a server until the run ends; print one line of JSON when it is up, or why it is not."""
    module, function = server.split(".")
    starter = getattr(importlib.import_module(f"tests.servers.{module}"), function)
    # Opening without waiting: a run that is over already has no writer, and then the first read says so.
    alive = os.open(folder / ALIVE, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(alive, True)
    # A worker may have died while it waited for a keeper, and the next worker starts another. Their names must differ.
    own_folder = folder / f"{server}-{os.getpid()}"
    own_folder.mkdir()
    with _locked(own_folder.with_name(f"{own_folder.name}.keeper")):
        try:
            with starter(own_folder) as running:
                _tell(running={name: str(getattr(running, name)) for name in running.__dataclass_fields__})
                os.read(alive, 1)
        except ServerMissing as missing:
            _tell(missing={"message": str(missing)})
        except ServerFailed as failed:
            _tell(failed={"message": str(failed)})
        finally:
            # The run may have been killed, and with it the one who would remove its folder.
            shutil.rmtree(own_folder)


def _tell(**what: dict[str, str]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.close()


def main() -> NoReturn:
    """Be a keeper."""
    _keep(Path(sys.argv[1]), sys.argv[2])
    sys.exit()


if __name__ == "__main__":
    main()
