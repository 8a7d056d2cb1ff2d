"""The local file system: atomic writes, durability, modes and errors.

Every module that writes a file for later use writes it through :mod:`~orbitpkg.files.atomic`, and every error of the
system about a local file is translated by :mod:`~orbitpkg.files.errors`. Nothing here knows what a package is.
"""
