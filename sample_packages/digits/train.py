"""Train a digits classifier with one hidden layer on all but the last 360 of scikit-learn's digits.

Requires numpy, scikit-learn and safetensors, but no network. Writes ``model/weights.safetensors``, the same arrays as
``model/weights.pkl``, and ``metrics.json``, measured on the 360 images in the digits-images package.

    python train.py [FOLDER]
"""

from __future__ import annotations

import json
import pickle
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from safetensors.numpy import save
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

if TYPE_CHECKING:
    from numpy.typing import NDArray

HELD_OUT = 360
BRIGHTEST = 16
EPOCHS = 40
STEPS = 4096
PICKLE_PROTOCOL = 4


def shifted(pixels: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the images (n, 8, 8) unchanged and shifted by one pixel up, down, left and right."""
    padded = np.pad(pixels, ((0, 0), (1, 1), (1, 1)))
    return [padded[:, y : y + 8, x : x + 8] for y, x in ((1, 1), (0, 1), (2, 1), (1, 0), (1, 2))]


def train(pixels: NDArray[np.float64], labels: NDArray[np.int64]) -> dict[str, NDArray[np.float32]]:
    """Fit the network to images (n, 8, 8) with values from 0 to 1; return the weights by name."""
    views = shifted(pixels)
    network = MLPClassifier(
        hidden_layer_sizes=(64,),
        activation="tanh",
        alpha=0.01,
        batch_size=64,
        learning_rate_init=0.003,
        max_iter=EPOCHS,
        n_iter_no_change=EPOCHS,
        random_state=0,
    )
    with warnings.catch_warnings():
        # A fixed number of epochs makes runs reproducible; scikit-learn warns that training has not converged.
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(np.concatenate(views).reshape(-1, 64), np.tile(labels, len(views)))
    hidden, output = network.coefs_
    hidden_bias, output_bias = network.intercepts_
    weights = {
        "hidden.weight": hidden,
        "hidden.bias": hidden_bias,
        "output.weight": output,
        "output.bias": output_bias,
    }
    return {name: rounded(values) for name, values in weights.items()}


def rounded(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Round to 1/4096, because the last bits of a sum depend on the linear algebra library."""
    return np.ascontiguousarray(np.round(values * STEPS) / STEPS, dtype=np.float32)


def predict(weights: dict[str, NDArray[np.float32]], pixels: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the most likely digit for each image (n, 8, 8)."""
    hidden = np.tanh(pixels.reshape(len(pixels), -1) @ weights["hidden.weight"] + weights["hidden.bias"])
    digits: NDArray[np.int64] = np.argmax(hidden @ weights["output.weight"] + weights["output.bias"], axis=1)
    return digits


def metrics(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> dict[str, object]:
    """Return the accuracy overall and for each digit, rounded to four decimal places."""
    right = predicted == labels
    return {
        "accuracy": round(float(right.mean()), 4),
        "correct": int(right.sum()),
        "images": len(labels),
        "by_digit": {str(digit): round(float(right[labels == digit].mean()), 4) for digit in range(10)},
    }


def main(folder: Path) -> None:
    """Train the network, measure its accuracy and write all files to ``folder``."""
    digits = load_digits()
    pixels, labels = digits.images / BRIGHTEST, digits.target
    weights = train(pixels[:-HELD_OUT], labels[:-HELD_OUT])
    measured = metrics(predict(weights, pixels[-HELD_OUT:]), labels[-HELD_OUT:])
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model" / "weights.safetensors").write_bytes(save(weights, metadata={"format": "np"}))
    (folder / "model" / "weights.pkl").write_bytes(pickle.dumps(weights, protocol=PICKLE_PROTOCOL))
    (folder / "metrics.json").write_bytes((json.dumps(measured, indent=2) + "\n").encode("ascii"))
    print(f"accuracy: {measured['accuracy']} (copy this to metadata.metrics.accuracy in package.json)")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
