"""Extractors that may crash, in processes of their own.

HDF5's library can take down the process that opens a file with some bytes altered. Of ten thousand files that are
registered, that must cost the one. So such files are read by a few workers, each a plain Python process that is asked
over a pipe, in lines of JSON; one that died is replaced. A worker ends when its pipe does, however the asking process
ended.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from orbitpkg.datasets.extraction import Extracted
from orbitpkg.errors import MissingExtra
from orbitpkg.model.jsontext import dump_json, load_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ReaderCrashedError", "ReaderFailedError", "read_apart", "work"]

_PATIENCE_SECONDS: Final = 30.0
"""How long a file may take: a broken one can lead its reader in circles."""

_WORKERS: Final = max(1, min(8, os.cpu_count() or 1))
# Not `-m`: what is importable here has to be so there, and a script's own folder is not.
_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from orbitpkg.datasets.extraction.isolation import work; work()"
)


class ReaderCrashedError(Exception):
    """The process that read the file died, or had to be stopped."""


class ReaderFailedError(Exception):
    """The extractor raised something; the message says what."""


def read_apart(reader: str, path: Path) -> Extracted:
    """Have a file read by an extractor in another process.

    Args:
        reader: The extractor, ``module:function``.
        path: The file.

    Raises:
        ReaderCrashedError: It took its process down, or too long.
        ReaderFailedError: It raised something.
        MissingExtra: It needs a library that is not installed.
    """
    with _slots:
        worker = _take()
        answer = worker.ask({"reader": reader, "path": str(path)})
        if answer is None:
            worker.close()
            raise ReaderCrashedError
        _give_back(worker)
    if "missing" in answer:
        raise MissingExtra(answer["missing"], hint=answer["hint"])
    if "failed" in answer:
        raise ReaderFailedError(answer["failed"])
    return Extracted(metadata=answer["metadata"], warnings=tuple(answer["warnings"]))


class _Worker:
    """One process, asked by one thread at a time."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        command = [sys.executable, "-c", _PROGRAM, dump_json(sys.path).decode()]
        self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def ask(self, question: dict[str, str]) -> Any:
        """Give its answer; None when it gave none."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(_PATIENCE_SECONDS, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            self._process.stdin.write(dump_json(question) + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            return None
        finally:
            timer.cancel()
        return load_json(answer) if answer.endswith(b"\n") else None

    def close(self) -> None:
        """End it."""
        self._process.kill()
        with suppress(BrokenPipeError):
            self._process.communicate()


_slots = threading.BoundedSemaphore(_WORKERS)
_lock = threading.Lock()
_idle: list[_Worker] = []


def _take() -> _Worker:
    with _lock:
        # A process that was forked shares its parent's pipes, and must not speak through them.
        mine = [worker for worker in _idle if worker.owner == os.getpid()]
        _idle[:] = mine[:-1]
    return mine[-1] if mine else _Worker()


def _give_back(worker: _Worker) -> None:
    with _lock:
        _idle.append(worker)


@atexit.register
def _close_all() -> None:
    with _lock:
        for worker in _idle:
            if worker.owner == os.getpid():
                worker.close()
        _idle.clear()


def work() -> None:
    """Answer questions until there are none: what a worker does."""
    # What libraries print must not come between the answers.
    with os.fdopen(os.dup(1), "wb") as answers:
        os.dup2(2, 1)
        for line in sys.stdin.buffer:
            answers.write(dump_json(_answer(**load_json(line))) + b"\n")
            answers.flush()


def _answer(reader: str, path: str) -> dict[str, object]:
    from importlib.metadata import EntryPoint
    from pathlib import Path

    try:
        found: Extracted = EntryPoint("", reader, "").load()(Path(path))
    except MissingExtra as error:
        return {"missing": error.message, "hint": error.hint}
    # As in the process that asks: libraries fail in more ways than anybody foresees.
    except Exception as error:  # noqa: BLE001
        from orbitpkg.datasets.extraction import reason_of

        return {"failed": reason_of(error)}
    return {"metadata": dict(found.metadata), "warnings": found.warnings}
