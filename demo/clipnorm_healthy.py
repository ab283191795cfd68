"""A healthy training whose gradients are clipped: large ones, now and then, and no trouble.

A tanh network with `global_clipnorm=1.0` at a learning rate that needs it. NaNWatch records
gradients before they are clipped, so that a spike shows. One that heals is no explosion.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, classification, digits, mlp
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth()


def build() -> Training:
    model = mlp("tanh")
    model.compile(
        optimizer=keras.optimizers.SGD(0.5, momentum=0.5, global_clipnorm=1.0),
        loss=classification(),
    )
    return Training(model, *digits())
