"""What a command costs: time, memory, bytes on the wire, and the servers' time beside it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from benchmarks.network import Link

__all__ = ["CommandFailed", "Cost", "measure"]

_METER = Path(__file__).with_name("meter.py")
_TICKS = os.sysconf("SC_CLK_TCK")


class CommandFailed(Exception):
    """A measured command ended with an error; the message carries the end of what it said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one command took.

    Attributes:
        wall: Seconds from start to end.
        user: Processor seconds of it and its children, in their own code.
        system: The same, in the kernel.
        memory: The most bytes that any one of its processes held.
        server: Processor seconds of all servers meanwhile.
        received: Bytes that came in over the link; None where that is not counted.
        sent: Bytes that went out.
    """

    wall: float
    user: float
    system: float
    memory: int
    server: float
    received: int | None
    sent: int | None

    @property
    def cpu(self) -> float:
        """Processor seconds of the client."""
        return self.user + self.system


def measure(
    script: str, *, env: Mapping[str, str], folder: Path, link: Link, log: Path, may_fail: bool = False
) -> tuple[Cost, int]:
    """Run a script of bash as a client, and return what it took and its exit status.

    Raises:
        CommandFailed: It failed, and may not.
    """
    os.sync()  # What earlier commands wrote would otherwise be written now, at this one's expense.
    mine = {os.getpid(), *link.helpers, *([link.holder] if link.holder else [])}
    servers, counted = _descendants_seconds(mine), link.counted()
    said = _run(["bash", "-o", "pipefail", "-ec", script], env=env, folder=folder, link=link, log=log)
    served, now = _descendants_seconds(mine), link.counted()
    if said["status"] != 0 and not may_fail:
        end = log.read_bytes()[-240:].decode(errors="replace").strip()
        raise CommandFailed(f"exit status {said['status']:.0f}: … {end}")
    cost = Cost(
        wall=said["wall"],
        user=said["user"],
        system=said["system"],
        memory=int(said["memory"]),
        server=served - servers,
        received=now[0] - counted[0] if now and counted else None,
        sent=now[1] - counted[1] if now and counted else None,
    )
    return cost, int(said["status"])


def _run(words: list[str], *, env: Mapping[str, str], folder: Path, link: Link, log: Path) -> dict[str, float]:
    reading, writing = os.pipe()
    command = link.command([sys.executable, "-S", "-I", str(_METER), str(writing), *words])
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=dict(env),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[writing],
        )
        os.close(writing)
        with os.fdopen(reading, "rb") as answer:
            line = answer.read()
        process.wait()
    if not line:
        raise CommandFailed(f"cannot be measured: {log.read_text(errors='replace')}")
    cost: dict[str, float] = json.loads(line)
    return cost


def _descendants_seconds(without: set[int]) -> float:
    """Add up the processor time of all processes that this one started, or that those did, but for some."""
    parents, ticks = {}, {}
    for process, parent, used in _processes():
        parents[process], ticks[process] = parent, used
    return (
        sum(used for process, used in ticks.items() if process not in without and _is_mine(process, parents)) / _TICKS
    )


def _is_mine(process: int, parents: Mapping[int, int]) -> bool:
    while process in parents:
        process = parents[process]
        if process == os.getpid():
            return True
    return False


def _processes() -> Iterator[tuple[int, int, int]]:
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path("/proc", entry, "stat").read_text()
            except OSError:  # It ended meanwhile.
                continue
            # The name, in parentheses, may hold anything; what follows the last one is numbers (proc(5)).
            fields = text.rpartition(")")[2].split()
            yield int(entry), int(fields[1]), int(fields[11]) + int(fields[12])
