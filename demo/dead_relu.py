"""One huge step, and a ReLU layer is silent for ever.

What goes wrong: one label is a thousand times too large, a decimal comma read as a thousands
separator. Step 20, with that row, is so long that every unit of `hidden` is thrown far up or far
down, and the next two throw down those that went up. Below zero a ReLU gives 0 and has slope 0: not
one of them ever moves again, and the output layer is left with its bias.

What the tab shows: a spike of all gradients at steps 20 to 22; from then on the gradients of
`hidden` exactly 0, its activations 0, and a loss that is not.

The repair: `global_clipnorm=1.0` bounds the length of a step, whatever a label says; and look at
the range of the labels. A leaky ReLU keeps a slope below zero.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, diabetes
from tb_nanwatch_demo.truth import Truth

ROW = 160
TRUTH = Truth(
    status="unstable",
    causes=("dead-layer",),
    beside=("divergence", "exploding-gradient", "unscaled-target"),
    step=23,
    roles=("gradient", "activation", "activation_gradient"),
    layer="hidden",
)


def build(repaired: bool = False) -> Training:
    x, y = diabetes()
    x, y = x / x.max(axis=0), y / 100
    y[ROW] *= 1000
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((10,)),
            keras.layers.Dense(16, activation="relu", name="hidden"),
            keras.layers.Dense(1, name="output"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.SGD(0.1, global_clipnorm=1.0 if repaired else None),
        loss="mean_squared_error",
    )
    return Training(model, x, y, batch=8)
