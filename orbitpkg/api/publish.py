"""Creating, building and publishing packages."""

from __future__ import annotations

import os
from pathlib import Path

from orbitpkg.api.boundary import public
from orbitpkg.config.home import home_folder
from orbitpkg.config.repositories import open_repository
from orbitpkg.escaping import shell_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from orbitpkg.archive.reader import LocalArchive
    from orbitpkg.model.manifest import Manifest
    from orbitpkg.publisher.publish import Published
    from orbitpkg.reporting import Reporter
    from orbitpkg.store.layout import Layout

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["build", "check_manifest", "init", "is_archive", "opened_archive", "publish"]


@public
def init(path: PathLike, *, name: str | None = None, version: str = "1.0.0") -> Path:
    """Write an initial ``package.json`` into a directory. The directory is created if necessary.

    Args:
        path: The directory.
        name: The package's name; the directory's when None.
        version: The first version.

    Returns:
        The path of the file.

    Raises:
        UsageError: There is a ``package.json`` already, or the name is invalid.
        StorageError: The file cannot be written.
    """
    from orbitpkg.errors import UsageError
    from orbitpkg.files.atomic import write_new_file
    from orbitpkg.files.errors import storage_errors
    from orbitpkg.files.folders import make_folders
    from orbitpkg.model.manifest import MANIFEST_NAME, new_manifest

    folder = Path(path)
    target = folder / MANIFEST_NAME
    data = new_manifest(name or folder.resolve().name, version)
    with storage_errors(str(target)):
        make_folders(str(folder), durable=True)
        try:
            write_new_file(target, data)
        except FileExistsError:
            hint = f"To check it: orbitpkg validate {shell_word(folder)}"
            raise UsageError(f"{target} already exists.", hint=hint) from None
    return target


def check_manifest(path: PathLike) -> tuple[Manifest, int, int]:
    """Check a package's directory without building it.

    Returns:
        The manifest, the number of files it selects, and the sum of their sizes in bytes.

    Raises:
        ManifestError: The package is invalid; the error lists all problems.
        StorageError: The directory cannot be read.
    """
    from orbitpkg.archive.tree import read_tree

    tree = read_tree(Path(path))
    return tree.manifest, len(tree.files), tree.total_size


@public
def build(path: PathLike = ".", output: PathLike | None = None, *, reporter: Reporter | None = None) -> Path:
    """Build the archive of a package. The same files give the same bytes on every machine.

    Args:
        path: The package's directory.
        output: The directory to write the archive to; the working directory when None.
        reporter: Receives progress.

    Returns:
        The archive's path, ``NAME-VERSION.tar.zst`` in ``output``.

    Raises:
        ManifestError: The package is invalid.
        TreeChanged: The directory changed meanwhile.
        StorageError: A file cannot be read or written.
    """
    from orbitpkg.archive.registry import OWN_SUFFIX
    from orbitpkg.archive.tree import read_tree
    from orbitpkg.archive.writer import write_archive
    from orbitpkg.reporting import SILENT

    tree = read_tree(Path(path))
    folder = Path(output) if output is not None else Path()
    target = folder / f"{tree.manifest.key}-{tree.manifest.version}{OWN_SUFFIX}"
    with (reporter or SILENT).task(f"Building {tree.manifest.name} {tree.manifest.version}", tree.total_size) as task:
        write_archive(tree, target, progress=task.advance)
    return target


def is_archive(text: PathLike) -> bool:
    """Return whether a word names an archive: it has the suffix of one, or is the path of a file."""
    from orbitpkg.archive.registry import has_suffix

    word = os.fspath(text)
    return has_suffix(word) or ((os.sep in word or "/" in word) and Path(word).is_file())


@public
def publish(
    path: PathLike,
    repository: PathLike | None = None,
    *,
    unsafe_single_writer: bool = False,
    dry_run: bool = False,
    offline: bool = False,
    reporter: Reporter | None = None,
) -> Published:
    """Publish a package's directory, or an archive of it.

    Publishing the same content again succeeds; a version that is published never changes.

    Args:
        path: The directory, or the archive.
        repository: The repository to publish to, as for :func:`settings`.
        unsafe_single_writer: Publish even to a store that ignores create-only writes. The caller guarantees to be
            the only publisher.
        dry_run: Do everything except changing the repository.
        offline: Refuse a repository that needs the network.
        reporter: Receives progress.

    Raises:
        ManifestError: The package is not valid.
        ReleaseExists: The version is published with other content.
        UnsafeRepository: The store ignores create-only writes.
        RepositoryError: The repository cannot be read or written.
        ArchiveError: The archive is damaged.
    """
    from orbitpkg.archive.tree import read_tree
    from orbitpkg.installer.install import archive_manifest
    from orbitpkg.publisher.publish import publish_archive, publish_tree
    from orbitpkg.reporting import SILENT

    place, report = Path(path), reporter or SILENT
    if not dry_run:
        _make_own_home()
    if not place.is_dir() and is_archive(path):
        with opened_archive(place) as archive:
            manifest = archive_manifest(archive)
            return publish_archive(
                open_repository(repository, offline=offline, package=manifest.key),
                archive,
                manifest,
                published=_now(),
                journals=_journals(),
                unsafe_single_writer=unsafe_single_writer,
                dry_run=dry_run,
                reporter=report,
            )
    tree = read_tree(place)
    return publish_tree(
        open_repository(repository, offline=offline, package=tree.manifest.key),
        tree,
        published=_now(),
        journals=_journals(),
        unsafe_single_writer=unsafe_single_writer,
        dry_run=dry_run,
        reporter=report,
    )


def _make_own_home() -> None:
    """Create the home directory with access for this user only, before a repository in it creates it for everyone."""
    from contextlib import suppress

    from orbitpkg.files.folders import make_private_folder

    with suppress(OSError):
        make_private_folder(home_folder())


def _journals() -> Path:
    return Path(home_folder(), "uploads")


def opened_archive(path: Path, *, layout: Layout | None = None) -> LocalArchive:
    """Open an archive on this machine; the caller closes it.

    Args:
        path: Its path. An archive in the format of a plug-in is opened as the archive that orbitpkg would make of the
            same files.
        layout: The store whose directory for temporary files a conversion may use; the user's own when None.

    Raises:
        ArchiveError: The file is damaged or not an archive.
        StorageError: It cannot be read.
    """
    from orbitpkg.archive.reader import LocalArchive
    from orbitpkg.archive.registry import find_format

    form = find_format(path)
    if form is None:
        return LocalArchive.open(path)
    from orbitpkg.files.errors import storage_errors
    from orbitpkg.store.folders import make_folder
    from orbitpkg.store.layout import Layout

    target = layout or Layout(home_folder())
    with storage_errors(target.tmp):
        make_folder(target, target.tmp)
    return form.open(path, Path(target.tmp))


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
