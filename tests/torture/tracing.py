"""Commands run under a tracer that stops them, or has the kernel fail them, at a system call of one's choice.

The tracer is Debian's strace (`strace(1)`, "Tampering"). It counts the calls of each thread by itself: the N-th call
is that of the thread that comes to its own N-th first.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.servers.fixtures import skip_or_fail
from tests.servers.processes import ServerMissing

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import IO

__all__ = ["MUTATING", "Result", "Victim", "victim"]

MUTATING = (
    *("openat", "creat", "write", "pwrite64", "writev", "copy_file_range", "sendfile", "ftruncate", "fallocate"),
    *("fsync", "fdatasync", "syncfs", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "unlink"),
    *("unlinkat", "rmdir", "mkdir", "mkdirat", "chmod", "fchmod", "fchmodat", "ioctl", "flock"),
)
"""What changes a file system, and what keeps others from doing so."""

_CALL = re.compile(r"^(?:\[pid +)?(?P<thread>\d+)\]? +(?P<name>\w+)\(")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How a command ended.

    Attributes:
        status: Its exit code; minus the signal that killed it.
        output: All that it wrote.
    """

    status: int
    output: str

    @property
    def killed(self) -> bool:
        """Whether it was killed as was asked for; otherwise it never came that far."""
        return self.status == -signal.SIGKILL


class Victim:
    """A process that runs commands in forks of itself; see `tests/torture/victim.py`."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder
        # What a system's strace does not know cannot happen on it either.
        self._calls = ",".join(f"?{name}" for name in MUTATING)

    def calls(self, words: Sequence[str], home: Path) -> Mapping[str, int]:
        """Run a command and give how many times one thread made each call, at most."""
        log = self._folder / "calls"
        result = self._run(words, home, [f"--trace={self._calls}", f"--output={log}"])
        assert result.status == 0, result.output
        counts: collections.Counter[tuple[str, str]] = collections.Counter()
        for line in log.read_text(errors="replace").splitlines():
            if match := _CALL.match(line):
                counts[match["thread"], match["name"]] += 1
        most: dict[str, int] = {}
        for (_, name), count in counts.items():
            most[name] = max(most.get(name, 0), count)
        return most

    def run(self, words: Sequence[str], home: Path, fault: str) -> Result:
        """Run a command with a fault, in strace's words: `fsync:error=EIO:when=3`."""
        name = fault.partition(":")[0]
        return self._run(words, home, [f"--trace={name}", f"--inject={fault}", f"--output={os.devnull}"])

    def _run(self, words: Sequence[str], home: Path, options: Sequence[str]) -> Result:
        output = self._folder / "output"
        pid = self._ask({"words": [*words], "home": str(home), "output": str(output)})["pid"]
        command = ["strace", "--follow-forks", f"--attach={pid}", *options]
        tracer = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert tracer.stderr
        said = ""
        while "attached" not in said:
            line = tracer.stderr.readline()
            if not line:
                break
            said += line
        status = self._ask({})["status"]
        said += tracer.communicate()[1]
        assert "attached" in said, said
        return Result(status=os.waitstatus_to_exitcode(status), output=output.read_text(errors="replace"))

    def _ask(self, task: Mapping[str, object]) -> Any:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextlib.contextmanager
def victim(folder: Path) -> Iterator[Victim]:
    """Start a process that can be traced, or skip the test."""
    if not shutil.which("strace"):
        skip_or_fail(ServerMissing("strace is not installed: apt-get install strace"))
    folder.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ORBITPKG_")}
    with (folder / "log").open("w") as log:
        process = _started(environment, log)
        try:
            yield Victim(process, folder)
        finally:
            assert process.stdin
            process.stdin.close()
            process.wait()
            assert process.stdout
            process.stdout.close()


def _started(environment: Mapping[str, str], log: IO[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, Path(__file__).with_name("victim.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        text=True,
    )
