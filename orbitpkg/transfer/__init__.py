"""Moving bytes between an archive and the store, or a tree and a repository.

``plan`` decides what an install will read and from where, and touches nothing; ``fetch`` does it; ``upload`` sends an
archive as it is being made.
"""

__all__: list[str] = []
