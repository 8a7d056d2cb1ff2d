"""Conversion between a directory tree and an archive: a tarball of independent zstd frames.

``tree`` reads a directory, ``tarstream`` defines the tar stream of its files, ``encoder`` cuts and compresses that
stream, ``frames`` defines the format of the pieces, and ``reader`` opens and verifies an archive.
"""

__all__: list[str] = []
