"""Run extractors that can crash in separate processes.

The HDF5 library can crash the process that opens a damaged file. When ten thousand files are registered, only that file
must fail. Such files are therefore read by a few worker processes, which receive requests as lines of JSON over a pipe.
A worker that dies is replaced. A worker exits when its pipe is closed, even if the parent process was killed.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from orbitpkg.datasets.extraction.extracted import Extracted
from orbitpkg.errors import MissingExtra
from orbitpkg.model.jsontext import dump_json, load_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ReaderCrashedError", "ReaderFailedError", "read_apart", "work"]

_TIMEOUT_SECONDS: Final = 30.0
"""The time limit for a file. A damaged file can make its reader loop forever."""

_WORKERS: Final = max(1, min(8, os.cpu_count() or 1))
# The worker needs the parent's sys.path, which `-m` would not give it: it lacks the directory of the parent's script.
_PROGRAM: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from orbitpkg.datasets.extraction.isolation import work; work()"
)


class ReaderCrashedError(Exception):
    """The worker process crashed or was killed after the time limit."""


class ReaderFailedError(Exception):
    """The extractor raised an exception, which the message describes."""


def read_apart(reader: str, path: Path) -> Extracted:
    """Run an extractor in another process.

    Args:
        reader: The extractor, ``module:function``.
        path: The file.

    Raises:
        ReaderCrashedError: The process crashed or exceeded the time limit.
        ReaderFailedError: The extractor raised an exception.
        MissingExtra: The extractor needs a library that is not installed.
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
    """A worker process, used by one thread at a time."""

    def __init__(self) -> None:
        self.owner = os.getpid()
        command = [sys.executable, "-c", _PROGRAM, dump_json(sys.path).decode()]
        self._process = subprocess.Popen(  # noqa: S603 - this very interpreter
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def ask(self, question: dict[str, str]) -> Any:
        """Send a request and return the answer, or None if the process died."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        timer = threading.Timer(_TIMEOUT_SECONDS, self._process.kill)
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
        """Terminate the process."""
        self._process.kill()
        with suppress(BrokenPipeError):
            self._process.communicate()


_slots = threading.BoundedSemaphore(_WORKERS)
_lock = threading.Lock()
_idle: list[_Worker] = []


def _take() -> _Worker:
    with _lock:
        # A forked process shares the pipes of its parent and must not use them.
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
    """Answer requests from standard input until it is closed. The main function of a worker."""
    # Redirect standard output, because libraries may print to it between the answers.
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
    # As in the parent process: libraries can raise anything for a broken file.
    except Exception as error:  # noqa: BLE001
        from orbitpkg.datasets.extraction.extracted import reason_of

        return {"failed": reason_of(error)}
    return {"metadata": dict(found.metadata), "warnings": found.warnings}
