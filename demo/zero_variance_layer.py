"""A layer of one's own divides by the variance of a row, and one row is the same everywhere.

What goes wrong: `RowScale` divides each image by the variance of its pixels. Row 700 of the data is
an empty sheet, white all over: its variance is 0, and 1 / 0 is Inf. The loss of that batch is NaN,
and the step writes NaN into every weight.

What the tab shows: the input finite at step 21, the output of `row_scale` +Inf in one row of 64
elements, and everything after it non-finite.

The repair: `(x - mean) * rsqrt(variance + epsilon)`, as `LayerNormalization` does: the difference
is 0 where the variance is, so the epsilon makes 0 of it. Compare `tiny_epsilon`, which adds an
epsilon and leaves the difference out.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, classification, digits
from tb_nanwatch_demo.truth import Truth

WHITE_SHEET = 700
TRUTH = Truth(
    status="nonfinite",
    causes=("layer-forward",),
    step=WHITE_SHEET // 32,
    roles=("activation",),
    layer="row_scale",
    operation=("RealDiv", "forward"),
    code="x / keras.ops.var(x",
)


class RowScale(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        return x / keras.ops.var(x, axis=-1, keepdims=True)


class RowNormalization(keras.layers.Layer):  # type: ignore[misc]
    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        mean, variance = keras.ops.moments(x, axes=-1, keepdims=True)
        return (x - mean) * keras.ops.rsqrt(variance + 1e-3)


def build(repaired: bool = False) -> Training:
    x, y = digits()
    x[WHITE_SHEET] = 1
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            (RowNormalization if repaired else RowScale)(name="row_scale"),
            keras.layers.Dense(32, activation="tanh", name="hidden"),
            keras.layers.Dense(10, name="output"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=classification())
    return Training(model, x, y)
