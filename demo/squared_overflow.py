"""Targets in units that make them 1e20: a squared error has no room for that in float32.

What goes wrong: energies in electronvolts instead of joules, say: targets around 1e20. The square
of the error is 1e40, beyond float32's 3.4e38: the loss is +Inf. The gradients are finite (2e20),
but Adam squares them too: its second moment is +Inf after step 0, and Inf - Inf makes it NaN after
step 1, the weights with it.

What the tab shows: targets of 1e20; at step 0 the loss and Adam's second moments +Inf while every
gradient is finite.

The repair: scale the targets to around 1, and scale the predictions back. (A clipped gradient
would save Adam, and still fit nothing.)
"""

from __future__ import annotations

import keras
import numpy as np

from tb_nanwatch_demo.training import Training, diabetes, standardized
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth(
    status="nonfinite",
    causes=("unscaled-target", "loss-domain", "optimizer-overflow"),
    also=("unscaled-target", "optimizer-overflow"),
    step=0,
    roles=("loss", "slot"),
)


def build(repaired: bool = False) -> Training:
    x, y = diabetes()
    y = y * np.float32(1e18)
    if repaired:
        y = standardized(y)
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(1, name="output"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mean_squared_error")
    return Training(model, standardized(x), y, batch=8, watch=("all",))
