"""Which distributions are installed beside another interpreter: it is run once, and asked.

A path to an interpreter is trusted as much as any program that the caller runs.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import UsageError
from orbitpkg.files.tilde import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["installed_in"]

# Until an interpreter has answered. A cold one on a network file system takes some seconds.
_MAX_SECONDS = 60
_MAX_SHOWN = 500
_MARK = "orbitpkg:"
# What is in the working directory is not what an app finds installed. What start-up files print comes before the mark.
_PROGRAM = f"""
import sys
sys.path[:] = [entry for entry in sys.path if entry]
import json, platform, re
from importlib import metadata
found = {{}}
for there in metadata.distributions():
    name, version = there.metadata["Name"], there.version
    if name and version:
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
found["python"] = platform.python_version()
sys.stdout.write("\\n{_MARK}" + json.dumps(found))
"""


def installed_in(python: str | os.PathLike[str]) -> Mapping[str, str]:
    """Ask an interpreter for its own version and for those of the distributions it finds.

    Args:
        python: Its path, or the folder of a virtual environment.

    Returns:
        Versions by canonical name; ``python`` is the interpreter.

    Raises:
        UsageError: It cannot be run, or does not answer like a Python 3.8 or newer.
    """
    path = _interpreter(os.fspath(python))
    try:
        done = subprocess.run(  # noqa: S603 - it is the caller who names it
            [path.absolute(), "-c", _PROGRAM],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _refusal(path, f"it did not answer within {_MAX_SECONDS} seconds") from error
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from error
    text = done.stdout.decode(errors="replace").rpartition(f"\n{_MARK}")[2]
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip()[-_MAX_SHOWN:].rpartition("\n")[2]
        raise _refusal(path, f"it ended with exit code {done.returncode}" + (f": {said}" if said else ""))
    try:
        found = json.loads(text)
        return {str(name): str(version) for name, version in found.items()}
    except (ValueError, AttributeError) as error:
        raise _refusal(path, "it does not answer as a Python does") from error


def _interpreter(text: str) -> Path:
    """Find the interpreter in the folder of a virtual environment, and a bare word as a shell does."""
    path = expanded(text)
    if path.is_dir():
        for place in ("bin/python", "Scripts/python.exe"):
            if (path / place).exists():
                return path / place
        raise _refusal(path, "it is a folder without an interpreter in it")
    if path.name != text:
        return path
    from shutil import which

    found = which(text)
    if found is None:
        raise _refusal(path, "there is no such program")
    return Path(found)


def _refusal(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"The interpreter {path} cannot say what is installed: {reason}.",
        hint="--python takes the path of a Python 3.8 or newer, or the folder of a virtual environment.",
        python=str(path),
        reason=reason,
    )
