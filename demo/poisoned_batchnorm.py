"""One row with a fill value, and BatchNorm remembers it for ever.

What goes wrong: where nothing was measured, the file has NetCDF's fill value, 9.97e36. That is a
finite number, but its square is not: the batch variance of step 30 is +Inf, and so is the moving
variance from then on, however many good batches follow. In training each batch is normalised by
its own variance, so the loss recovers. Every evaluation uses the moving statistics, and whatever
is divided by an infinite deviation is 0: that feature is gone.

What the tab shows: inputs of 1e37 at step 30; `moving_variance` +Inf from that step to the end,
with finite gradients and a falling loss beside it.

The repair: mark fill values as missing when the file is read, and impute or drop them. Statistics
that are lost already need a reset (`moving_mean` to 0, `moving_variance` to 1) and some training
on clean data.
"""

from __future__ import annotations

import keras
import numpy as np

from tb_nanwatch_demo.training import Training, diabetes, standardized
from tb_nanwatch_demo.truth import Truth

FILL_VALUE = np.float32(9.969209968386869e36)
ROW, COLUMN = 243, 4
TRUTH = Truth(
    status="nonfinite",
    causes=("fill-value",),
    also=("poisoned-statistics",),
    step=ROW // 8,
    roles=("input", "weight"),
    loss_stays_finite=True,
)


def build(repaired: bool = False) -> Training:
    x, y = diabetes()
    x = standardized(x)
    x[ROW, COLUMN] = FILL_VALUE
    if repaired:
        measured = (x != FILL_VALUE).all(axis=1)
        x, y = x[measured], y[measured]
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.BatchNormalization(name="batch_norm"),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(1, name="output"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss="mean_squared_error")
    return Training(model, x, standardized(y), batch=8)
