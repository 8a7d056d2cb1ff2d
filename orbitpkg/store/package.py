"""An installed package, as an app uses it.

Everything here works offline, without writing, locking or hashing: a release was verified before it became visible.
Apps import this module when they start, so it imports only what it needs.
"""

from __future__ import annotations

import json
import os

from orbitpkg.errors import FileNotInPackage, NotInstalled, StorageError, UsageError
from orbitpkg.files.names import disk_path
from orbitpkg.model.names import canonical_name, is_valid_name
from orbitpkg.model.requirements import Requirement, find_newest
from orbitpkg.model.versions import Version, parse_version
from orbitpkg.store.layout import FILES_NAME, ORIGIN_NAME, RECORD_NAME, STATE_NAME, Layout

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any, BinaryIO, Literal, TextIO, overload

    from orbitpkg.model.contents import Contents
    from orbitpkg.model.jsontext import JsonValue
else:

    def overload(function: object) -> object:
        """Stand in for ``typing.overload``, which type checkers alone need."""
        return function


__all__ = [
    "Package",
    "find_package",
    "installed_names",
    "installed_packages",
    "installed_versions",
    "not_installed",
    "open_package",
    "report_skipped",
]


# S_IFMT and S_IFREG, the same on every system. Importing ``stat`` for them takes longer than the call.
_FILE_TYPE = 0o170000
_REGULAR = 0o100000
# Also defined in orbitpkg.model.release, which takes too long to import at an app's start.
_RECORD_FORMAT = 1
_MAX_RECORD_BYTES = 64 * 1024
# Also defined in orbitpkg.files.anchors.
_READ_SAFELY = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


