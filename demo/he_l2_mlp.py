"""A healthy deep network: six ReLU layers with He's initial weights, L2 decay, and momentum.

What the tab shows: gradients of the same size in the first layer and the last, and no finding.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, classification, digits
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth()


def build() -> Training:
    keras.utils.set_random_seed(7)
    hidden = [
        keras.layers.Dense(
            32,
            activation="relu",
            kernel_initializer="he_normal",
            kernel_regularizer=keras.regularizers.L2(1e-4),
            name=f"hidden_{number}",
        )
        for number in range(1, 7)
    ]
    output = keras.layers.Dense(10, name="output")
    model = keras.Sequential([keras.Input((64,)), *hidden, output])
    model.compile(optimizer=keras.optimizers.SGD(0.05, momentum=0.9), loss=classification())
    return Training(model, *digits())
