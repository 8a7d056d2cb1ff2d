"""Releases in an object store: their keys, how they become visible, and how they are found.

Promises: a release that is visible is complete and never changes; "not found" always means that the repository answered
so. Refuses: any reliance on the index, which is derived from the records and may be out of date.

``layout`` defines the keys, ``repository`` reads and commits releases, ``index`` summarizes a package to save reading
its records, ``repository_set`` decides which of several repositories a package comes from, and ``probe`` tests what a
store can do.
"""

__all__: list[str] = []
