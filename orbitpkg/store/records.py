"""What the store keeps beside a release's files: its record and its contents, as they came from the repository."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import NotInstalled, StorageError
from orbitpkg.model.release import Release, parse_release
from orbitpkg.model.versions import parse_version
from orbitpkg.store.layout import CONTENTS_NAME, RECORD_NAME

if TYPE_CHECKING:
    from orbitpkg.model.contents import Contents

__all__ = ["load_contents", "load_release"]


def load_release(home: str) -> Release:
    """Read the record of an installed release.

    Raises:
        NotInstalled: It was removed.
        StorageError: It cannot be read.
        IntegrityError: It is altered.
    """
    folder = Path(home)
    raw = _read(folder / RECORD_NAME)
    return parse_release(raw, name=folder.parent.name, version=parse_version(folder.name))


def load_contents(home: str) -> Contents:
    """Read the contents of an installed release, held against its record.

    Raises:
        NotInstalled: It was removed.
        StorageError: They cannot be read.
        IntegrityError: They are altered.
    """
    # What decompresses is slow to load, and most who read records want no more.
    from orbitpkg.archive.frames import unpack_contents

    release = load_release(home)
    packed = _read(Path(home) / CONTENTS_NAME)
    return unpack_contents(packed, release.contents, where=f"{release.name} {release.version} in the store")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        name, version = path.parent.parent.name, path.parent.name
        release = f"{name}=={version}"
        if isinstance(error, FileNotFoundError) and not path.parent.exists():
            hint = f"orbitpkg install {release}"
            raise NotInstalled(f"{release} is not installed any more.", hint=hint, name=name) from error
        hint = f"Install it anew: orbitpkg remove {release}, then orbitpkg install {release}"
        raise StorageError(f"{path} cannot be read: {error.strerror}.", hint=hint) from error
