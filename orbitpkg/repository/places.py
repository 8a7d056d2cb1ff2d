"""Several repositories by name: which of them a package comes from.

1. A package that is bound to a repository comes from there, and is looked for nowhere else.
2. One that is not must be in one of them only: nobody gets a package of theirs in by publishing one of that name.
3. A repository that does not answer is an error. Others that do not hold the name are no substitute, for it might.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from orbitpkg.errors import OfflineError, ProjectError, ResolutionError
from orbitpkg.model.names import nearest
from orbitpkg.model.project import DEFAULT_NAME, bound_to
from orbitpkg.repository.catalogue import Catalogue
from orbitpkg.repository.indexing import read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orbitpkg.model.project import RepositorySetting
    from orbitpkg.repository.cache import Cache
    from orbitpkg.repository.repository import Repository

__all__ = ["Places"]


class Places:
    """The repositories in effect; each is opened when it is first asked.

    Args:
        settings: At least one, in their order.
        opener: Opens one.
        cache: What this machine keeps of them.
        is_said: Whether somebody named the one there is for this very command: then it stands for all that a lockfile
            names.
    """

    def __init__(
        self,
        settings: Sequence[RepositorySetting],
        opener: Callable[[RepositorySetting], Repository],
        *,
        cache: Cache | None,
        is_said: bool = False,
    ) -> None:
        self.settings = tuple(settings)
        self._opener = opener
        self._cache = cache
        self._is_said = is_said
        self._catalogues: dict[str, Catalogue] = {}
        self._opening = threading.Lock()
        self._homes: dict[str, RepositorySetting] = {}

    @property
    def opened(self) -> list[RepositorySetting]:
        """Those that were asked."""
        return [setting for setting in self.settings if setting.name in self._catalogues]

    @property
    def differences(self) -> list[str]:
        """Where indexes were found to differ from records."""
        return [line for catalogue in self._catalogues.values() for line in catalogue.differences]

    def catalogue(self, setting: RepositorySetting) -> Catalogue:
        """Give what one of the repositories has."""
        with self._opening:
            if setting.name not in self._catalogues:
                repository = self._opener(setting)
                self._catalogues[setting.name] = Catalogue(repository, self._cache, mirrored=bool(setting.mirrors))
            return self._catalogues[setting.name]

    def named(self, name: str) -> RepositorySetting:
        """Give the repository of a name that a lockfile says.

        Raises:
            ProjectError: Nobody named one so.
        """
        if len(self.settings) == 1 and (self._is_said or name == DEFAULT_NAME):
            # Where one takes the place of all, it is the one that was meant.
            return self.settings[0]
        found = next((setting for setting in self.settings if setting.name == name), None)
        if found is None:
            names = [setting.name for setting in self.settings]
            close = nearest(name, names, n=1)
            raise ProjectError(
                f"The lockfile takes packages from a repository {name!r}, which is not named here.",
                hint=f"Did you mean {close[0]}?" if close else f"Name it: orbitpkg repo add {name} URL",
                repository=name,
            )
        return found

    def look_up(self, packages: Iterable[str]) -> None:
        """Ask for several packages at once, by canonical names: what would be asked for one after the other is there.

        Raises:
            RepositoryError: A repository did not say.
        """
        read_all(self._look_up, packages)

    def _look_up(self, package: str) -> None:
        # What is not kept is told when, and if, it is needed.
        with contextlib.suppress(OfflineError):
            self.catalogue(self.home(package)).stock(package)

    def home(self, package: str) -> RepositorySetting:
        """Say which repository a package comes from, by its canonical name; the first when none has it.

        Raises:
            ResolutionError: Two of them have it, and it is bound to neither.
            RepositoryError: One of them did not say.
        """
        if package not in self._homes:
            self._homes[package] = self._find(package)
        return self._homes[package]

    def kept_elsewhere(self, package: str) -> list[RepositorySetting]:
        """Give the other repositories that this machine has seen a package in; none is asked, for none may be told."""
        home, cache = self.home(package), self._cache
        if cache is None:
            return []
        others = [setting for setting in self.settings if setting is not home]
        return [setting for setting in others if cache.index(self.catalogue(setting).repository.url, package)]

    def _find(self, package: str) -> RepositorySetting:
        if len(self.settings) == 1:
            return self.settings[0]
        bound = bound_to(package, self.settings)
        if bound is not None:
            return bound
        stocks = read_all(lambda setting: self.catalogue(setting).stock(package), self.settings)
        there = [setting for setting, stock in zip(self.settings, stocks, strict=True) if stock.versions]
        if len(there) > 1:
            raise _ambiguous(package, there)
        return there[0] if there else self.settings[0]


def _ambiguous(package: str, there: Sequence[RepositorySetting]) -> ResolutionError:
    names = [setting.name for setting in there]
    return ResolutionError(
        f"{package} is in {len(there)} repositories: {', '.join(names)}. Which one is meant, nobody said.",
        hint=f"Bind it to one: orbitpkg repo add {names[0]} {there[0].url} --packages {package}",
        name=package,
        repositories=names,
    )
