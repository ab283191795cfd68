"""The layer of `zero_variance_layer` with an epsilon: no NaN now, and no training either.

What goes wrong: `x / (variance + 1e-7)`. From row 900 on every sixteenth sheet is white all over;
their variance is 0, and 1 / 1e-7 is ten million. That is a finite number: the activations jump to
1e7, the squared error to 1e11, and what had been learnt is gone.

What the tab shows: the output of `row_scale`, and everything after it, seven decades up from step
28 on; nothing non-finite.

The repair: `(x - mean) * rsqrt(variance + epsilon)`: the difference is 0 where the variance is. An
epsilon belongs to what it is added to: 1e-7 is nothing beside a variance of 0.1, and everything
beside one of 0.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, digits
from tb_nanwatch_demo.truth import Truth
from tb_nanwatch_demo.zero_variance_layer import RowNormalization

FIRST_WHITE_SHEET = 900
TRUTH = Truth(
    status="unstable",
    causes=("divergence", "range-overflow-risk", "exploding-gradient"),
    step=FIRST_WHITE_SHEET // 32,
)


class RowScaleWithEpsilon(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return x / (keras.ops.var(x, axis=-1, keepdims=True) + 1e-7)


def build(repaired: bool = False) -> Training:
    x, y = digits()
    x[FIRST_WHITE_SHEET::16] = 1
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            (RowNormalization if repaired else RowScaleWithEpsilon)(name="row_scale"),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(10, name="output"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mean_squared_error")
    return Training(model, x, y)
