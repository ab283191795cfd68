"""`where(x > 0, log(x), 0)` is safe on the way forward, and NaN on the way back.

What goes wrong: `LogScale` takes the log of its scaled input where that is positive, and 0
elsewhere. Forward the mask works. But `where` computes both branches and so their slopes: at x = 0
that of the log is 1 / 0 = Inf, the mask sends 0 to it, and `0 * Inf` is NaN.

What the tab shows: step 0 finite up to the loss; the gradient arriving at `log_scale` finite, that
of its gain NaN where a pixel is 0; from then on the gain itself. The loss stays finite: NaN > 0 is
false, so the `where` makes 0 of it, and the network no longer sees those pixels.

The repair: a second `where` inside, that gives the log something harmless where it is not used:
`where(x > 0, log(where(x > 0, x, 1)), 0)`.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, classification, digits
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth(
    status="nonfinite",
    causes=("layer-backward",),
    step=0,
    roles=("gradient",),
    layer="log_scale",
    loss_stays_finite=True,
    operation=("Log", "backward"),
    code="keras.ops.log(inside)",
)


class LogScale(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, double_where: bool, name: str) -> None:
        super().__init__(name=name)
        self.double_where = double_where

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.gain = self.add_weight(shape=shape[-1:], initializer="ones", name="gain")

    def call(self, x: keras.KerasTensor) -> keras.KerasTensor:
        where = keras.ops.where
        x = self.gain * x
        inside = where(x > 0, x, 1.0) if self.double_where else x
        return where(x > 0, keras.ops.log(inside), 0.0)


def build(repaired: bool = False) -> Training:
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            LogScale(double_where=repaired, name="log_scale"),
            keras.layers.Dense(32, activation="tanh", name="hidden"),
            keras.layers.Dense(10, name="output"),
        ]
    )
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=classification())
    return Training(model, *digits())
