"""Features as they were measured, up to a few hundred, straight into plain SGD.

What goes wrong: the gradient of a kernel is a product with the input, and so is what the step does
to the output: features of 100 make that 10,000 times too much. Even a learning rate of 1e-4
overshoots further at each step, until the square of the error is beyond float32.

What the tab shows: inputs of up to 301; the norms of gradients and weights climbing by a constant
factor from step 0 on; then the loss, +Inf at step 15.

The repair: standardize each feature with the mean and deviation of the training data, or let a
`keras.layers.Normalization` do so. Then a learning rate of 1e-2 will do.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, diabetes, standardized
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth(
    status="nonfinite",
    causes=("exploding-gradient", "unscaled-input"),
    step=15,
    roles=("loss",),
    layer="",
)


def build(repaired: bool = False) -> Training:
    x, y = diabetes()
    if repaired:
        x = standardized(x)
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((10,)), keras.layers.Dense(1, name="output")])
    model.compile(
        optimizer=keras.optimizers.SGD(1e-2 if repaired else 1e-4), loss="mean_squared_error"
    )
    return Training(model, x, standardized(y), batch=8)
