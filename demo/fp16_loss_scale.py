"""Loss scaling at work: the first steps overflow, and that is how it finds its scale.

What happens: with `mixed_float16` the loss is multiplied before the gradients are taken, so that
small ones survive in float16. The scale begins high, and large gradients overflow:
`LossScaleOptimizer` refuses those steps, halves the scale each time, and goes on when all is
finite. That is no error, and nothing to mend: nothing non-finite ever reaches a weight.

What the tab shows: seven steps refused by loss scaling; then a healthy training.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, classification, digits
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth(also=("loss-scale-backoff",))


def build() -> Training:
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, activation="relu", name="hidden", dtype="mixed_float16"),
            keras.layers.Dense(10, name="logits", dtype="mixed_float16"),
            keras.layers.Activation("linear", name="output", dtype="float32"),
        ]
    )
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras.optimizers.Adam(1e-3), initial_scale=2.0**24
    )
    model.compile(optimizer=optimizer, loss=classification())
    return Training(model, *digits())
