"""The data of all the cases, and how they train: what you would write, with one callback more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits

import tb_nanwatch as nanwatch

BATCH = 32
EPOCHS = 3
Array = npt.NDArray[Any]


def digits() -> tuple[Array, Array]:
    """Handwritten digits of scikit-learn: float32 [1797, 64] in [0, 1], labels int32 [1797]."""
    data = load_digits()
    return (data.data / 16).astype(np.float32), data.target.astype(np.int32)


def one_hot(labels: Array) -> Array:
    """float32 [n, 10]."""
    return np.eye(10, dtype=np.float32)[labels]


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


def fit(
    model: keras.Model,
    x: Array,
    y: Array,
    log_dir: str | Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> keras.callbacks.History:
    """Trains with NaNWatch on. The runs are short, so every step gets a record of its own.

    The rows keep their order: the batch of step n of an epoch is rows 32 n to 32 n + 31.
    """
    watch = nanwatch.Callback(str(log_dir), every=1)
    return model.fit(
        x,
        y,
        batch_size=BATCH,
        epochs=EPOCHS,
        shuffle=False,
        verbose=0,
        callbacks=[watch, *callbacks],
    )
