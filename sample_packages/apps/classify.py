"""Classify handwritten digits with the ``digits`` package and measure the accuracy.

Requires numpy, orbitpkg and the installed package (``orbitpkg install digits``), but no network. Prints some of the
images in ``digits-images`` with their predicted labels, and the accuracy on all of them.

    python classify.py
"""

from __future__ import annotations

import csv
import json
import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

import orbitpkg

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHADES = " .:-=+*#%@"
SHOWN = 4
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1"}


def read_safetensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors in a safetensors file by name.

    The format (https://huggingface.co/docs/safetensors) consists of the length of the header (8 bytes, little-endian),
    the header (JSON) and the raw tensors. Offsets in the header are relative to its end.
    """
    data = path.read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)
    return {
        name: np.frombuffer(
            data, DTYPES[tensor["dtype"]], math.prod(tensor["shape"]), start + tensor["data_offsets"][0]
        ).reshape(tensor["shape"])
        for name, tensor in header.items()
    }


def read_graymap(path: Path) -> NDArray[np.float64]:
    """Return the pixels of a binary PGM, with shape (height, width) and values from 0 to 1."""
    data = path.read_bytes()
    header = re.match(rb"P5\s+(\d+)\s+(\d+)\s+(\d+)\s", data)
    if header is None:
        raise ValueError(f"{path} is not a binary PGM")
    width, height, brightest = map(int, header.groups())
    pixels = np.frombuffer(data, np.uint8, width * height, header.end())
    return pixels.reshape(height, width) / brightest


def read_images(package: orbitpkg.Package) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return all images in the package, with shape (n, 8, 8), and their labels, with shape (n)."""
    rows = list(csv.DictReader(package.read_text("labels.csv").splitlines()))
    images = [read_graymap(package.file_path(row["file"])) for row in rows]
    return np.stack(images), np.array([int(row["label"]) for row in rows])


def predict(weights: dict[str, NDArray[Any]], images: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the most likely digit for each image."""
    hidden = np.tanh(images.reshape(len(images), -1) @ weights["hidden.weight"] + weights["hidden.bias"])
    digits: NDArray[np.int64] = np.argmax(hidden @ weights["output.weight"] + weights["output.bias"], axis=1)
    return digits


def drawn(images: NDArray[np.float64]) -> str:
    """Draw the images side by side, with one character per pixel."""
    rows = np.concatenate(list(np.pad(images, ((0, 0), (0, 0), (0, 1)))), axis=1)
    shades = np.rint(rows * (len(SHADES) - 1)).astype(int)
    return "\n".join("".join(SHADES[shade] for shade in row).rstrip() for row in shades)


def main() -> None:
    """Classify the images and print the results."""
    model = orbitpkg.package("digits")
    weights = read_safetensors(model.file_path("model", "weights.safetensors"))
    images, labels = read_images(orbitpkg.package("digits-images"))
    predicted = predict(weights, images)
    right = int((predicted == labels).sum())
    print(drawn(images[:SHOWN]))
    print("predicted: " + " ".join(map(str, predicted[:SHOWN])))
    print("labelled:  " + " ".join(map(str, labels[:SHOWN])))
    print(f"accuracy: {right / len(labels):.4f} ({right} of {len(labels)}, {model.name} {model.version})")


if __name__ == "__main__":
    main()
