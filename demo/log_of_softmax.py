"""The log of a softmax: right in a textbook, -Inf in float32.

What goes wrong: logits are divided by a temperature of 0.05, as contrastive losses do, so that they
lie far apart; and `log(softmax(z))` underflows where one is more than about 104 below the largest.
The softmax is exactly 0 there, its log -Inf, and where the label is 0, `0 * -Inf` is NaN. The
softmax itself is stable: it is the log of its 0 that is not.

What the tab shows: predictions (the logits) finite at step 2, the loss NaN, and so every gradient.

The repair: `log_softmax(z)`, which is `z - logsumexp(z)` and never sees the 0; in Keras,
`CategoricalCrossentropy(from_logits=True)`.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, digits, mlp
from tb_nanwatch_demo.truth import Truth

TEMPERATURE = 0.05
TRUTH = Truth(
    status="nonfinite",
    causes=("loss-domain",),
    step=2,
    roles=("loss",),
    layer="",
    operation=("Log", "forward"),
    code="keras.ops.log(keras.ops.softmax(z",
)


def log_of_softmax(y: keras.KerasTensor, z: keras.KerasTensor) -> keras.KerasTensor:
    return -keras.ops.sum(y * keras.ops.log(keras.ops.softmax(z / TEMPERATURE)), axis=-1)


def log_softmax(y: keras.KerasTensor, z: keras.KerasTensor) -> keras.KerasTensor:
    return -keras.ops.sum(y * keras.ops.log_softmax(z / TEMPERATURE), axis=-1)


def build(repaired: bool = False) -> Training:
    model = mlp("relu")
    model.compile(
        optimizer=keras.optimizers.Adam(0.03), loss=log_softmax if repaired else log_of_softmax
    )
    return Training(model, *digits())
