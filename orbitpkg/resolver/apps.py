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

__all__ = ["AppVerdict", "Apps", "app_names", "parse_app"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppVerdict:
    """What came of holding one release against the apps.

    Attributes:
        excluded: Apps it does not work with, each as ``"NAME VERSION (works with SPECIFIER)"``.
        unchecked: Apps it names whose version nobody knows.
    """

    excluded: tuple[str, ...]
    unchecked: tuple[str, ...]


def parse_app(text: str) -> tuple[str, str | None]:
    """Split ``NAME==VERSION`` or ``NAME`` into a canonical name and a version, which may be None.

    Raises:
        UsageError: It is neither.
    """
    from packaging.utils import InvalidName, canonicalize_name
    from packaging.version import InvalidVersion, Version

    name, separator, version = (part.strip() for part in text.partition("=="))
    try:
        key = str(canonicalize_name(name, validate=True))
        if separator:
            Version(version)
    except (InvalidName, InvalidVersion) as error:
        hint = "Write it like my_library==1.0.0, or the name alone of what is installed."
        raise UsageError(f"The app {text!r} is not a name, == and a version.", hint=hint) from error
    return key, version if separator else None


class Apps:
    """The apps that will use what is chosen. Each is looked up once.

    Args:
        said: Versions by the canonical names of apps, as the caller says them; they win over what is installed.
        installed: Gives the version of an app that is not among those, or None when nobody knows it.
    """

    def __init__(
        self,
        said: Mapping[str, str] | None = None,
        installed: Callable[[str], str | None] | None = None,
    ) -> None:
        self._said = dict(said or {})
        self._installed = installed or (lambda _: None)
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
            match _allows(specifier, version):
                case None:
                    unchecked.append(app)
                case False:
                    excluded.append(f"{app} {version} (works with {app}{specifier})")
        return AppVerdict(excluded=tuple(excluded), unchecked=tuple(unchecked))


def app_names(texts: Iterable[str]) -> Callable[[str], bool]:
    """Give what tells whether a name is that of one of the apps a caller says.

    Raises:
        UsageError: A text cannot be read.
    """
    names = {name for name, _ in map(parse_app, texts)}
    return lambda name: _canonical(name) in names


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _allows(specifier: str, version: str | None) -> bool | None:
    """Whether a specifier allows a version; None where either says nothing that PEP 440 knows."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        # A pre-release of an app is a version of it like any other here: somebody runs it.
        return None if version is None else SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return None
