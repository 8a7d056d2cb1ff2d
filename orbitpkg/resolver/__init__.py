"""Dependency resolution: from requirements to one release of each package, or to an explanation why none exists.

Pure: a source answers all questions, and nothing here reads a disk, a network, a clock or the environment.
"""

__all__: list[str] = []
