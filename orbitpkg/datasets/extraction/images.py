"""The size of an image, from its header alone; its pixels are not decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.datasets.extraction import Extracted

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_size"]


def read_size(path: Path) -> Extracted:
    """Read ``width`` and ``height``, in pixels.

    Raises:
        ValueError: The header is none of an image.
    """
    import imagesize

    width, height = imagesize.get(str(path))
    if width <= 0 or height <= 0:
        raise ValueError("its header is not that of an image")
    return Extracted(metadata={"width": width, "height": height})
