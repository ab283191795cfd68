"""A learning rate a hundred times too high: each step overshoots further than the last.

What goes wrong: with plain SGD on a squared error, a step that is too long lands higher up the
other side, where the gradient is larger, and so the next step is longer still. Loss and gradients
grow by a nearly constant factor a step, from the first steps on, until the square of the error is
beyond float32.

What the tab shows: the norms of gradients and weights climbing in a straight line (the scale is
logarithmic) long before anything is non-finite; then the loss, +Inf at step 22.

The repair: a lower learning rate. Where a high one is wanted, warm up to it, and clip the
gradients' norm (`global_clipnorm`), which bounds the step, though it cures no NaN.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, digits, mlp
from tb_nanwatch_demo.truth import Truth

LEARNING_RATE = 0.02
TRUTH = Truth(
    status="nonfinite",
    causes=("exploding-gradient", "divergence"),
    step=22,
    roles=("loss",),
    layer="",
)


def build(repaired: bool = False) -> Training:
    x, y = digits()
    model = mlp("tanh")
    model.compile(
        optimizer=keras.optimizers.SGD(LEARNING_RATE if repaired else 100 * LEARNING_RATE),
        loss="mean_squared_error",
    )
    return Training(model, x - x.mean(), y)
