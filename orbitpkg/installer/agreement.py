"""Whether the manifest in an archive agrees with the record of its release.

The resolver chooses releases by their records, and apps read the manifest. A publisher that is not orbitpkg, or a
record that names the archive of another release, could make them differ.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.archive.frames import decompress_chunk
from orbitpkg.errors import IntegrityError, ManifestError
from orbitpkg.model.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, parse_manifest

if TYPE_CHECKING:
    from orbitpkg.installer.fetch import ByteSource
    from orbitpkg.model.contents import Contents, FileEntry
    from orbitpkg.model.release import Release

__all__ = ["check_manifest", "manifest_entry", "read_manifest"]


def manifest_entry(release: Release, contents: Contents) -> FileEntry:
    """Return the manifest among the files of a release.

    Raises:
        IntegrityError: There is none, or it is too large.
    """
    entry = contents.by_path.get(MANIFEST_NAME)
    if entry is None:
        raise IntegrityError(f"The archive of {release.label} has no {MANIFEST_NAME}.")
    if entry.size > MAX_MANIFEST_BYTES:
        raise IntegrityError(
            f"{MANIFEST_NAME} in the archive of {release.label} has {entry.size:,} bytes; "
            f"the maximum is {MAX_MANIFEST_BYTES:,}."
        )
    return entry


def read_manifest(release: Release, contents: Contents, source: ByteSource, *, where: str) -> bytes:
    """Read the manifest in an archive.

    Raises:
        IntegrityError: There is none, or it is damaged.
        RepositoryError: The archive cannot be read.
    """
    entry = manifest_entry(release, contents)
    data = bytearray()
    for chunk in contents.chunks_of(entry):
        frame = b"".join(bytes(piece) for piece in source.stream(chunk.position, chunk.stored))
        plain = decompress_chunk(frame, chunk, where=where)
        first = max(entry.offset - chunk.offset, 0)
        data += memoryview(plain)[first : entry.offset + entry.size - chunk.offset]
    return bytes(data)


def check_manifest(release: Release, manifest: bytes, *, where: str) -> None:
    """Refuse a release whose manifest says something else than its record.

    Args:
        release: The release.
        manifest: The content of the manifest in its archive.
        where: The release's origin, for messages.

    Raises:
        IntegrityError: They differ in the name, the version, the dependencies or the compatibility.
    """
    try:
        found = parse_manifest(manifest, where=f"{MANIFEST_NAME} of {release.label} in {where}")
    except ManifestError as error:
        raise IntegrityError(error.message, hint=error.hint) from error
    pairs = {
        "name": (found.key, release.key),
        "version": (found.version, release.version),
        "dependencies": (dict(found.dependencies), dict(release.dependencies)),
        "compatibility": (dict(found.compatibility), dict(release.compatibility)),
    }
    wrong = [name for name, (one, other) in pairs.items() if one != other]
    if wrong:
        raise IntegrityError(
            f"{MANIFEST_NAME} in the archive of {release.label} in {where} does not agree with the record of the "
            f"release about: {', '.join(wrong)}.",
            hint="The record or the archive was altered. Report it to the owner of the repository.",
            name=release.name,
            version=str(release.version),
            differs=wrong,
        )
