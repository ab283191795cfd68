"""Twenty sigmoid layers: nothing is NaN, and nothing is learnt.

What goes wrong: the slope of a sigmoid is at most 1/4. Going back through twenty of them multiplies
the gradient by twenty such factors: the last layer's mean gradient is around 0.1, the first one's
below 1e-12. The first layers never move. No NaN comes of it, and no check for NaN finds it.

What the tab shows: the gradients' rows fading from the last layer to the first, from step 0 on.

The repair: ReLU with He's initial weights, and residual connections where it gets deeper still.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, classification, digits
from tb_nanwatch_demo.truth import Truth

LAYERS = 20
TRUTH = Truth(
    status="unstable", causes=("vanishing-gradient",), roles=("gradient",), layer="hidden_1"
)


def build(repaired: bool = False) -> Training:
    activation, initializer = ("relu", "he_normal") if repaired else ("sigmoid", "glorot_uniform")
    keras.utils.set_random_seed(7)
    hidden = [
        keras.layers.Dense(
            16, activation=activation, kernel_initializer=initializer, name=f"hidden_{number}"
        )
        for number in range(1, LAYERS + 1)
    ]
    output = keras.layers.Dense(10, name="output")
    model = keras.Sequential([keras.Input((64,)), *hidden, output])
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=classification())
    return Training(model, *digits(), watch=("default", "-weight"))
