"""The record and the contents of an installed release, as its repository published them."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError, NotInstalled
from orbitpkg.files.anchors import read_regular
from orbitpkg.files.errors import READ, storage_errors
from orbitpkg.model.release import Release, parse_release
from orbitpkg.model.release_rules import MAX_CONTENTS_BYTES
from orbitpkg.model.versions import parse_version
from orbitpkg.store.layout import CONTENTS_NAME, RECORD_NAME

if TYPE_CHECKING:
    from orbitpkg.model.contents import Contents

__all__ = ["load_contents", "load_packed", "load_release"]

# One byte more than any valid record, so that a longer file is found to be invalid without being read to its end.
_MAX_RECORD_BYTES = 64 * 1024 + 1
# What the system reports of a link, a folder, a FIFO or a device where a file must be.
_NOT_A_FILE = (errno.ELOOP, errno.EISDIR, errno.EINVAL, errno.ENXIO, errno.ENOTDIR)


def load_release(home: str) -> Release:
    """Read the record of an installed release.

    Raises:
        NotInstalled: The release was removed.
        StorageError: The record cannot be read.
        IntegrityError: The record is altered.
    """
    folder = Path(home)
    raw = _read(folder / RECORD_NAME, _MAX_RECORD_BYTES)
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
    compressed = _read(Path(home) / CONTENTS_NAME, release.contents.length + 1)
    return unpack_contents(compressed, release.contents, where=f"{release.name} {release.version} in the store")


def load_packed(home: str) -> bytes:
    """Read the compressed contents of an installed release, without verifying them.

    Raises:
        NotInstalled: The release was removed.
        StorageError: The contents cannot be read.
        IntegrityError: Something other than a file has their name.
    """
    return _read(Path(home) / CONTENTS_NAME, MAX_CONTENTS_BYTES)


def _read(path: Path, limit: int) -> bytes:
    name, version = path.parent.parent.name, path.parent.name
    release = f"{name}=={version}"
    hint = f"Reinstall it: orbitpkg remove {release}, then orbitpkg install {release}"
    with storage_errors(path, READ._replace(other=hint)):
        try:
            return read_regular(str(path), limit)[0]
        except FileNotFoundError as error:
            if path.parent.exists():
                raise
            hint = f"orbitpkg install {release}"
            raise NotInstalled(f"{release} is no longer installed.", hint=hint, name=name) from error
        except OSError as error:
            if error.errno not in _NOT_A_FILE:
                raise
            raise IntegrityError(f"{path} is not a regular file.", hint=hint) from error
