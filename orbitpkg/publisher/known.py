"""The chunks in the archives of a package's earlier releases."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from orbitpkg.archive.frames import ENCODER
from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import OrbitError
from orbitpkg.publisher.assemble import KnownFrame

if TYPE_CHECKING:
    from orbitpkg.model.contents import Blake3
    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version
    from orbitpkg.repository.repository import Repository

__all__ = ["known_frames"]

_LOG = logging.getLogger(__name__)
# The newest releases contain nearly everything that the next one shares with any. Reading more contents costs more than
# it saves.
_MAX_RELEASES = 8
_MAX_TABLE_BYTES = 64 * 1024 * 1024
# A chunk that occurs very often, such as one of zeros, needs only a few known locations.
_MAX_LOCATIONS = 16


def known_frames(repository: Repository, name: str, version: Version) -> dict[Blake3, list[KnownFrame]]:
    """Return the locations of the chunks in the releases nearest to a version, by digest, nearest first.

    Only frames of the current encoder are used, because another encoder produces other bytes. A release that cannot
    be read is skipped, and its chunks are sent again.

    Args:
        repository: The repository.
        name: The package's canonical name.
        version: The version to publish.
    """
    versions = sorted(repository.versions(name), key=lambda other: (other < version, other), reverse=True)
    frames: dict[Blake3, list[KnownFrame]] = {}
    with Pool(_MAX_RELEASES, "orbitpkg-known") as pool:
        found = pool.map(lambda other: _release(repository, name, other), versions[:_MAX_RELEASES])
        releases = [release for release in found if release is not None and release.archive.encoder == ENCODER]
        for table in pool.map(lambda release: _frames(repository, release), _within_bounds(releases)):
            for digest, frame in table:
                locations = frames.setdefault(digest, [])
                if len(locations) < _MAX_LOCATIONS:
                    locations.append(frame)
    return frames


def _release(repository: Repository, name: str, version: Version) -> Release | None:
    try:
        return repository.find_release(name, version)
    except OrbitError as error:
        _LOG.warning("Cannot reuse chunks of %s %s: %s", name, version, error.message)
        return None


def _within_bounds(releases: list[Release]) -> list[Release]:
    chosen: list[Release] = []
    size = 0
    for release in releases:
        size += release.contents.raw_length
        if chosen and size > _MAX_TABLE_BYTES:
            break
        chosen.append(release)
    return chosen


def _frames(repository: Repository, release: Release) -> list[tuple[Blake3, KnownFrame]]:
    try:
        _, contents = repository.contents(release)
    except OrbitError as error:
        _LOG.warning("Cannot reuse chunks of %s: %s", release, error.message)
        return []
    key = release.archive.key
    return [
        (chunk.blake3, KnownFrame(key=key, position=chunk.position, stored=chunk.stored)) for chunk in contents.chunks
    ]
