"""Holding releases against the apps that will use them.

A release names in ``compatibility`` the apps it knows, each with a PEP 440 specifier. An app's version is what the
caller says, or what is installed beside the running interpreter; ``python`` is the interpreter itself. An app whose
version nobody knows is reported as unchecked: never taken for a fit in silence, and never for a misfit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["AppVerdict", "Apps", "installed_app_version", "parse_apps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppVerdict:
    """What came of holding one release against the apps.

    Attributes:
        excluded: Apps it does not work with, each as ``"NAME VERSION (works with SPECIFIER)"``.
        unchecked: Apps it names whose version nobody knows.
    """

    excluded: tuple[str, ...]
    unchecked: tuple[str, ...]


def parse_apps(texts: Iterable[str]) -> dict[str, str]:
    """Read ``NAME==VERSION`` of apps; the names in canonical form.

    Raises:
        UsageError: One cannot be read.
    """
    from packaging.utils import canonicalize_name
    from packaging.version import InvalidVersion, Version

    apps: dict[str, str] = {}
    for text in texts:
        name, separator, version = (part.strip() for part in text.partition("=="))
        try:
            Version(version)
        except InvalidVersion:
            name = ""
        if not name or not separator:
            hint = "Write it like --app my_library==1.0.0"
            raise UsageError(f"The app {text!r} is not a name, == and a version.", hint=hint)
        apps[canonicalize_name(name)] = version
    return apps


def installed_app_version(name: str) -> str | None:
    """Give the version of an app beside the running interpreter; None when it is not installed there."""
    import platform
    from importlib import metadata

    if name == "python":
        return platform.python_version()
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


class Apps:
    """The apps that will use what is chosen. Each is looked up once.

    Args:
        said: Versions by the canonical names of apps, as the caller says them; they win over what is installed.
        installed: Gives the version of an app that is not among those, or None when nobody knows it.
    """

    def __init__(
        self,
        said: Mapping[str, str] | None = None,
        installed: Callable[[str], str | None] = installed_app_version,
    ) -> None:
        self._said = said or {}
        self._installed = installed
        self._versions: dict[str, str | None] = {}
        self._verdicts: dict[tuple[tuple[str, str], ...], AppVerdict] = {}

    def version(self, app: str) -> str | None:
        """Give the version of an app; None when nobody knows it."""
        if app not in self._versions:
            from packaging.utils import canonicalize_name

            self._versions[app] = self._said.get(canonicalize_name(app)) or self._installed(app)
        return self._versions[app]

    def verdict(self, compatibility: Mapping[str, str]) -> AppVerdict:
        """Hold a release's compatibility, PEP 440 specifiers by app, against the apps."""
        key = tuple(compatibility.items())
        if key not in self._verdicts:
            self._verdicts[key] = self._held(compatibility)
        return self._verdicts[key]

    def _held(self, compatibility: Mapping[str, str]) -> AppVerdict:
        excluded, unchecked = [], []
        for app, specifier in compatibility.items():
            version = self.version(app)
            if version is None:
                unchecked.append(app)
            elif not _allows(specifier, version):
                excluded.append(f"{app} {version} (works with {app}{specifier})")
        return AppVerdict(excluded=tuple(excluded), unchecked=tuple(unchecked))


def _allows(specifier: str, version: str) -> bool:
    from packaging.specifiers import SpecifierSet

    # A pre-release of an app is a version of it like any other here: somebody runs it.
    return SpecifierSet(specifier).contains(version, prereleases=True)
