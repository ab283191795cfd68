"""Adam in float16, with an epsilon that float16 does not have.

What goes wrong: everything is float16, Adam's moments too. Its epsilon of 1e-8, as in the paper, is
less than the smallest number of float16, 6e-8: it is 0. The second moment is 0 as well, wherever a
squared gradient times 0.001 is that small, so wherever the gradient is below 0.005. Then the update
is m / (sqrt(v) + epsilon) = m / 0: Inf, and NaN where a pixel that is always 0 makes m 0, too.

What the tab shows: gradients finite at step 0, most of Adam's second moments 0, the update of
`hidden` NaN and Inf.

The repair: variables and optimizer in float32, computation in float16: the policy
`mixed_float16`, with a `LossScaleOptimizer`. (Keras's own epsilon, 1e-7, is no way out: in float16
it is a number, but with v = 0 each step is a thousand times too long.)
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, classification, digits
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth(
    status="nonfinite",
    causes=("optimizer-overflow",),
    step=0,
    roles=("update",),
    layer="hidden",
)


def build(repaired: bool = False) -> Training:
    policy = "mixed_float16" if repaired else "float16"
    keras.utils.set_random_seed(7)
    model = keras.Sequential(
        [
            keras.Input((64,)),
            keras.layers.Dense(32, activation="relu", name="hidden", dtype=policy),
            keras.layers.Dense(10, name="logits", dtype=policy),
            keras.layers.Activation("linear", name="output", dtype="float32"),
        ]
    )
    optimizer: keras.optimizers.Optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-8)
    if repaired:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**10)
    model.compile(optimizer=optimizer, loss=classification())
    return Training(model, *digits(), watch=("all",))
