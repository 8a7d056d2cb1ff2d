"""Sputnik's classes for packages: installed packages, directories and archives."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar

from orbitpkg.compat.sputnik.api.errors import (
    InvalidPathPartsException,
    NameMismatchException,
    NotIncludedException,
    PackageNotFoundException,
    ValidationException,
)
from orbitpkg.compat.sputnik.api.translation import translate_errors
from orbitpkg.compat.sputnik.formats.conversion import convert_version
from orbitpkg.errors import FileNotInPackage, OrbitError, UsageError
from orbitpkg.model.manifest import MANIFEST_NAME
from orbitpkg.model.versions import parse_version
from orbitpkg.store.layout import Layout
from orbitpkg.store.package import Package as InstalledPackage
from orbitpkg.store.package import open_package

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orbitpkg.model.contents import Contents
    from orbitpkg.model.manifest import Manifest

__all__ = ["Archive", "DirPackage", "Package", "PackageStub", "metadata_of"]

# store/v1/packages/<name>/<version>/files
_DEPTH_OF_FILES = 5


class PackageStub:
    """The metadata of a package: ``name``, ``version``, ``description``, ``license``, ``compatibility``.

    Packages of the same name are ordered by version. Comparing different names raises :class:`NameMismatchException`.
    """

    keys: ClassVar[list[str]] = ["name", "version", "description", "license", "compatibility"]

    def __init__(self, defaults: Mapping[str, Any] | None = None) -> None:
        fields = defaults or {}
        self.name: Any = fields.get("name")
        self.version: Any = fields.get("version")
        self.description: str | None = fields.get("description")
        self.license: str | None = fields.get("license")
        self.compatibility: dict[str, str | None] | None = fields.get("compatibility")

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.version}>"

    @property
    def ident(self) -> str:
        """Name and version, joined by a hyphen.

        Raises:
            ValidationException: The name or the version is missing.
        """
        self.is_valid(raise_exception=True)
        return f"{self.name}-{self.version}"

    def is_valid(self, raise_exception: bool = False) -> bool:
        """Return whether it has a name and a version, or raise ValidationException if ``raise_exception`` is set."""
        valid = bool(self.name and self.version)
        if raise_exception and not valid:
            raise ValidationException(f"{self!r} has no name or no version.")
        return valid

    def to_dict(self, keys: Iterable[str] | None = None) -> dict[str, Any]:
        """Return the metadata, or only the given keys of it."""
        wanted = set(keys or self.keys)
        return {key: getattr(self, key) for key in self.keys if key in wanted}

    def to_json(self, keys: Iterable[str] | None = None) -> bytes:
        """Return :meth:`to_dict` as JSON."""
        return json.dumps(self.to_dict(keys), sort_keys=True, indent=2).encode("utf-8")

    __hash__ = None  # type: ignore[assignment]  # Sputnik's are not hashable either

    def __eq__(self, other: object) -> bool:
        return self._compare(other) == 0 if isinstance(other, PackageStub) else NotImplemented

    def __lt__(self, other: PackageStub) -> bool:
        return self._compare(other) < 0 if isinstance(other, PackageStub) else NotImplemented

    def __le__(self, other: PackageStub) -> bool:
        return self._compare(other) <= 0 if isinstance(other, PackageStub) else NotImplemented

    def __gt__(self, other: PackageStub) -> bool:
        return self._compare(other) > 0 if isinstance(other, PackageStub) else NotImplemented

    def __ge__(self, other: PackageStub) -> bool:
        return self._compare(other) >= 0 if isinstance(other, PackageStub) else NotImplemented

    def _compare(self, other: PackageStub) -> int:
        if self.name != other.name:
            raise NameMismatchException(f"Cannot compare versions of different packages: {self.name}, {other.name}.")
        own, theirs = convert_version(self.version), convert_version(other.version)
        return (own > theirs) - (own < theirs)


class _Files(PackageStub):
    """A package with files."""

    def has_file(self, *path_parts: str) -> bool:
        """Return whether it contains a file."""
        raise NotImplementedError

    def file_path(self, *path_parts: str) -> str:
        """Return the path of a file."""
        raise NotImplementedError

    @contextlib.contextmanager
    def open(
        self,
        path_parts: Iterable[str],
        mode: str = "r",
        encoding: str | None = "utf8",
        default: object = OSError,
    ) -> Iterator[Any]:
        """Open a file for reading.

        Args:
            path_parts: The components of its path.
            mode: ``"r"``, ``"rt"`` or ``"rb"``.
            encoding: The encoding of a text file; ignored with ``"rb"``.
            default: The value to yield if the file does not exist; an exception or an exception class is raised.
        """
        parts = _listed(path_parts)
        if not self.has_file(*parts):
            yield _default(default, "/".join(parts))
            return
        with _opened(self.file_path(*parts), mode, encoding) as file:
            yield file

    def load_json(
        self,
        path_parts: Iterable[str],
        mode: str = "r",
        encoding: str | None = "utf8",
        default: object = OSError,
    ) -> Any:
        """Read a JSON file; the arguments are those of :meth:`open`."""
        parts = _listed(path_parts)
        if not self.has_file(*parts):
            return _default(default, "/".join(parts))
        with _opened(self.file_path(*parts), mode, encoding) as file:
            return json.load(file)


class Package(_Files):
    """An installed package.

    Args:
        path: The ``path`` of a package that ``install`` or ``package`` returned, or orbitpkg's own package object.

    Attributes:
        path: The directory of its files.
        installed: orbitpkg's own object of the same package.

    Raises:
        PackageNotFoundException: The path is not that of an installed package.
    """

    def __init__(self, path: str | os.PathLike[str] | InstalledPackage) -> None:
        self.installed = path if isinstance(path, InstalledPackage) else _installed_at(os.fspath(path))
        super().__init__(metadata_of(self.installed))
        self.path = str(self.installed.path)

    @property
    def manifest(self) -> list[dict[str, Any]]:
        """Its files: the ``path`` (as components), ``size`` and ``checksum`` (algorithm and digest) of each."""
        return _rows(self.installed.contents)

    def has_file(self, *path_parts: str) -> bool:
        """Return whether it contains a file; a directory is not a file."""
        try:
            return self.installed.has_file(_joined(path_parts))
        except InvalidPathPartsException:
            return False

    def has_path(self, *path_parts: str) -> bool:
        """Return whether it contains a file or a directory."""
        try:
            self.dir_path(*path_parts)
        except NotIncludedException:
            return self.has_file(*path_parts)
        except InvalidPathPartsException:
            return False
        return True

    def file_path(self, *path_parts: str) -> str:
        """Return the path of a file.

        Raises:
            InvalidPathPartsException: A component is invalid.
            NotIncludedException: The package contains no such file.
        """
        with _not_included():
            return str(self.installed.file_path(_joined(path_parts)))

    def dir_path(self, *path_parts: str) -> str:
        """Return the path of a directory, by default that of all files. Raises the same errors as :meth:`file_path`."""
        with _not_included():
            return str(self.installed.dir_path(*([_joined(path_parts)] if path_parts else [])))


class DirPackage(_Files):
    """A directory used like a package. It need not have a ``package.json``.

    Args:
        path: The directory.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(_read_metadata(Path(path)))
        self.path = os.fspath(path)

    def has_file(self, *path_parts: str) -> bool:
        """Return whether it contains a file."""
        try:
            return Path(self.file_path(*path_parts)).is_file()
        except InvalidPathPartsException:
            return False

    def file_path(self, *path_parts: str) -> str:
        """Return the path of a file, whether or not it exists.

        Raises:
            InvalidPathPartsException: A component is invalid.
        """
        return os.path.join(self.path, _joined(path_parts))  # noqa: PTH118 - as the caller wrote the directory

    def dir_path(self, *path_parts: str) -> str:
        """Return the path of a directory, whether or not it exists. Raises the same errors as :meth:`file_path`."""
        return self.file_path(*path_parts) if path_parts else self.path


