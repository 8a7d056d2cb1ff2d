"""The names of files, whose bytes on the disk are UTF-8 whatever the locale.

The path of a file in a package is text. Python encodes text for the system with the encoding of the locale, so in an
ISO-8859-1 shell it would create other names than in a UTF-8 one, and neither process would find the other's files.
Every path that comes from a package or a key passes through :func:`disk_path` before the system sees it, and every name
that the system lists passes through :func:`text_path` before it is compared with such a path. Paths that the user
gives, such as the home folder, are used as they are.
"""

from __future__ import annotations

import os
import sys

__all__ = ["disk_path", "parse_written_path", "text_path", "written_path"]

_IS_UTF8 = sys.getfilesystemencoding() == "utf-8"


def disk_path(path: str) -> str:
    """Return the string that the system's calls need to access the file with a path, or a part of a path."""
    if _IS_UTF8 or path.isascii():
        return path
    return os.fsdecode(path.encode("utf-8", "surrogateescape"))


def text_path(name: str) -> str:
    """Return the text of a name or path that the system returned: the inverse of :func:`disk_path`.

    Bytes that are not UTF-8 become lone surrogates, as Python does it in a UTF-8 locale.
    """
    if _IS_UTF8 or name.isascii():
        return name
    return os.fsencode(name).decode("utf-8", "surrogateescape")


def written_path(path: str) -> str:
    """Return a path of this machine as text for a UTF-8 file: as it is, or as a ``file:`` URL if it is not UTF-8."""
    text = text_path(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        from pathlib import Path

        return Path(path).absolute().as_uri()
    return text


def parse_written_path(text: str) -> str:
    """Return the path that :func:`written_path` wrote."""
    if not text.startswith("file://"):
        return disk_path(text)
    from urllib.parse import unquote_to_bytes

    return os.fsdecode(unquote_to_bytes(text.removeprefix("file://")))
