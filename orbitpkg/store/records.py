"""The record and the contents of an installed release, as its repository published them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import NotInstalled
from orbitpkg.files.errors import READ, storage_errors
from orbitpkg.model.release import Release, parse_release
from orbitpkg.model.versions import parse_version
from orbitpkg.store.layout import CONTENTS_NAME, RECORD_NAME

if TYPE_CHECKING:
    from orbitpkg.model.contents import Contents

__all__ = ["load_contents", "load_release"]


def load_release(home: str) -> Release:
    """Read the record of an installed release.

    Raises:
        NotInstalled: The release was removed.
        StorageError: The record cannot be read.
        IntegrityError: The record is altered.
    """
    folder = Path(home)
    raw = _read(folder / RECORD_NAME)
    return parse_release(raw, name=folder.parent.name, version=parse_version(folder.name))


def load_contents(home: str) -> Contents:
    """Read the contents of an installed release, and verify them against its record.

    Raises:
        NotInstalled: The release was removed.
        StorageError: The contents cannot be read.
        IntegrityError: The contents are altered.
    """
    # The decompressor is slow to import, and most callers only read records.
    from orbitpkg.archive.frames import unpack_contents

    release = load_release(home)
    compressed = _read(Path(home) / CONTENTS_NAME)
    return unpack_contents(compressed, release.contents, where=f"{release.name} {release.version} in the store")


def _read(path: Path) -> bytes:
    name, version = path.parent.parent.name, path.parent.name
    release = f"{name}=={version}"
    hint = f"To reinstall it: orbitpkg remove {release}, then orbitpkg install {release}"
    with storage_errors(path, READ._replace(other=hint)):
        try:
            return path.read_bytes()
        except FileNotFoundError as error:
            if path.parent.exists():
                raise
            hint = f"To install it: orbitpkg install {release}"
            raise NotInstalled(f"{name} {version} is no longer installed.", hint=hint, name=name) from error