class Package:
    """An installed release.

    Attributes:
        name: Its name, as its author writes it.
        version: Its version, SemVer 2.
        description: Its description; may be empty.
        license: Its licence, or None.
        compatibility: PEP 440 specifiers by app.
        dependencies: Version ranges by package.
        metadata: The author's own metadata.
        path: The directory of its files.
    """

    __slots__ = (
        "_contents",
        "_digest",
        "_files",
        "_home",
        "_record",
        "compatibility",
        "dependencies",
        "description",
        "license",
        "metadata",
        "name",
        "version",
    )

    def __init__(self, home: str, record: Mapping[str, Any], raw: bytes) -> None:
        self._home = home
        self._files = f"{home}/{FILES_NAME}"
        self._contents: Contents | None = None
        self.name: str = record["name"]
        self.version: str = record["version"]
        self.description: str = record.get("description", "")
        self.license: str | None = record.get("license")
        self.compatibility: Mapping[str, str] = record.get("compatibility", {})
        self.dependencies: Mapping[str, str] = record.get("dependencies", {})
        self.metadata: Mapping[str, JsonValue] = record.get("metadata", {})
        self._record = raw
        self._digest: str | None = None

    def __repr__(self) -> str:
        return f"<orbitpkg.Package {self.name}=={self.version}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Package):
            return NotImplemented
        return (self._home, self.digest) == (other._home, other.digest)

    def __hash__(self) -> int:
        return hash((self._home, self.digest))

    @property
    def record(self) -> bytes:
        """The release's record, as published."""
        return self._record

    @property
    def digest(self) -> str:
        """The SHA-256 of its record. The record contains the digests of all files."""
        if self._digest is None:
            import hashlib

            self._digest = hashlib.sha256(self._record).hexdigest()
        return self._digest

    @property
    def path(self) -> Path:
        """The directory of its files."""
        from pathlib import Path

        return Path(self._files)

    @property
    def folder(self) -> str:
        """The folder of its files, as text."""
        return self._files

    @property
    def origin(self) -> str:
        """The address of the repository or archive that it was installed from.

        Raises:
            StorageError: The address cannot be read.
        """
        try:
            with open(f"{self._home}/{ORIGIN_NAME}", encoding="utf-8") as file:  # noqa: PTH123
                return file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"{self._home}/{ORIGIN_NAME} cannot be read: {error}.") from error

    @property
    def is_complete(self) -> bool:
        """Whether all of its files are installed, rather than some (``install --only``)."""
        return not os.path.exists(f"{self._home}/{STATE_NAME}")  # noqa: PTH110

    def file_path(self, *parts: str) -> Path:
        """Return the path of a file of the package.

        Args:
            parts: The file's path in the package, as parts (``"data", "model.pkl"``) or as one with slashes.

        Raises:
            FileNotInPackage: The package has no such file, or the file is not installed.
        """
        from pathlib import Path

        return Path(self._find_file(parts))

    def dir_path(self, *parts: str) -> Path:
        """Return the path of a directory of the package; without parts, the directory of all its files.

        Raises:
            FileNotInPackage: The package has no such directory.
        """
        from pathlib import Path

        return Path(self._find_folder(parts))

    def locate(self, *parts: str) -> str:
        """Return the path of a file or directory of the package as text; without parts, the directory of all its files.

        Raises:
            FileNotInPackage: The package has neither a file nor a directory at this path.
        """
        if not parts:
            return self._find_folder(parts)
        try:
            return self._find_file(parts)
        except FileNotInPackage as error:
            try:
                return self._find_folder(parts)
            except FileNotInPackage:
                raise error from None

    def has_file(self, *parts: str) -> bool:
        """Return whether the package has this file and it is installed."""
        try:
            self.file_path(*parts)
        except FileNotInPackage:
            return False
        return True

    @overload
    def open(self, *parts: str, mode: Literal["r", "rt"] = "r", encoding: str | None = None) -> TextIO: ...  # noqa: D102

    @overload
    def open(self, *parts: str, mode: Literal["rb"], encoding: None = None) -> BinaryIO: ...  # noqa: D102, F811

    def open(self, *parts: str, mode: str = "r", encoding: str | None = None) -> TextIO | BinaryIO:  # noqa: F811
        """Open a file of the package for reading.

        Args:
            parts: As for :meth:`file_path`.
            mode: ``"r"``, ``"rt"`` or ``"rb"``.
            encoding: Of a text; UTF-8 when None.

        Raises:
            FileNotInPackage: The package has no such file.
            ValueError: The mode would write.
        """
        if mode not in {"r", "rt", "rb"}:
            msg = f"mode {mode!r}: files of a package can only be read ('r', 'rt', 'rb')"
            raise ValueError(msg)
        path = self.file_path(*parts)
        return path.open("rb") if mode == "rb" else path.open(encoding=encoding or "utf-8")

    def read_bytes(self, *parts: str) -> bytes:
        """Return the content of a file. Raises as :meth:`file_path` does."""
        return self.file_path(*parts).read_bytes()

    def read_text(self, *parts: str, encoding: str = "utf-8") -> str:
        """Return the content of a text file. Raises as :meth:`file_path` does."""
        return self.file_path(*parts).read_text(encoding=encoding)

    def load_json(self, *parts: str) -> JsonValue:
        """Return the value of a JSON file. Raises as :meth:`file_path` does, and ``ValueError`` if it is not JSON."""
        value: JsonValue = json.loads(self.read_bytes(*parts))
        return value

    def files(self) -> tuple[str, ...]:
        """List the installed files, as sorted paths relative to :attr:`path`."""
        paths = sorted(file.path for file in self.contents.files)
        if not self.is_complete:
            paths = [path for path in paths if os.path.isfile(f"{self._files}/{disk_path(path)}")]  # noqa: PTH113
        return tuple(paths)

    @property
    def contents(self) -> Contents:
        """The table of all files of the release, including those that are not installed."""
        if self._contents is None:
            from orbitpkg.store.records import load_contents

            self._contents = load_contents(self._home)
        return self._contents

    def _find_file(self, parts: tuple[str, ...]) -> str:
        path = self._join(parts)
        try:
            mode = os.stat(path).st_mode  # noqa: PTH116
        except OSError as error:
            raise self._missing(parts) from error
        if mode & _FILE_TYPE != _REGULAR:
            raise self._missing(parts)
        return path

    def _find_folder(self, parts: tuple[str, ...]) -> str:
        path = self._join(parts) if parts else self._files
        if not os.path.isdir(path):  # noqa: PTH112
            raise self._missing(parts)
        return path

    def _join(self, parts: tuple[str, ...]) -> str:
        path = "/".join(parts)
        # A path must not lead out of the package, nor give one file two names.
        if not path or "\\" in path or "\0" in path or not {"", ".", ".."}.isdisjoint(path.split("/")):
            raise FileNotInPackage(
                f"{path!r} is not a valid path of a file in a package.",
                hint="Use a path relative to the package, as in file_path('data', 'model.pkl').",
            )
        return f"{self._files}/{disk_path(path)}"

    def _missing(self, parts: tuple[str, ...]) -> FileNotInPackage:
        from orbitpkg.model.names import nearest

        path = "/".join(parts)
        known = [file.path for file in self.contents.files]
        if any(file.startswith(f"{path}/") for file in known):
            hint = f"It is a directory: use dir_path({path!r})."
        elif path in known:
            release = f"{self.name}=={self.version}"
            hint = f"The release has this file, but it is not installed. To install it: orbitpkg install {release}"
            if self.is_complete:
                hint = f"It was deleted. To reinstall: orbitpkg remove {release}, then orbitpkg install {release}"
        else:
            close = nearest(path, known)
            hint = (
                f"Did you mean {' or '.join(map(repr, close))}?"
                if close
                else f"To list its files: orbitpkg files {self.name}"
            )
        return FileNotInPackage(f"{self.name} {self.version} has no file {path!r}.", hint=hint, path=path)


