"""The settings of remote files: the directory of the cache, its permissions, and the environment of the stores.

``ORBITPKG_REMOTE_CACHE`` and ``ORBITPKG_REMOTE_FILE_MODE`` take precedence over s3stasher's ``S3STASHER_CACHE_DIR``
and ``S3STASHER_FILE_MODE``. The file that ``S3STASHER_ENV`` names, or else ``~/.s3stasher.env``, may set s3stasher's
variables and ``AWS_…`` too; the process's environment takes precedence over that file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orbitpkg.config.environment import environment, read_variable
from orbitpkg.config.repositories import home
from orbitpkg.errors import UsageError
from orbitpkg.files.errors import READ, storage_errors
from orbitpkg.files.reading import read_bounded
from orbitpkg.files.tilde import expand_home
from orbitpkg.files.working import absolute_path

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DEFAULT_FILE_MODE", "RemoteSettings", "parse_mode", "read_remote_settings", "remote_settings_key"]

DEFAULT_FILE_MODE: Final = 0o600
_MAX_BYTES: Final = 1 << 20
_CACHE: Final = "ORBITPKG_REMOTE_CACHE"
_FILE_MODE: Final = "ORBITPKG_REMOTE_FILE_MODE"
_S3STASHER_CACHE: Final = "S3STASHER_CACHE_DIR"
_S3STASHER_FILE_MODE: Final = "S3STASHER_FILE_MODE"
_FROM_FILE: Final = (_CACHE, _FILE_MODE, _S3STASHER_CACHE, _S3STASHER_FILE_MODE, "AWS_")


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteSettings:
    """The settings in effect.

    Attributes:
        cache: The directory of the cache.
        file_mode: The permissions of the files in the cache.
        env: The environment for ``open_store``: the process's, then s3stasher's file.
    """

    cache: Path
    file_mode: int
    env: Mapping[str, str]


def read_remote_settings(*, default: Path | None = None) -> RemoteSettings:
    """Read the settings from the environment and from s3stasher's file.

    Args:
        default: The directory of the cache when no variable names one; ``cache/remote`` in the home directory when
            None.

    Raises:
        UsageError: A variable holds an invalid mode.
        StorageError: The file cannot be read.
    """
    env = {**_read_file(), **environment()}
    mode_name = next((name for name in (_FILE_MODE, _S3STASHER_FILE_MODE) if env.get(name)), None)
    return RemoteSettings(
        cache=_cache_folder(env) or default or home() / "cache" / "remote",
        file_mode=parse_mode(env[mode_name], name=mode_name) if mode_name else DEFAULT_FILE_MODE,
        env=env,
    )


def _cache_folder(env: Mapping[str, str]) -> Path | None:
    if own := env.get(_CACHE):
        return Path(absolute_path(expand_home(own)))
    if shared := env.get(_S3STASHER_CACHE):
        # s3stasher keeps a directory for each bucket there. A bucket's name never begins with a dot.
        return Path(absolute_path(expand_home(shared))) / ".orbitpkg"
    return None


def remote_settings_key() -> tuple[object, ...]:
    """Return a value that changes whenever the settings, or the environment that stores depend on, may have changed."""
    try:
        changed = _file_path().stat().st_mtime_ns
    except OSError:
        changed = 0
    relevant = sorted((name, value) for name, value in environment().items() if _is_relevant(name))
    return (changed, *relevant)


def _is_relevant(name: str) -> bool:
    prefixes = ("AWS_", "ORBITPKG_", "S3STASHER_", "SSL_")
    return name == "HOME" or name.startswith(prefixes) or name.lower().endswith("_proxy")


def parse_mode(text: str, *, name: str) -> int:
    """Parse permissions in octal digits: ``660``, ``0660`` or ``0o660``.

    Raises:
        UsageError: The text is not a mode, or denies the owner to read or write.
    """
    try:
        mode = int(text.strip(), 8)
    except ValueError:
        mode = -1
    if mode & ~0o777 or mode & 0o600 != 0o600:  # noqa: PLR2004 - permissions
        raise UsageError(
            f"{name} is {text!r}, which is not a valid mode for cached files.",
            hint="Use octal digits: 600 for yourself, 660 for a group, 644 to let everyone read.",
        )
    return mode


def _file_path() -> Path:
    return expand_home(read_variable("S3STASHER_ENV") or "~/.s3stasher.env")


def _read_file() -> dict[str, str]:
    path = _file_path()
    hint = "Correct the file, or unset S3STASHER_ENV."
    with storage_errors(path, READ._replace(other=hint)):
        # Not Path.is_file(), which fails if the home directory is closed to this user.
        if not os.path.isfile(path) or path.stat().st_size > _MAX_BYTES:  # noqa: PTH113
            return {}
        data = read_bounded(path, max_bytes=_MAX_BYTES)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not UTF-8.", hint=hint) from None
    from io import StringIO

    from dotenv import dotenv_values

    found = dotenv_values(stream=StringIO(text))
    return {name: value for name, value in found.items() if value and name.startswith(_FROM_FILE)}
