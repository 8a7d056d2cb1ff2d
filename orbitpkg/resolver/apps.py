"""Compatibility of releases with the apps that will use them.

A release's ``compatibility`` names apps, each with a PEP 440 specifier. The version of an app is the one that the
caller gives, or the one installed for the interpreter; ``python`` is the interpreter itself. An app of unknown version
neither excludes a release nor silently counts as compatible: it is reported as unchecked.
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
    """The compatibility of one release with the apps.

    Attributes:
        excluded: The apps that the release does not work with, each as ``"NAME VERSION (works with SPECIFIER)"``.
        unchecked: The apps that the release names and whose version is unknown.
    """

    excluded: tuple[str, ...]
    unchecked: tuple[str, ...]


def parse_app(text: str) -> tuple[str, str | None]:
    """Parse ``NAME==VERSION`` or ``NAME`` into a canonical name and a version, which is None for a bare name.

    Raises:
        UsageError: The text is neither.
    """
    from packaging.utils import InvalidName, canonicalize_name
    from packaging.version import InvalidVersion, Version

    name, separator, version = (part.strip() for part in text.partition("=="))
    try:
        key = str(canonicalize_name(name, validate=True))
        if separator:
            Version(version)
    except (InvalidName, InvalidVersion):
        hint = "Write NAME==VERSION, such as my_library==1.0.0, or the bare name of an installed app."
        raise UsageError(f"Invalid app {text!r}: expected NAME==VERSION or NAME.", hint=hint) from None
    return key, version if separator else None


class Apps:
    """The apps that will use the releases. The version of each is looked up once.

    Args:
        given: Versions that the caller gives, by canonical name. They override installed versions.
        installed: Returns the installed version of an app, or None if it is unknown.
    """

    def __init__(
        self,
        given: Mapping[str, str] | None = None,
        installed: Callable[[str], str | None] | None = None,
    ) -> None:
        self._given = dict(given or {})
        self._installed = installed or (lambda _: None)
        self._versions: dict[str, str | None] = {}
        self._verdicts: dict[tuple[tuple[str, str], ...], AppVerdict] = {}

    def version(self, app: str) -> str | None:
        """Return the version of an app; None if it is unknown."""
        if app not in self._versions:
            from packaging.utils import canonicalize_name

            self._versions[app] = self._given.get(canonicalize_name(app)) or self._installed(app)
        return self._versions[app]

    def verdict(self, compatibility: Mapping[str, str]) -> AppVerdict:
        """Compare a release's compatibility, PEP 440 specifiers by app, with the versions of the apps."""
        key = tuple(compatibility.items())
        if key not in self._verdicts:
            self._verdicts[key] = self._compare(compatibility)
        return self._verdicts[key]

    def _compare(self, compatibility: Mapping[str, str]) -> AppVerdict:
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
    """Return a predicate for the names of the given apps.

    Raises:
        UsageError: A text is invalid.
    """
    names = {name for name, _ in map(parse_app, texts)}
    return lambda name: _canonical(name) in names


def _canonical(name: str) -> str:
    from packaging.utils import canonicalize_name

    return canonicalize_name(name)


def _allows(specifier: str, version: str | None) -> bool | None:
    """Return whether a specifier matches a version; None if either is invalid or the version is unknown."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        # A pre-release counts: it is the version of the app that is in use.
        return None if version is None else SpecifierSet(specifier).contains(Version(version), prereleases=True)
    except (InvalidSpecifier, InvalidVersion):
        return None