def installed_names(layout: Layout) -> list[str]:
    """List the canonical names of installed packages, sorted. A folder that cannot be read is reported and skipped."""
    return [name for name in _folders(layout.packages) if _is_key(name) and _versions(layout, name)]


def _is_key(name: str) -> bool:
    # Foreign folders among the packages, such as lost+found, are left alone.
    return is_valid_name(name) and canonical_name(name) == name


def installed_versions(layout: Layout, key: str) -> list[Version]:
    """List the versions of a package that have a folder in the store, oldest first. Their records may be damaged."""
    return _versions(layout, key)


def _versions(layout: Layout, key: str) -> list[Version]:
    try:
        return sorted(filter(None, map(_version, _folders(layout.package(key)))))
    except StorageError as error:
        report_skipped(error)
        return []


def _version(folder: str) -> Version | None:
    # Foreign files among the packages are not releases.
    try:
        return parse_version(folder)
    except UsageError:
        return None


def _folders(path: str) -> list[str]:
    try:
        return sorted(name for name in os.listdir(path) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        hint = "Check the owner and the mode of the directory."
        raise StorageError(f"{path} cannot be read: {error.strerror}.", hint=hint) from error


_skipped: set[str] = set()


def report_skipped(error: StorageError) -> None:
    """Log that a damaged or unreadable release is skipped, once for each process."""
    if error.message not in _skipped:
        _skipped.add(error.message)
        import logging

        logging.getLogger("orbitpkg.store").warning("Skipped: %s", error)


def find_package(layout: Layout, requirement: Requirement, *, prereleases: bool = False) -> Package:
    """Return the newest installed release that matches a requirement. One that is damaged is reported and skipped.

    Raises:
        NotInstalled: No installed version matches. The message lists the installed ones.
        StorageError: Every version that matches is damaged.
    """
    damaged: list[StorageError] = []
    found: list[Package] = []

    def is_usable(version: Version) -> bool:
        try:
            package = open_package(layout, requirement.key, version)
        except StorageError as error:
            damaged.append(error)
            return False
        if package is not None:
            found.append(package)
        return package is not None

    versions = installed_versions(layout, requirement.key)
    version = find_newest(versions, [requirement.range], prereleases=prereleases, accept=is_usable)
    if version is None:
        if damaged:
            raise damaged[0]
        raise not_installed(layout, requirement, [each for each in versions if _has_record(layout, requirement, each)])
    for error in damaged:
        report_skipped(error)
    return found[-1]


def _has_record(layout: Layout, requirement: Requirement, version: Version) -> bool:
    return os.path.lexists(f"{layout.release(requirement.key, version)}/{RECORD_NAME}")


def open_package(layout: Layout, key: str, version: Version) -> Package | None:
    """Return an installed release, or None if it is not installed."""
    home = layout.release(key, version)
    try:
        # A link is not followed, and a FIFO not waited for: in a shared store, another user may have put it there.
        with open(os.open(f"{home}/{RECORD_NAME}", _READ_SAFELY), "rb") as file:  # noqa: PTH123
            raw = file.read(_MAX_RECORD_BYTES + 1)
        record = json.loads(raw) if len(raw) <= _MAX_RECORD_BYTES else None
        if not isinstance(record, dict) or record["version"] != str(version) or not _is_sound(record):
            raise ValueError  # noqa: TRY301
        if record["format"] > _RECORD_FORMAT:
            raise _newer(home, record["format"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"{home} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, RecursionError) as error:
        raise StorageError(
            f"{home} is damaged: its record is not that of {key} {version}.",
            hint=f"To reinstall it: orbitpkg remove {key}=={version}, then orbitpkg install {key}=={version}",
        ) from error
    return Package(home, record, raw)


def _newer(home: str, number: object) -> StorageError:
    return StorageError(
        f"{home} has format {number}; this version of orbitpkg supports format {_RECORD_FORMAT}.",
        hint="To upgrade orbitpkg: pip install -U orbitpkg",
    )


def _is_sound(record: Mapping[str, Any]) -> bool:
    """Return whether the fields of a record that apps read have the right types."""
    if type(record["format"]) is not int or record["format"] < _RECORD_FORMAT:
        return False
    if not isinstance(record["name"], str) or not isinstance(record.get("description", ""), str):
        return False
    if not isinstance(record.get("license"), str | None):
        return False
    return all(isinstance(record.get(key, {}), dict) for key in ("compatibility", "dependencies", "metadata"))


def not_installed(layout: Layout, requirement: Requirement, versions: list[Version]) -> NotInstalled:
    """Return the error for a requirement that no installed version matches.

    Args:
        layout: The layout of the store.
        requirement: The requirement.
        versions: The installed versions of its package.
    """
    from orbitpkg.escaping import shell_word
    from orbitpkg.model.names import nearest
    from orbitpkg.store.layout import newer_store

    command = f"orbitpkg install {shell_word(str(requirement))}"
    newer = newer_store(layout)
    if versions:
        there = ", ".join(map(str, versions))
        message = f"No installed version of {requirement.name} matches {requirement}; installed: {there}."
    else:
        message = f"{requirement.name} is not installed in {layout.home}."
        close = nearest(requirement.key, installed_names(layout))
        command = f"Did you mean {' or '.join(close)}? If not: {command}" if close else command
    if newer is not None:
        upgrade = "To upgrade orbitpkg: pip install -U orbitpkg"
        command = f"{newer} is the store of a newer version of orbitpkg. {upgrade}. Or: {command}"
    return NotInstalled(message, hint=command, name=requirement.name, installed=[str(version) for version in versions])


def installed_packages(layout: Layout) -> list[Package]:
    """List the installed packages, by name, oldest version first. Those that are damaged are reported and skipped."""
    found = []
    for name in installed_names(layout):
        for version in installed_versions(layout, name):
            try:
                package = open_package(layout, name, version)
            except StorageError as error:
                report_skipped(error)
            else:
                found += [] if package is None else [package]
    return found
