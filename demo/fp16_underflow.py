"""Half precision without loss scaling: small gradients become zero.

What goes wrong: an autoencoder draws each digit at 32 by 32. Its loss is a mean over all pixels of
the batch, 32,768 numbers, and as one of several goals it has a weight of 0.001. That makes the
gradient of one pixel about 1e-8. float16 is precise down to 6e-5, ever less so down to 6e-8,
and below there is only 0: of the gradient that reaches `decoder` two thirds are lost.

What the tab shows: the gradient arriving at `decoder` 0 in two thirds of its elements and the
smallest number of float16 in the others; nothing non-finite.

The repair: multiply the loss before going back, and divide the gradients in float32:
`keras.optimizers.LossScaleOptimizer`. `compile` adds it where `mixed_float16` is set for the whole
model, by `keras.mixed_precision.set_global_policy`; not where single layers are given it, as here.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, digits
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth(
    status="unstable",
    causes=("range-underflow",),
    roles=("activation_gradient",),
    layer="decoder",
)


def build(repaired: bool = False) -> Training:
    x, _ = digits()
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, activation="tanh", name="encoder", dtype="mixed_float16"),
            keras.layers.Dense(1024, name="decoder", dtype="mixed_float16"),
            keras.layers.Activation("linear", name="output", dtype="float32"),
        ]
    )
    optimizer: keras.optimizers.Optimizer = keras.optimizers.Adam(1e-3)
    if repaired:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**15)
    model.compile(optimizer=optimizer, loss="mean_squared_error", loss_weights=1e-3)
    drawn = x.reshape(-1, 8, 8).repeat(4, axis=1).repeat(4, axis=2).reshape(-1, 1024)
    return Training(model, x, drawn)
