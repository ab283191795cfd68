"""The error is clipped inside the loss, and with it goes the gradient.

What goes wrong: outliers shall not dominate, so the difference is clipped to -1 ... 1 before it is
squared. But the targets are 25 to 346, and the predictions begin near 0: every difference is
clipped, the loss is 1 whatever the network says, and the slope of a constant is 0. Clipping does
change gradients: outside its range they are zero.

What the tab shows: a loss of exactly 1 and gradients of exactly 0 in every layer, from step 0 on.

The repair: the Huber loss, which is linear outside the range and so keeps a slope there. Where it
is the gradient that is too large, clip the gradient (`clipnorm`), not the loss.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, diabetes, standardized
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth(status="unstable", causes=("dead-layer",), beside=("unscaled-target",), step=0)


def clipped_error(y: keras.KerasTensor, prediction: keras.KerasTensor) -> keras.KerasTensor:
    return keras.ops.mean(keras.ops.square(keras.ops.clip(y - prediction, -1, 1)))


def build(repaired: bool = False) -> Training:
    x, y = diabetes()
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(32, activation="relu", name="hidden"),
            keras.layers.Dense(1, name="output"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-2),
        loss=keras.losses.Huber(delta=1) if repaired else clipped_error,
    )
    return Training(model, standardized(x), y, batch=8)
