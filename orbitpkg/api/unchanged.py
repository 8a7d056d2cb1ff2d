"""Recognizing that an install changes nothing, from the store alone and without the resolver.

Scripts install an exact version at every start. Where it is installed, this module says so in a fifth of the time that
resolving takes. It answers only when the answer is certain: for exact versions without dependencies or named apps, and
where no settings file, policy or mirror has a say. In every other case it returns None, and the caller installs.
"""

from __future__ import annotations

import json

from orbitpkg.config.discovery import has_settings
from orbitpkg.config.environment import read_variable
from orbitpkg.config.home import home_folder
from orbitpkg.installer.policy import Candidate, Policy
from orbitpkg.model.names import is_valid_name
from orbitpkg.model.release_rules import follows_rules
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.store.layout import Layout
from orbitpkg.store.package import open_package
from orbitpkg.store.presence import is_whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from orbitpkg.store.package import Package

__all__ = ["Unchanged", "find_unchanged"]


class Unchanged:
    """An installed release that an install would leave as it is.

    Attributes:
        name: The package's name, as its author writes it.
        version: The installed version.
        files: The number of its files.
        bytes: The sum of their sizes.
    """

    __slots__ = ("bytes", "files", "name", "version")

    def __init__(self, name: str, version: str, files: int, bytes: int) -> None:  # noqa: A002
        self.name = name
        self.version = version
        self.files = files
        self.bytes = bytes


def find_unchanged(requirements: Sequence[str], *, repository: str | None = None) -> list[Unchanged] | None:
    """Return the installed releases when installing them would change nothing; None when that is not certain.

    Args:
        requirements: The packages to install.
        repository: The address of the repository to install from; ``ORBITPKG_REPOSITORY`` when None.

    Raises:
        UsageError: A requirement is not valid.
        StorageError: The store cannot be read.
        OrbitError: The policy refuses a release.
    """
    origin = repository or read_variable("ORBITPKG_REPOSITORY")
    # Offline, an installed release may come from any repository, unless the given one needs no network.
    if origin is not None and (not _is_plain_address(origin) or read_variable("ORBITPKG_OFFLINE")):
        return None
    if read_variable("ORBITPKG_FORBID") or has_settings():
        return None
    layout, found = Layout(home_folder()), {}
    for word in requirements:
        wanted = parse_requirement(word)
        version = wanted.range.exact
        package = open_package(layout, wanted.key, version) if version is not None else None
        if package is None or wanted.key in found or not package.is_complete:
            return None
        if (origin is not None and package.origin != origin) or not is_whole(package):
            return None
        Policy().check(Candidate.of_package(package))
        facts = _read_facts(package, wanted.key)
        if facts is None:
            return None
        found[wanted.key] = facts
    return list(found.values()) or None


def _is_plain_address(text: str) -> bool:
    """Return whether a text is an address as it stands: neither a repository's name nor a path to be made absolute."""
    return "://" in text and not is_valid_name(text) and not text.startswith((".", "/", "~", "-"))


def _read_facts(package: Package, key: str) -> Unchanged | None:
    """Return what a record says of its release; None when it needs other releases or apps, or a full check."""
    from orbitpkg.model.names import canonical_name

    record = json.loads(package.record)
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    # A record that is not canonical, or not known to be valid, is checked by the reader that names what is wrong.
    if text.encode() != package.record or not follows_rules(record) or canonical_name(record["name"]) != key:
        return None
    if record.get("dependencies") or record.get("compatibility"):
        return None
    return Unchanged(record["name"], record["version"], record["files"], record["bytes"])
