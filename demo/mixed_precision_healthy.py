"""A healthy training in mixed precision: float16 layers, float32 weights, a loss scale that fits.

What the tab shows: gradients as they are without the loss scale, no step refused, and no finding.
Compare `fp16_underflow`, which has no loss scale, and `fp16_loss_scale`, which begins too high.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, classification, digits
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth()


def build() -> Training:
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(64, activation="relu", name="hidden", dtype="mixed_float16"),
            keras.layers.Dense(10, name="logits", dtype="mixed_float16"),
            keras.layers.Activation("linear", name="output", dtype="float32"),
        ]
    )
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(1e-3), initial_scale=2.0**10
    )
    model.compile(optimizer=optimizer, loss=classification())
    return Training(model, *digits())
