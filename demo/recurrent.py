"""A linear recurrence with a gain of 1.5, over 200 steps of time.

What goes wrong: each step of time multiplies the state by 1.5, and 1.5 ** 200 is 1.7e35. That is
still a float32; its square, in the loss, is not. Going back, the gradient grows the same way.

What the tab shows: the output of `rnn` 35 decades up at step 0, the loss +Inf, and the gradients
with it.

The repair: a gain of 1 (the orthogonal initial weights that Keras takes by itself) and an
activation that bounds the state, tanh; for long memories a GRU or LSTM. And `global_clipnorm`,
for the gradients that are merely large.
"""

from __future__ import annotations

import keras
import numpy as np

from tb_nanwatch_demo.training import Training
from tb_nanwatch_demo.truth import Truth

TIMES = 200
TRUTH = Truth(status="nonfinite", causes=("exploding-gradient",), step=0, roles=("loss",), layer="")


def waves() -> tuple[np.ndarray, np.ndarray]:
    """Noisy sine waves, float32 [640, 200, 1], and the value that comes next, float32 [640, 1]."""
    random = np.random.default_rng(1)
    phase, frequency = random.uniform(0, 6, (640, 1)), random.uniform(0.1, 0.3, (640, 1))
    wave = np.sin(phase + frequency * np.arange(TIMES + 1)) + random.normal(
        0, 0.05, (640, TIMES + 1)
    )
    return wave[:, :-1, None].astype(np.float32), wave[:, -1:].astype(np.float32)


def build(repaired: bool = False) -> Training:
    keras.utils.set_random_seed(7)
    gain = 1.0 if repaired else 1.5
    model = keras.Sequential(
        [
            keras.Input((TIMES, 1)),
            keras.layers.SimpleRNN(
                8,
                activation="tanh" if repaired else None,
                recurrent_initializer=keras.initializers.Orthogonal(gain),
                name="rnn",
            ),
            keras.layers.Dense(1, name="output"),
        ]
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3, global_clipnorm=1.0 if repaired else None),
        loss="mean_squared_error",
    )
    return Training(model, *waves())
