"""The data of all the cases, and how they train: what you would write, with one callback more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_diabetes, load_digits

import tb_nanwatch as nanwatch

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Training:
    """A compiled model, and what it is trained on.

    Attributes:
      model: built and compiled.
      x: the rows, in the order in which they are fed: step n of the first epoch is rows
        `batch * n` to `batch * n + batch - 1`.
      y: their targets.
      epochs: times that all rows are fed.
      batch: rows a step.
      watch: what NaNWatch records of it.
    """

    model: keras.Model
    x: Array
    y: Array
    epochs: int = 1
    batch: int = 32
    watch: tuple[str, ...] = ("default", "activation", "activation_gradient")


def digits() -> tuple[Array, Array]:
    """Handwritten digits of scikit-learn: float32 [1797, 64] in [0, 1], and one-hot [1797, 10]."""
    data = load_digits()
    return (data.data / 16).astype(np.float32), np.eye(10, dtype=np.float32)[data.target]


def diabetes() -> tuple[Array, Array]:
    """Diabetes patients of scikit-learn, in a random order: float32 [442, 10], as measured.

    The target, float32 [442, 1], is the disease's progression, 25 to 346.
    """
    data = load_diabetes(scaled=False)
    order = np.random.default_rng(1).permutation(len(data.data))
    return data.data[order].astype(np.float32), data.target[order, None].astype(np.float32)


def standardized(values: Array) -> Array:
    """Each column with mean 0 and standard deviation 1, float32; constant columns become 0."""
    values = values.astype(np.float64)
    deviation = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    return scaled.astype(np.float32)


def mlp(activation: str, output: str | None = None, seed: int = 7) -> keras.Sequential:
    """A small classifier of the digits, with the same initial weights each time."""
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation=activation, name="hidden_1"),
            keras.layers.Dense(32, activation=activation, name="hidden_2"),
            keras.layers.Dense(10, activation=output, name="output"),
        ]
    )


def classification() -> keras.losses.Loss:
    """Cross entropy of one-hot labels, from logits: stable for any finite logits."""
    return keras.losses.CategoricalCrossentropy(from_logits=True)


def fit(
    training: Training,
    log_dir: str | Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.callbacks.History:
    """Trains with NaNWatch on. The runs are short, so every step gets a record of its own."""
    watch = nanwatch.Callback(str(log_dir), every=1, watch=training.watch)
    return training.model.fit(
        training.x,
        training.y,
        batch_size=training.batch,
        epochs=training.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[watch, *callbacks],
    )
