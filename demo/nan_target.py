"""One label is missing, and one step later nothing is left.

What goes wrong: a patient without a follow-up has no value of the disease's progression, and pandas
reads an empty cell as NaN. The batch with that row has a NaN loss, so all its gradients are NaN,
and the step writes them into every weight.

What the tab shows: inputs and predictions finite at step 31, the target NaN; then the loss, every
gradient and every weight.

The repair: drop the rows without a label. An imputed label teaches what was made up.
"""

from __future__ import annotations

import keras
import numpy as np

from tb_nanwatch_demo.training import Training, diabetes, standardized
from tb_nanwatch_demo.truth import Truth

ROW = 250
TRUTH = Truth(
    status="nonfinite",
    causes=("nonfinite-target",),
    step=ROW // 8,
    roles=("target",),
    layer="",
)


def build(repaired: bool = False) -> Training:
    x, y = diabetes()
    x, y = standardized(x), standardized(y)
    y[ROW] = np.nan
    if repaired:
        known = ~np.isnan(y[:, 0])
        x, y = x[known], y[known]
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(1, name="output"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mean_squared_error")
    return Training(model, x, y, batch=8)