class Archive(PackageStub):
    """An archive built by Sputnik or by orbitpkg.

    Args:
        path: The file.

    Attributes:
        path: The path of the file, as given.
        manifest: Its files: the ``path`` (as components), ``size`` and ``checksum`` (algorithm and digest) of each.

    Raises:
        InvalidChecksumException: The file is damaged or not an archive.
        StorageError: The file cannot be read.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        with translate_errors():
            manifest, self.manifest = _read_archive(Path(path))
        super().__init__(metadata_of(manifest))

    def has_file(self, *path_parts: str) -> bool:
        """Return whether it contains a file."""
        return any(row["path"] == list(path_parts) for row in self.manifest)


def metadata_of(package: InstalledPackage | Manifest) -> dict[str, Any]:
    """Return a package's metadata in Sputnik's form, in which None stands for "" and for "every version" of an app."""
    compatibility = {app: specifier or None for app, specifier in package.compatibility.items()}
    return {
        "name": package.name,
        "version": str(package.version),
        "description": package.description or None,
        "license": package.license,
        "compatibility": compatibility or None,
    }


def _read_archive(path: Path) -> tuple[Manifest, list[dict[str, Any]]]:
    from orbitpkg.archive.reader import LocalArchive
    from orbitpkg.compat.sputnik.formats.archives import SputnikArchive, is_sputnik_archive
    from orbitpkg.installer.install import archive_manifest

    if is_sputnik_archive(path):
        meta = SputnikArchive.read(path).meta
        rows = [(member.path, member.size, [member.algorithm, member.digest]) for member in meta.members]
        return meta.manifest(), [_row(*row) for row in rows]
    with LocalArchive.open(path) as archive:
        return archive_manifest(archive), _rows(archive.contents)


def _rows(contents: Contents) -> list[dict[str, Any]]:
    files = (file for file in contents.files if file.path != MANIFEST_NAME)
    return [_row(file.path, file.size, ["blake3", file.blake3]) for file in files]


def _row(path: str, size: int, checksum: list[str]) -> dict[str, Any]:
    return {"path": path.split("/"), "size": size, "checksum": checksum}


def _installed_at(path: str) -> InstalledPackage:
    folder = Path(path).absolute()
    installed = None
    with contextlib.suppress(IndexError, UsageError):
        layout = Layout(folder.parents[_DEPTH_OF_FILES])
        installed = open_package(layout, folder.parents[1].name, parse_version(folder.parent.name))
    if installed is None or installed.path != folder:
        raise PackageNotFoundException(
            f"{path} is not the directory of an installed package.",
            hint="Give the path of a package that install() or package() returned, or use DirPackage.",
        )
    return installed


def _read_metadata(folder: Path) -> dict[str, Any]:
    try:
        metadata = json.loads((folder / MANIFEST_NAME).read_bytes())
    except (OSError, ValueError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _listed(path_parts: Iterable[str]) -> tuple[str, ...]:
    return (path_parts,) if isinstance(path_parts, str) else tuple(path_parts)


def _joined(path_parts: tuple[str, ...]) -> str:
    for part in path_parts:
        if not isinstance(part, str) or part in {"", ".", ".."} or not {"/", "\\", "\0"}.isdisjoint(part):
            raise InvalidPathPartsException(
                f"{part!r} is not a valid path component.", hint="Give directories and the file as separate arguments."
            )
    return "/".join(path_parts)


@contextlib.contextmanager
def _not_included() -> Iterator[None]:
    try:
        yield
    except FileNotInPackage as error:
        raise NotIncludedException(error.message, hint=error.hint, **error.data) from None


def _default(default: object, path: str) -> object:
    if isinstance(default, type) and issubclass(default, BaseException):
        raise (default(f"The package contains no file {path!r}.") if issubclass(default, OrbitError) else default(path))
    if isinstance(default, BaseException):
        raise default
    return default


def _opened(path: str, mode: str, encoding: str | None) -> IO[Any]:
    if mode not in {"r", "rt", "rb"}:
        raise ValueError(f"invalid mode {mode!r}: files of a package are read-only ('r', 'rt' or 'rb')")
    return open(path, mode, encoding=None if "b" in mode else encoding)  # noqa: PTH123 - the caller closes it
