"""The objects, or local files, that an argument names: one, those below a directory, or those that match a glob.

In a glob, ``*`` and ``?`` do not match ``/``, and ``**`` matches any number of directories. Keys may contain these
characters. So an argument that is the exact URI of an object names that object.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from orbitpkg.errors import FileMissing, UsageError
from orbitpkg.files.names import text_path
from orbitpkg.model.paths import relative_problem
from orbitpkg.model.patterns import compile_glob
from orbitpkg.objects.addresses import local_path_of, split_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orbitpkg.remote.files import RemoteFiles, Stat

__all__ = ["Selected", "is_glob", "local_name", "select"]

_SPECIAL: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """An object or a local file that an argument names.

    Attributes:
        stat: Its status.
        uri: Its URI or path as given, which may contain a user.
        name: Its path below the directory that the argument names; of a single object, the last part of its key.
        is_listed: Whether a listing reported it, in which case its key may have any form.
    """

    stat: Stat
    uri: str
    name: str
    is_listed: bool = False


def is_glob(argument: str) -> bool:
    """Return whether an argument contains wildcards."""
    return _SPECIAL.search(argument.partition("://")[2] or argument) is not None


def select(files: RemoteFiles, argument: str, *, recursive: bool = False) -> list[Selected]:
    """Find the objects or files that an argument names.

    Args:
        files: The stores and the local disk.
        argument: A URI, a path or a glob. A directory needs ``recursive``.
        recursive: Select everything below a directory.

    Raises:
        FileMissing: The argument matches nothing.
        UsageError: The argument is a directory, and ``recursive`` is not set.
        RepositoryError: The store cannot be reached.
    """
    if is_glob(argument):
        found = _single(files, argument) or list(_matching(files, argument))
    elif recursive:
        found = _single(files, argument) or list(_below(files, argument))
    else:
        _refuse_folder(argument)
        found = [Selected(stat=files.stat(argument), uri=argument, name=_name(argument))]
    if not found:
        raise FileMissing(f"{argument} matches nothing.", uri=argument)
    return found


def _single(files: RemoteFiles, argument: str) -> list[Selected]:
    if argument.endswith("/") or _is_folder(argument):
        return []
    try:
        return [Selected(stat=files.stat(argument), uri=argument, name=_name(argument))]
    except (FileMissing, UsageError):
        return []


def _below(files: RemoteFiles, argument: str) -> Iterator[Selected]:
    folder = argument if argument.endswith("/") else f"{argument}/"
    for found in files.scan(folder):
        yield Selected(stat=found, uri=found.uri, name=_relative(found.uri, folder), is_listed=True)


def _matching(files: RemoteFiles, argument: str) -> Iterator[Selected]:
    start = argument.find("://") + 3 if "://" in argument else 0
    special = _SPECIAL.search(argument, start)
    assert special is not None
    folder = argument[: argument.rfind("/", 0, special.start()) + 1]
    pattern = compile_glob(argument[len(folder) :])
    # An object store can list all keys that begin with the text before the first wildcard.
    prefix = (folder or ".") if local_path_of(argument) is not None else argument[: special.start()]
    for found in files.scan(prefix):
        name = _relative(found.uri, folder)
        if pattern.fullmatch(name):
            yield Selected(stat=found, uri=found.uri, name=name, is_listed=True)


def _relative(uri: str, folder: str) -> str:
    path = local_path_of(folder or ".")
    if path is not None:
        return text_path(os.path.relpath(str(local_path_of(uri)), path))
    return split_uri(uri)[1].removeprefix(split_uri(folder)[1])


def local_name(name: str) -> str:
    """Return the local path for the name of an object below a directory.

    A name that is not such a path is percent-encoded where it differs from one, so that it stays within the directory
    and can be decoded: ``a//b`` becomes ``a/%/b``, ``../b`` becomes ``%2E%2E/b``. The slash at the end of a directory
    marker is dropped.
    """
    plain = name.rstrip("/") or name
    if relative_problem(plain) is None:
        return plain
    return "/".join(_local_part(part) for part in plain.split("/"))


def _local_part(part: str) -> str:
    if part in {"", ".", ".."}:
        return part.replace(".", "%2E") or "%"
    return "".join(quote(each, safe="") if relative_problem(f"a{each}") or each == "%" else each for each in part)


def _is_folder(argument: str) -> bool:
    path = local_path_of(argument)
    return path is not None and path.is_dir()


def _refuse_folder(argument: str) -> None:
    if (
        argument.endswith("/")
        or _is_folder(argument)
        or (local_path_of(argument) is None and not split_uri(argument)[1])
    ):
        raise UsageError(f"{argument} is a directory.", hint="To include everything below it, add --recursive.")


def _name(argument: str) -> str:
    path = local_path_of(argument)
    return text_path(path.name) if path is not None else split_uri(argument)[1].rpartition("/")[2]
