"""Attention with a mask of -Inf, and one sequence that is masked everywhere.

What goes wrong: an image is read as a sequence of eight lines, and lines without ink are masked:
their scores become -Inf, their weights 0. Image 1200 has no ink at all. A softmax of nothing but
-Inf is (-Inf) - (-Inf) = NaN.

What the tab shows: step 37: inputs finite, the output of `attention` NaN in one row of the batch,
then everything. (The -Inf of the mask never leaves the layer, and is no error.)

The repair: where nothing is left to attend to, attend to nothing: multiply the weights by the mask
after a softmax over large negative, finite scores. So do `keras.layers.MultiHeadAttention` and
`keras.layers.Softmax` with their `mask` arguments.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, classification, digits
from tb_nanwatch_demo.truth import Truth

EMPTY_IMAGE = 1200
TRUTH = Truth(
    status="nonfinite",
    causes=("layer-forward",),
    step=EMPTY_IMAGE // 32,
    roles=("activation",),
    layer="attention",
    operation=("Softmax", "forward"),
    code="ops.softmax(ops.where(",
)


class Attention(keras.layers.Layer):  # type: ignore[misc]
    """Each line [batch, 8, 8] looks at the lines that have ink."""

    def __init__(self, safe: bool, name: str) -> None:
        super().__init__(name=name)
        self.safe = safe

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.query = self.add_weight(shape=(8, 8), name="query")
        self.key = self.add_weight(shape=(8, 8), name="key")

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        ops = keras.ops
        ink = ops.any(x > 0, axis=-1)[:, None, :]
        scores = (x @ self.query) @ ops.transpose(x @ self.key, (0, 2, 1))
        if self.safe:
            weights = ops.softmax(ops.where(ink, scores, -1e9)) * ops.cast(ink, x.dtype)
        else:
            weights = ops.softmax(ops.where(ink, scores, -float("inf")))
        return weights @ x


def build(repaired: bool = False) -> Training:
    x, y = digits()
    x = x.reshape(-1, 8, 8)
    x[EMPTY_IMAGE] = 0
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((8, 8)),
            Attention(safe=repaired, name="attention"),
            keras.layers.Flatten(name="flatten"),
            keras.layers.Dense(10, name="output"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss=classification())
    return Training(model, x, y)
