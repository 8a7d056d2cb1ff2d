"""The options that commands which choose releases have in common."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from orbitpkg.reporting import SILENT, Reporter

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["InstallOptions", "PathLike", "as_tuple"]

PathLike: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallOptions:
    """How to choose and install releases.

    Attributes:
        repository: The repository to use, as for :func:`orbitpkg.api.settings`; those of the settings when None.
        apps: ``NAME==VERSION`` of each app that will use the packages.
        python: The interpreter, or virtual environment, whose other apps count; the running interpreter when None.
        only: Globs of the files to install; all files when empty.
        offline: Whether to refuse the network.
        prereleases: Whether pre-releases are candidates.
        reporter: Receives progress.
    """

    repository: PathLike | None = None
    apps: tuple[str, ...] = ()
    python: PathLike | None = None
    only: tuple[str, ...] = ()
    offline: bool = False
    prereleases: bool = False
    reporter: Reporter = SILENT


def as_tuple(words: str | Iterable[str] | None) -> tuple[str, ...]:
    """Return one string, several or None as a tuple of strings."""
    if words is None:
        return ()
    return (words,) if isinstance(words, str) else tuple(words)
