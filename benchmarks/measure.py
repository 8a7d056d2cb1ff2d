"""Measure the cost of a command: time, memory, bytes on the wire, and processor time of the servers."""

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
    """A measured command failed. The message contains the end of its output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of one command.

    Attributes:
        wall: Wall-clock seconds.
        user: Processor seconds of the command and its children in user mode.
        system: Processor seconds of the command and its children in the kernel.
        memory: The peak memory of its largest process, in bytes.
        server: Processor seconds of all servers during the command.
        received: Bytes received over the link. None if the link does not count them.
        sent: Bytes sent over the link. None if the link does not count them.
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
    """Run a bash script as a client. Return its cost and its exit status.

    Raises:
        CommandFailed: The script failed, and ``may_fail`` is not set.
    """
    os.sync()  # Otherwise, writing back data of earlier commands would count for this one.
    mine = {os.getpid(), *link.helpers, *([link.holder] if link.holder else [])}
    servers, counted = _descendants_seconds(mine), link.counted()
    output = _run(["bash", "-o", "pipefail", "-ec", script], env=env, folder=folder, link=link, log=log)
    served, now = _descendants_seconds(mine), link.counted()
    if output["status"] != 0 and not may_fail:
        end = log.read_bytes()[-240:].decode(errors="replace").strip()
        raise CommandFailed(f"exit status {output['status']:.0f}: … {end}")
    cost = Cost(
        wall=output["wall"],
        user=output["user"],
        system=output["system"],
        memory=int(output["memory"]),
        server=served - servers,
        received=now[0] - counted[0] if now and counted else None,
        sent=now[1] - counted[1] if now and counted else None,
    )
    return cost, int(output["status"])


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
    """Sum the processor time of all descendant processes, with exceptions."""
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
