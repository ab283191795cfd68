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

from collections.abc import Sequence
from pathlib import Path

import keras

from tb_nanwatch_demo.training import Array, digits, fit, mlp, one_hot
from tb_nanwatch_demo.truth import Truth

LEARNING_RATE = 0.02
TRUTH = Truth(first_step=22, role="loss", cause="exploding-gradient")


def build(repaired: bool = False) -> tuple[keras.Model, Array, Array]:
    x, labels = digits()
    model = mlp("tanh")
    model.compile(
        optimizer=keras.optimizers.SGD(LEARNING_RATE if repaired else 100 * LEARNING_RATE),
        loss=keras.losses.MeanSquaredError(),
    )
    return model, x - x.mean(), one_hot(labels)


def train(
    log_dir: str | Path,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    repaired: bool = False,
) -> keras.callbacks.History:
    model, x, y = build(repaired)
    return fit(model, x, y, log_dir, callbacks)
