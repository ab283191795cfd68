"""One cell of the data is NaN, and the loss does not show it.

What goes wrong: row 17 has one missing pixel. Step 0 (rows 0 to 31) makes the gradient of the first
kernel NaN, the optimizer writes it, and that layer is lost. But `relu(NaN)` is 0 in TensorFlow's
oneDNN kernels, so the loss stays finite and even looks plausible: it comes to rest at log 10, the
loss of guessing. `TerminateOnNaN` never fires. Without oneDNN (`TF_ENABLE_ONEDNN_OPTS=0`, or
another processor) the loss is NaN at once.

What the tab shows: the input NaN at step 0; `hidden_1` NaN from then on; the loss finite.

The repair: look for NaN in the data before training, column by column, and impute it or drop the
row. A layer that replaces NaN hides the next one too.
"""

from __future__ import annotations

import keras
import numpy as np

from tb_nanwatch_demo.training import Training, classification, digits, mlp
from tb_nanwatch_demo.truth import Truth

ROW, COLUMN = 17, 20
TRUTH = Truth(
    status="nonfinite",
    causes=("nonfinite-input",),
    step=0,
    roles=("input",),
    layer="",
    onednn_hides=True,
)


def build(repaired: bool = False) -> Training:
    x, y = digits()
    x[ROW, COLUMN] = np.nan
    if repaired:
        x = np.where(np.isnan(x), np.nanmean(x, axis=0), x)
    model = mlp("relu")
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=classification())
    return Training(model, x, y)
