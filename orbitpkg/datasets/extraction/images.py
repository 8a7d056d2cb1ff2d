"""The size of an image, read from its header without decoding the pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.datasets.extraction.extracted import Extracted

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_size"]


def read_size(path: Path) -> Extracted:
    """Read ``width`` and ``height``, in pixels.

    Raises:
        ValueError: The file is not a supported image.
    """
    import imagesize

    width, height = imagesize.get(str(path))
    if width <= 0 or height <= 0:
        raise ValueError("it has no valid image header")
    return Extracted(metadata={"width": width, "height": height})
