"""A normalisation written by hand divides by the deviation of a column that never changes.

What goes wrong: some pixels at the border are 0 in every image. Their standard deviation is 0, and
`(x - mean) / std` is 0 / 0: three columns of NaN, in every row.

What the tab shows: the input NaN at step 0, three elements a row; everything after it as well.

The repair: divide by 1 where the deviation is 0, as scikit-learn's `StandardScaler` does, or drop
the columns: they tell nothing.
"""

from __future__ import annotations

import keras
import numpy as np

from tb_nanwatch_demo.training import Training, classification, digits, mlp
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth(status="nonfinite", causes=("nonfinite-input",), step=0, roles=("input",), layer="")


def build(repaired: bool = False) -> Training:
    x, y = digits()
    deviation = x.std(axis=0)
    if repaired:
        deviation = np.where(deviation == 0, 1, deviation)
    with np.errstate(invalid="ignore"):  # NumPy does warn, once, far above the training's output.
        x = (x - x.mean(axis=0)) / deviation
    model = mlp("tanh")
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=classification())
    return Training(model, x, y)
