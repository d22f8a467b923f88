"""A small network in numpy: two hidden layers, dropout, momentum, and an averaged copy of itself.

The averaged copy (an exponential moving average of the weights, the usual one to serve) makes the
state three times the weights: 97 MiB at a width of 2,880, so that an upload has several parts.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[np.float32]]
PIXELS, CLASSES = 64, 10


class Network:
    """Weights, momentum and average, updated in place: resuming writes into the same arrays."""

    def __init__(self, width: int, seed: int) -> None:
        draw = np.random.default_rng(seed)
        sizes = [PIXELS, width, width, CLASSES]
        self.weights: Arrays = {}
        for layer, (rows, columns) in enumerate(pairwise(sizes)):
            scale = np.sqrt(2.0 / rows)
            self.weights[f"w{layer}"] = (draw.standard_normal((rows, columns)) * scale).astype("f4")
            self.weights[f"b{layer}"] = np.zeros(columns, dtype="f4")
        self.momentum: Arrays = {name: np.zeros_like(a) for name, a in self.weights.items()}
        self.average: Arrays = {name: a.copy() for name, a in self.weights.items()}

    def state(self) -> Arrays:
        """Everything that training changes, by name."""
        groups = {"weights": self.weights, "momentum": self.momentum, "average": self.average}
        return {f"{group}.{name}": a for group, part in groups.items() for name, a in part.items()}

    def step(
        self,
        images: NDArray[np.float32],
        labels: NDArray[np.int64],
        rng: np.random.Generator,
        *,
        rate: float,
    ) -> float:
        """One optimizer step on one batch; returns the mean cross-entropy before it."""
        hidden, masks = self._forward(images, rng)
        loss, error = _cross_entropy(hidden[-1], labels)
        self._update(self._gradients(hidden, masks, error), rate)
        return loss

    def accuracy(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
        """The share of images that the averaged weights name right."""
        values = images
        for layer in range(3):
            values = values @ self.average[f"w{layer}"] + self.average[f"b{layer}"]
            if layer < 2:
                values = np.maximum(values, 0)
        return float((values.argmax(axis=1) == labels).mean())

    def _forward(
        self, images: NDArray[np.float32], rng: np.random.Generator
    ) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        hidden, masks = [images], []
        for layer in range(3):
            values = hidden[-1] @ self.weights[f"w{layer}"] + self.weights[f"b{layer}"]
            if layer < 2:
                # Dropout: a resume that restored the wrong random state would change every weight.
                keep = (rng.random(values.shape, dtype=np.float32) < 0.9).astype("f4")
                masks.append(keep * (values > 0) / np.float32(0.9))
                values = values * masks[-1]
            hidden.append(values)
        return hidden, masks

    def _gradients(
        self,
        hidden: list[NDArray[np.float32]],
        masks: list[NDArray[np.float32]],
        error: NDArray[np.float32],
    ) -> Arrays:
        gradients: Arrays = {}
        for layer in (2, 1, 0):
            gradients[f"w{layer}"] = hidden[layer].T @ error
            gradients[f"b{layer}"] = error.sum(axis=0)
            if layer:
                error = (error @ self.weights[f"w{layer}"].T) * masks[layer - 1]
        return gradients

    def _update(self, gradients: Arrays, rate: float) -> None:
        for name, weights in self.weights.items():
            momentum, average = self.momentum[name], self.average[name]
            momentum *= np.float32(0.9)
            momentum += gradients[name]
            np.subtract(weights, np.float32(rate) * momentum, out=weights)
            average *= np.float32(0.99)
            average += np.float32(0.01) * weights


def _cross_entropy(
    scores: NDArray[np.float32], labels: NDArray[np.int64]
) -> tuple[float, NDArray[np.float32]]:
    shifted = scores - scores.max(axis=1, keepdims=True)
    chances = np.exp(shifted)
    chances /= chances.sum(axis=1, keepdims=True)
    rows = np.arange(len(labels))
    loss = float(-np.log(chances[rows, labels] + 1e-12).mean())
    chances[rows, labels] -= 1
    return loss, chances / np.float32(len(labels))
