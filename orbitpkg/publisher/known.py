"""The chunks that the earlier releases of a package hold in their archives."""

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
# The newest releases hold nearly all that the next one shares with any; their tables must not cost more than they save.
_MAX_RELEASES = 8
_MAX_TABLE_BYTES = 64 * 1024 * 1024
# A chunk that is everywhere (of zeros, say) need not be known everywhere.
_MAX_PLACES = 16


def known_frames(repository: Repository, name: str, version: Version) -> dict[Blake3, list[KnownFrame]]:
    """Give, by digest, the chunks that the releases nearest to a version hold, and where: the nearest first.

    Only frames of this orbitpkg's encoder count: those of another would not be the bytes that building gives. A
    release that cannot be read is passed over; its chunks are sent anew.

    Args:
        repository: Where the releases are.
        name: The package's canonical name.
        version: The version that is to be published.
    """
    versions = sorted(repository.versions(name), key=lambda other: (other < version, other), reverse=True)
    frames: dict[Blake3, list[KnownFrame]] = {}
    with Pool(_MAX_RELEASES, "orbitpkg-known") as pool:
        found = pool.map(lambda other: _release(repository, name, other), versions[:_MAX_RELEASES])
        releases = [release for release in found if release is not None and release.archive.encoder == ENCODER]
        for table in pool.map(lambda release: _frames(repository, release), _within_bounds(releases)):
            for digest, frame in table:
                places = frames.setdefault(digest, [])
                if len(places) < _MAX_PLACES:
                    places.append(frame)
    return frames


def _release(repository: Repository, name: str, version: Version) -> Release | None:
    try:
        return repository.find_release(name, version)
    except OrbitError as error:
        _LOG.warning("%s %s is no source of chunks: %s", name, version, error.message)
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
        _LOG.warning("%s is no source of chunks: %s", release, error.message)
        return []
    key = release.archive.key
    return [
        (chunk.blake3, KnownFrame(key=key, position=chunk.position, stored=chunk.stored)) for chunk in contents.chunks
    ]
