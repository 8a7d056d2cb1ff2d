"""Measure the peak memory of a Python program in a separate process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

__all__ = ["peak_mebibytes"]

TOP = Path(__file__).parents[1]

# Linux hands ru_maxrss of the process before exec on to the one after it, which here is a big one: the tests.
_REPORT = """
import resource as _resource, sys as _sys
try:
    with open("/proc/self/status") as _status:
        _peak = next(int(line.split()[1]) for line in _status if line.startswith("VmHWM"))
except FileNotFoundError:
    _peak = _resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss // (1024 if _sys.platform == "darwin" else 1)
print("peak", _peak // 1024)
"""


def peak_mebibytes(program: str, *arguments: object) -> int:
    """Run a program, which must end well, and give the most memory it had at once.

    Args:
        program: Python statements.
        arguments: What it finds in `sys.argv[1:]`.
    """
    command = [sys.executable, "-c", program + _REPORT, *map(str, arguments)]
    done = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.rpartition("peak ")[2])
