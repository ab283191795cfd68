"""A healthy training, to compare the others with: nothing non-finite, nothing to report.

The network and data of `nan_feature`, whole. What the tab shows: gradients that shrink slowly,
weights that hardly move, and no finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import keras

from tb_nanwatch_demo.training import Array, digits, fit, mlp, one_hot
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth()


def build() -> tuple[keras.Model, Array, Array]:
    x, labels = digits()
    model = mlp("relu")
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
    )
    return model, x, one_hot(labels)


def train(
    log_dir: str | Path, callbacks: Sequence[keras.callbacks.Callback] = ()
) -> keras.callbacks.History:
    model, x, y = build()
    return fit(model, x, y, log_dir, callbacks)
