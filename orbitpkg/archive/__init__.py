"""A directory tree <-> a tarball of independent zstd frames.

``tree`` reads a directory, ``tarstream`` lays its files out as one tar stream, ``encoder`` cuts and compresses that
stream, ``frames`` is the format of the pieces, ``reader`` opens an archive and holds it against its contents.
"""

__all__: list[str] = []
