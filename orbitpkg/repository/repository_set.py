"""Several named repositories, and which of them a package comes from.

1. A package that is bound to a repository comes from that repository; no other is searched.
2. A package that is not bound must be in exactly one repository. Otherwise, a package published elsewhere under the
   same name could replace it.
3. A repository that is not there, because its address is wrong or its share is not mounted, is an error.
4. So is a repository that does not respond. Another one cannot replace it, because it may have the package.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from orbitpkg.errors import OfflineError, ProjectError, ResolutionError
from orbitpkg.escaping import shell_word
from orbitpkg.model.names import nearest
from orbitpkg.model.project import DEFAULT_NAME, bound_to
from orbitpkg.repository.catalogue import Catalogue
from orbitpkg.repository.indexing import read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from orbitpkg.model.project import RepositorySetting
    from orbitpkg.repository.cache import Cache
    from orbitpkg.repository.repository import Repository

__all__ = ["RepositorySet"]


class RepositorySet:
    """The repositories in effect, each opened on first use.

    Args:
        settings: The repositories in order of preference; at least one.
        opener: Opens a repository.
        cache: What this machine keeps of the repositories.
        is_explicit: Whether the repository was named for this command. A single explicit repository replaces every
            repository that a lockfile names.
    """

    def __init__(
        self,
        settings: Sequence[RepositorySetting],
        opener: Callable[[RepositorySetting], Repository],
        *,
        cache: Cache | None,
        is_explicit: bool = False,
    ) -> None:
        self.settings = tuple(settings)
        self._opener = opener
        self._cache = cache
        self._is_explicit = is_explicit
        self._catalogues: dict[str, Catalogue] = {}
        self._opening = threading.Lock()
        self._homes: dict[str, RepositorySetting] = {}

    @property
    def opened(self) -> list[RepositorySetting]:
        """The repositories that were queried."""
        return [setting for setting in self.settings if setting.name in self._catalogues]

    @property
    def differences(self) -> list[str]:
        """Warnings about indexes that differ from the records."""
        return [line for catalogue in self._catalogues.values() for line in catalogue.differences]

    def catalogue(self, setting: RepositorySetting) -> Catalogue:
        """Return the catalogue of a repository, opening the repository if necessary."""
        with self._opening:
            if setting.name not in self._catalogues:
                repository = self._opener(setting)
                self._catalogues[setting.name] = Catalogue(repository, self._cache, mirrored=bool(setting.mirrors))
            return self._catalogues[setting.name]

    def named(self, name: str) -> RepositorySetting:
        """Return the repository that a lockfile refers to by name.

        Raises:
            ProjectError: No repository is configured under this name.
        """
        if len(self.settings) == 1 and (self._is_explicit or name == DEFAULT_NAME):
            return self.settings[0]
        found = next((setting for setting in self.settings if setting.name == name), None)
        if found is None:
            names = [setting.name for setting in self.settings]
            close = nearest(name, names, n=1)
            raise ProjectError(
                f"The lockfile takes packages from a repository {name!r}, which is not configured here.",
                hint=f"Did you mean {close[0]}?" if close else f"To add it: orbitpkg repo add {name} URL",
                repository=name,
            )
        return found

    def look_up(self, packages: Iterable[str]) -> None:
        """Query several packages at once, by canonical name, to answer later queries from memory.

        Raises:
            RepositoryError: A repository did not respond.
        """
        read_all(self._look_up, packages)

    def _look_up(self, package: str) -> None:
        # A package that is missing from the offline cache is reported only if it turns out to be needed.
        with contextlib.suppress(OfflineError):
            self.catalogue(self.home(package)).stock(package)

    def home(self, package: str) -> RepositorySetting:
        """Return the repository that a package comes from, by canonical name; the first one if no repository has it.

        Raises:
            ResolutionError: Several repositories have it, and it is bound to none of them.
            RepositoryError: A repository did not respond.
        """
        if package not in self._homes:
            self._homes[package] = self._find(package)
        return self._homes[package]

    def kept_elsewhere(self, package: str) -> list[RepositorySetting]:
        """Return the other repositories whose cached index lists a package.

        No repository is queried: a repository must not learn the names of packages that are bound to another one.
        """
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
        found = [setting for setting, stock in zip(self.settings, stocks, strict=True) if stock.versions]
        # A repository that is not there must not count as one without the package: another's would be installed.
        for setting in self.settings:
            if setting not in found:
                self.catalogue(setting).check_exists()
        if len(found) > 1:
            raise _ambiguous(package, found)
        return found[0] if found else self.settings[0]


def _ambiguous(package: str, found: Sequence[RepositorySetting]) -> ResolutionError:
    names = [setting.name for setting in found]
    return ResolutionError(
        f"{package} was found in several repositories: {', '.join(names)}.",
        hint=f"To bind it to one: orbitpkg repo add {names[0]} {shell_word(found[0].url)} --packages {package}",
        name=package,
        repositories=names,
    )
