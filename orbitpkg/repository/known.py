"""The digests of the releases that this machine knows: those it installed, and those whose records it has read.

A published release never changes. So what was known first binds, whatever a repository or a mirror reports later: a
record with another digest is refused. What only mirrors reported binds nothing.

::

    cache/known/<16 hex of the repository>/<name>/<version>    the digest of the record
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError, OrbitError, StorageError
from orbitpkg.files.atomic import write_below
from orbitpkg.files.folders import make_private_folder
from orbitpkg.files.reading import read_bounded
from orbitpkg.store.layout import Layout
from orbitpkg.store.package import open_package

if TYPE_CHECKING:
    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version

__all__ = ["KnownReleases"]

_DIGEST_LENGTH = 64


class KnownReleases:
    """The digests of the releases of one repository that this machine knows.

    Args:
        home: The home folder.
        url: The address of the repository.
    """

    def __init__(self, home: str, url: str) -> None:
        self._layout = Layout(home)
        self._url = url
        self._folder = f"{self._layout.home}/cache/known/{hashlib.sha256(url.encode()).hexdigest()[:16]}"

    def digest(self, name: str, version: Version) -> str | None:
        """Return the digest of a release; None if it is unknown."""
        with contextlib.suppress(OrbitError, OSError):
            package = open_package(self._layout, name, version)
            if package is not None and package.origin == self._url:
                return package.digest
        return self._remembered(name, version)

    def _remembered(self, name: str, version: Version) -> str | None:
        try:
            text = read_bounded(self._path(name, version), max_bytes=_DIGEST_LENGTH).decode("ascii")
        except (OSError, UnicodeDecodeError):
            return None
        return text if len(text) == _DIGEST_LENGTH else None

    def check(self, release: Release) -> None:
        """Refuse a release that differs from the known one of this name and version.

        Raises:
            IntegrityError: It differs; the message names both digests.
        """
        known = self.digest(release.key, release.version)
        if known is not None and known != release.digest:
            raise self.conflict(release.label, release.key, release.version, found=release.digest)

    def conflict(self, title: str, name: str, version: Version, *, found: str) -> IntegrityError:
        """Make the error for a release that is reported with another digest than the known one."""
        known = self.digest(name, version)
        accept = f"orbitpkg remove {name}=={version}"
        if self._remembered(name, version) == known:
            accept = f"delete {self._path(name, version)}"
        return IntegrityError(
            f"{title} in {self._url} or a mirror of it is not the release that this machine knows: its digest is "
            f"{found}, and {known} is expected.",
            hint=f"Published releases never change: find out who replaced it. To accept it nevertheless: {accept}",
            name=name,
            version=str(version),
            expected=known,
            found=found,
        )

    def remember(self, release: Release) -> None:
        """Remember the digest of a release. Missing permission or space is ignored."""
        if self._remembered(release.key, release.version) == release.digest:
            return
        path = self._path(release.key, release.version)
        with contextlib.suppress(OSError, StorageError):
            make_private_folder(self._layout.home)
            write_below(self._layout.home, path, release.digest.encode(), durable=False)

    def _path(self, name: str, version: Version) -> str:
        return f"{self._folder}/{name}/{version}"
