"""Gradient clipping against a NaN: it only carries the NaN further.

What goes wrong: the network of `sqrt_at_zero`, with `global_clipnorm=1.0` against its NaN. The norm
of gradients that hold a NaN is NaN, and every gradient is multiplied by 1 / norm: before clipping
one kernel's is NaN, after it all are, the output layer's too.

What the tab shows: gradients before clipping, that of `capsules` NaN at step 31, that of `output`
finite; the updates of both NaN.

The repair: that of `sqrt_at_zero`, in the layer that makes the NaN. Clipping bounds gradients that
are large; for that it may stay.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.sqrt_at_zero import EMPTY_IMAGE, TRUTH, network
from tb_nanwatch_demo.training import Training, classification, digits

__all__ = ["TRUTH", "build"]


def build(repaired: bool = False) -> Training:
    x, y = digits()
    x[EMPTY_IMAGE] = 0
    model = network(epsilon=1e-12 if repaired else 0)
    model.compile(optimizer=keras.optimizers.Adam(1e-2, global_clipnorm=1.0), loss=classification())
    return Training(model, x, y, watch=("all",))
