"""The length of a vector has no slope at zero.

What goes wrong: as in a capsule network, the units of a layer go in fours, and what counts is the
length of each four, `sqrt(sum(x ** 2))`. Row 1000 of the data is an empty image; its capsules are
zero, and forward all is well: their length is 0. Backward it is not: the slope of the root at 0 is
1 / 0 = Inf, that of the square is 0, and `Inf * 0` is NaN.

What the tab shows: step 31 finite up to the loss, and the gradient arriving at `length` finite; the
one that it passes on to `capsules` NaN in one row, and so the gradient of their kernel.

The repair: an epsilon inside the root, `sqrt(sum(x ** 2) + 1e-12)`. Added to the root's result it
would change nothing.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, classification, digits
from tb_nanwatch_demo.truth import Truth

EMPTY_IMAGE = 1000
TRUTH = Truth(
    status="nonfinite",
    causes=("layer-backward",),
    step=EMPTY_IMAGE // 32,
    roles=("activation_gradient", "gradient"),
    layer="length",
    operation=("Sqrt", "backward"),
    code="keras.ops.sqrt(keras.ops.sum(fours",
)


class Length(keras.layers.Layer):  # type: ignore[misc]
    """The lengths of fours: [batch, 40] to [batch, 10]."""

    def __init__(self, epsilon: float, name: str) -> None:
        super().__init__(name=name)
        self.epsilon = epsilon

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        fours = keras.ops.reshape(x, (-1, 10, 4))
        return keras.ops.sqrt(keras.ops.sum(fours * fours, axis=-1) + self.epsilon)


def network(epsilon: float) -> keras.Sequential:
    keras.utils.set_random_seed(7)
    return keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(40, use_bias=False, name="capsules"),
            Length(epsilon, name="length"),
            keras.layers.Dense(10, name="output"),
        ]
    )


def build(repaired: bool = False) -> Training:
    x, y = digits()
    x[EMPTY_IMAGE] = 0
    model = network(epsilon=1e-12 if repaired else 0)
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss=classification())
    return Training(model, x, y)
