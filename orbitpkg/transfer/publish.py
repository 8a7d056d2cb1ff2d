"""From a directory, or an archive, to a published release.

The order: look whether the version is taken → send the archive under a key nobody else uses → check what was sent →
create the record → bring the index up to date. Killed anywhere before the record, nothing is published and running it
again publishes; killed after, everything is, and running it again says so.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from orbitpkg.archive.encoder import TreeEncoder, hash_tree
from orbitpkg.archive.frames import ENCODER, archive_size
from orbitpkg.archive.reader import verify_archive
from orbitpkg.archive.tree import MANIFEST_NAME, read_manifest_bytes
from orbitpkg.errors import IntegrityError, ObjectNotFound, ReleaseExists, RepositoryError, UnsafeRepository
from orbitpkg.model.manifest import parse_manifest
from orbitpkg.model.release import ArchiveTotals, new_release
from orbitpkg.reporting import SILENT
from orbitpkg.repository.layout import new_archive_key
from orbitpkg.transfer.upload import upload

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orbitpkg.archive.reader import LocalArchive
    from orbitpkg.archive.tree import SourceTree
    from orbitpkg.model.contents import Contents
    from orbitpkg.model.manifest import Manifest
    from orbitpkg.model.release import ContentsPlace, Release
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.repository import Repository

__all__ = ["Outcome", "Published", "publish_archive", "publish_tree"]
