"""Which objects, or local files, a word of a command line means: one, those below a folder, or those a glob matches.

In a glob, ``*`` and ``?`` do not cross a ``/`` and ``**`` stands for any number of folders. Keys may hold these letters
themselves: a word that is an object's very URI means that object.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orbitpkg.errors import FileMissing, UsageError
from orbitpkg.model.patterns import compile_glob
from orbitpkg.objects.addresses import local_path_of, split_uri

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orbitpkg.remote.files import RemoteFiles, Stat

__all__ = ["Selected", "is_glob", "select"]

_SPECIAL: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """One object, or local file, that is meant.

    Attributes:
        stat: What is known of it.
        word: What to call it by: as it was given, where a user may be a part of it.
        name: Its path below the folder that the word names, for a copy of many; of one alone, its last part.
    """

    stat: Stat
    word: str
    name: str


def is_glob(word: str) -> bool:
    """Say whether a word has letters that stand for others."""
    return _SPECIAL.search(word.partition("://")[2] or word) is not None


def select(files: RemoteFiles, word: str, *, recursive: bool = False) -> list[Selected]:
    """Find out which objects, or files, a word means.

    Args:
        files: Where to look.
        word: A URI or a path; one of a folder needs ``recursive``.
        recursive: Take all below it.

    Raises:
        FileMissing: None.
        UsageError: It is a folder, and nobody says that all below it is meant.
        RepositoryError: The store cannot be asked.
    """
    if is_glob(word):
        found = _alone(files, word) or list(_matching(files, word))
    elif recursive:
        found = _alone(files, word) or list(_below(files, word))
    else:
        _refuse_folder(word)
        found = [Selected(stat=files.stat(word), word=word, name=_name(word))]
    if not found:
        raise FileMissing(f"There is nothing at {word}.", uri=word)
    return found


def _alone(files: RemoteFiles, word: str) -> list[Selected]:
    if word.endswith("/") or _is_folder(word):
        return []
    try:
        return [Selected(stat=files.stat(word), word=word, name=_name(word))]
    except (FileMissing, UsageError):
        return []


def _below(files: RemoteFiles, word: str) -> Iterator[Selected]:
    folder = word if word.endswith("/") else f"{word}/"
    for found in files.scan(folder):
        yield Selected(stat=found, word=found.uri, name=_relative(found.uri, folder))


def _matching(files: RemoteFiles, word: str) -> Iterator[Selected]:
    start = word.find("://") + 3 if "://" in word else 0
    special = _SPECIAL.search(word, start)
    assert special is not None
    folder = word[: word.rfind("/", 0, special.start()) + 1]
    pattern = compile_glob(word[len(folder) :])
    # Of an object store, the letters before the first special one can be asked for.
    prefix = (folder or ".") if local_path_of(word) is not None else word[: special.start()]
    for found in files.scan(prefix):
        name = _relative(found.uri, folder)
        if pattern.fullmatch(name):
            yield Selected(stat=found, word=found.uri, name=name)


def _relative(uri: str, folder: str) -> str:
    path = local_path_of(folder or ".")
    if path is not None:
        return os.path.relpath(str(local_path_of(uri)), path)
    return split_uri(uri)[1].removeprefix(split_uri(folder)[1])


def _is_folder(word: str) -> bool:
    path = local_path_of(word)
    return path is not None and path.is_dir()


def _refuse_folder(word: str) -> None:
    if word.endswith("/") or _is_folder(word) or (local_path_of(word) is None and not split_uri(word)[1]):
        raise UsageError(f"{word} is a folder.", hint="To take all below it, add --recursive.")


def _name(word: str) -> str:
    path = local_path_of(word)
    return path.name if path is not None else split_uri(word)[1].rpartition("/")[2]
