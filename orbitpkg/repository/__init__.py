"""Releases in an object store: where they lie, how they become visible, how they are found.

``layout`` names the keys, ``repository`` reads and commits, ``index`` is the summary of a package that saves reading
its records, ``probe`` finds out what a store can do.
"""

__all__: list[str] = []
