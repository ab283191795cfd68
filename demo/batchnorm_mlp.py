"""A healthy training with BatchNorm after each hidden layer, and dropout.

What the tab shows: moving statistics that settle, biases before BatchNorm whose gradients are all
but zero (the mean that it subtracts takes them away), and no finding.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, classification, digits
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth()


def build() -> Training:
    keras.utils.set_random_seed(7)
    layers = [keras.Input((64,))]
    for number, units in enumerate((64, 32), start=1):
        layers += [
            keras.layers.Dense(units, name=f"hidden_{number}"),
            keras.layers.BatchNormalization(name=f"batch_norm_{number}"),
            keras.layers.ReLU(name=f"relu_{number}"),
            keras.layers.Dropout(0.2, seed=number, name=f"dropout_{number}"),
        ]
    model = keras.Sequential([*layers, keras.layers.Dense(10, name="output")])
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss=classification())
    return Training(model, *digits())
