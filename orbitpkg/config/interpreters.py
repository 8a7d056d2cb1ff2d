"""The distributions that another Python interpreter finds, reported by running it once.

The caller's path is trusted: it is run as a program with the caller's rights.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import UsageError
from orbitpkg.files.tilde import expand_home
from orbitpkg.model.jsontext import load_json

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["installed_in"]

# A first start from a network file system takes several seconds.
_MAX_SECONDS = 60
_MAX_SHOWN = 500
_MARK = "orbitpkg:"
# The program drops "" from the path, since an app does not find what happens to lie in the working directory. The mark
# separates the answer from what sitecustomize and .pth files print.
_PROGRAM = f"""
import sys
sys.path[:] = [entry for entry in sys.path if entry]
import json, platform, re
from importlib import metadata
found = {{}}
for distribution in metadata.distributions():
    name, version = distribution.metadata["Name"], distribution.version
    if name and version:
        found.setdefault(re.sub(r"[-_.]+", "-", name).lower(), version)
found["python"] = platform.python_version()
sys.stdout.write("\\n{_MARK}" + json.dumps(found))
"""


def installed_in(python: str | os.PathLike[str]) -> Mapping[str, str]:
    """Run an interpreter to find its version and the versions of its distributions.

    Args:
        python: The interpreter's path, or the directory of a virtual environment.

    Returns:
        Versions by canonical name; ``python`` names the interpreter's own version.

    Raises:
        UsageError: The program cannot be run, or does not answer as Python 3.8 or newer does.
    """
    path = _interpreter(os.fspath(python))
    try:
        done = subprocess.run(  # noqa: S603 - the caller chose the program
            [path.absolute(), "-c", _PROGRAM],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_MAX_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _refusal(path, f"it did not respond within {_MAX_SECONDS} seconds") from error
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from error
    text = done.stdout.decode(errors="replace").rpartition(f"\n{_MARK}")[2]
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip()[-_MAX_SHOWN:].rpartition("\n")[2]
        raise _refusal(path, f"it ended with exit code {done.returncode}" + (f": {reason}" if reason else ""))
    found = load_json(text)
    if isinstance(found, dict):
        return {str(name): str(version) for name, version in found.items()}
    raise _refusal(path, "its answer is not that of a Python interpreter")


def _interpreter(text: str) -> Path:
    """Find the interpreter in a virtual environment's directory, or look a bare command up on ``PATH``."""
    path = expand_home(text)
    if path.is_dir():
        for name in ("bin/python", "Scripts/python.exe"):
            if (path / name).exists():
                return path / name
        raise _refusal(path, "the directory contains no interpreter")
    if path.name != text:
        return path
    from shutil import which

    found = which(text)
    if found is None:
        raise _refusal(path, "the program was not found")
    return Path(found)


def _refusal(path: Path, reason: str) -> UsageError:
    return UsageError(
        f"Cannot list the distributions of the interpreter {path}: {reason}.",
        hint="Give --python the path of a Python 3.8 or newer, or the directory of a virtual environment.",
        python=str(path),
        reason=reason,
    )
