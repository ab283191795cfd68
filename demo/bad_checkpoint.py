"""A checkpoint that was saved after the weights had gone NaN, and training goes on from it.

What goes wrong: a training was saved once more after it had broken; one element of the second
kernel is NaN before the first step is made. Everything that can be said of the data or the learning
rate is beside the point.

What the tab shows: the kernel of `hidden_2` NaN before step 0.

The repair: take an earlier checkpoint, and look at weights before they are saved:
`np.isfinite(w).all() for w in model.get_weights()`.
"""

from __future__ import annotations

import keras
import numpy as np

from tb_nanwatch_demo.training import Training, classification, digits, mlp
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth(
    status="nonfinite",
    causes=("nonfinite-initial-weight",),
    step=0,
    roles=("weight",),
    layer="hidden_2",
)


def build(repaired: bool = False) -> Training:
    model = mlp("tanh")
    checkpoint = model.get_weights()
    if not repaired:
        checkpoint[2][5, 3] = np.nan  # As the training left it that was saved.
    model.set_weights(checkpoint)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=classification())
    return Training(model, *digits())
