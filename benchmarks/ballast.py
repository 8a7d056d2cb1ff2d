"""Occupy memory during a measurement: `ballast.py GIBIBYTES` holds it until its input ends.

A host can reclaim the free memory of a virtual machine, and return it page by page on access. On such a machine, the
same write takes 0.1 s or 1.5 s, depending on the memory it receives. With most of the memory occupied, the rest is
reused by the measured processes and remains with the machine.
"""

from __future__ import annotations

import mmap
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["held"]


@contextmanager
def held(gibibytes: float) -> Iterator[None]:
    """Occupy memory in a separate process."""
    if not gibibytes:
        yield
        return
    with subprocess.Popen(
        [sys.executable, "-S", "-I", __file__, str(gibibytes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.terminate()


def _hold(gibibytes: float) -> None:
    memory = mmap.mmap(-1, int(gibibytes * 2**30))
    for start in range(0, len(memory), mmap.PAGESIZE):
        memory[start] = 1
    print(flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    _hold(float(sys.argv[1]))
