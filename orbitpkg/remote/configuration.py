"""Where the cache is, who may read it, and with which variables stores are opened.

``ORBITPKG_REMOTE_CACHE`` and ``ORBITPKG_REMOTE_FILE_MODE`` count before s3stasher's ``S3STASHER_CACHE_DIR`` and
``S3STASHER_FILE_MODE``; those, and ``AWS_…`` variables, may also stand in the file that ``S3STASHER_ENV`` names, or in
``~/.s3stasher.env``. What the shell says counts before what the file says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orbitpkg.errors import StorageError, UsageError
from orbitpkg.files.tilde import expanded

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["DEFAULT_FILE_MODE", "Configuration", "parse_mode", "read_configuration"]

DEFAULT_FILE_MODE: Final = 0o600
_MAX_BYTES: Final = 1 << 20
_OWN: Final = ("ORBITPKG_REMOTE_CACHE", "ORBITPKG_REMOTE_FILE_MODE")
_THEIRS: Final = ("S3STASHER_CACHE_DIR", "S3STASHER_FILE_MODE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """What was found.

    Attributes:
        cache: The folder of the cache.
        file_mode: The permissions of the files in it.
        env: The variables for ``open_store``: the process's, over the file's.
    """

    cache: Path
    file_mode: int
    env: Mapping[str, str]


def read_configuration(env: Mapping[str, str], *, default: Path) -> Configuration:
    """Find out what is said, in the environment and in s3stasher's file.

    Args:
        env: The process's environment.
        default: The folder of the cache when nobody names one.

    Raises:
        UsageError: A mode is none.
        StorageError: The file cannot be read.
    """
    said = {**_from_file(env), **env}
    folder = _folder(said)
    mode_name = next((name for name in (_OWN[1], _THEIRS[1]) if said.get(name)), None)
    return Configuration(
        cache=folder or default,
        file_mode=parse_mode(said[mode_name], name=mode_name) if mode_name else DEFAULT_FILE_MODE,
        env=said,
    )


def _folder(said: Mapping[str, str]) -> Path | None:
    if own := said.get(_OWN[0]):
        return expanded(own).absolute()
    if theirs := said.get(_THEIRS[0]):
        # s3stasher keeps a folder for each bucket there, and no bucket's name begins with a dot.
        return expanded(theirs).absolute() / ".orbitpkg"
    return None


def parse_mode(text: str, *, name: str) -> int:
    """Read permissions as ``chmod`` takes them in digits: ``660``, ``0660``, ``0o660``.

    Raises:
        UsageError: It is none, or one under which the owner could not read or write the files.
    """
    try:
        mode = int(text.strip(), 8)
    except ValueError:
        mode = -1
    # The owner of a cache reads and writes what is in it; set-user-ID has no business there.
    if mode & ~0o777 or mode & 0o600 != 0o600:  # noqa: PLR2004 - permissions
        raise UsageError(
            f"{name} is {text!r}, which is no mode for the files of a cache.",
            hint="Write it in octal digits: 600 for yourself, 660 for a group, 644 for everyone to read.",
        )
    return mode


def _from_file(env: Mapping[str, str]) -> dict[str, str]:
    said = env.get("S3STASHER_ENV")
    path = expanded(said or "~/.s3stasher.env")
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return {}
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise StorageError(f"{path} cannot be read: {error}.", hint="Mend it, or unset S3STASHER_ENV.") from error
    from io import StringIO

    from dotenv import dotenv_values

    found = dotenv_values(stream=StringIO(text))
    return {name: value for name, value in found.items() if value and name.startswith((*_OWN, *_THEIRS, "AWS_"))}
