"""Write the held-out part of scikit-learn's digits data set as portable graymaps, and the labels as a table.

Requires scikit-learn, which includes the data. Pixels are integers from 0 to 16, so the output is the same on every
machine.

    python make_images.py [FOLDER]
"""

from __future__ import annotations

import sys
from pathlib import Path

from sklearn.datasets import load_digits

HELD_OUT = 360


def graymap(pixels: list[list[int]]) -> bytes:
    """Encode an image as a binary PGM (https://netpbm.sourceforge.net/doc/pgm.html), where 16 is white."""
    header = f"P5\n{len(pixels[0])} {len(pixels)}\n16\n"
    return header.encode("ascii") + bytes(value for row in pixels for value in row)


def write_images(folder: Path) -> None:
    """Write ``images/LABEL/NUMBER.pgm`` and ``labels.csv``. NUMBER is the index of the image in scikit-learn's data."""
    digits = load_digits()
    rows = ["file,label"]
    for number in range(len(digits.target) - HELD_OUT, len(digits.target)):
        label = int(digits.target[number])
        name = f"images/{label}/{number:04}.pgm"
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(graymap(digits.images[number].astype(int).tolist()))
        rows.append(f"{name},{label}")
    (folder / "labels.csv").write_bytes(("\n".join(rows) + "\n").encode("ascii"))


if __name__ == "__main__":
    write_images(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
