"""A cross entropy written by hand works until the network becomes sure of itself.

What goes wrong: ten sigmoids, and `-(y log p + (1 - y) log(1 - p))` of their outputs. In float32 a
sigmoid is exactly 1 from about 17 on, and then `1 - p` is 0, its log -Inf, and `0 * -Inf` NaN. The
training looks good for one epoch and a half: the better it gets, the sooner it breaks. Adding 1e-7
to p does not help: it is `1 - p` that is 0.

What the tab shows: predictions and targets finite at step 85, the loss NaN, and so every gradient.

The repair: let the loss see the logits. `BinaryCrossentropy(from_logits=True)` computes the same
from numbers that never saturate.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, digits, mlp
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth(
    status="nonfinite",
    causes=("loss-domain",),
    step=85,
    roles=("loss",),
    layer="",
    operation=("Log", "forward"),
    code="keras.ops.log(1 - p)",
)


def cross_entropy(y: keras.KerasTensor, p: keras.KerasTensor) -> keras.KerasTensor:
    return keras.ops.mean(-(y * keras.ops.log(p) + (1 - y) * keras.ops.log(1 - p)))


def build(repaired: bool = False) -> Training:
    model = mlp("relu", output=None if repaired else "sigmoid", seed=3)
    model.compile(
        optimizer=keras.optimizers.Adam(0.03),
        loss=keras.losses.BinaryCrossentropy(from_logits=True) if repaired else cross_entropy,
    )
    return Training(model, *digits(), epochs=2)
