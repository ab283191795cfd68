"""A healthy training of attention with a mask: what `attention_mask` should have been.

Eight lines of an image, those without ink masked, in Keras's own `MultiHeadAttention`, which adds a
large negative, finite number to masked scores. Image 1200 has no ink at all, and all is well.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.attention_mask import EMPTY_IMAGE
from tb_nanwatch_demo.training import Training, classification, digits
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth()


def build() -> Training:
    x, y = digits()
    x = x.reshape(-1, 8, 8)
    x[EMPTY_IMAGE] = 0
    keras.utils.set_random_seed(7)
    lines = keras.Input((8, 8))
    ink = keras.ops.any(lines > 0, axis=-1)[:, None, :]
    attention = keras.layers.MultiHeadAttention(num_heads=2, key_dim=8, name="attention")
    attended = attention(lines, lines, attention_mask=ink)
    normalized = keras.layers.LayerNormalization(name="layer_norm")(attended)
    flat = keras.layers.Flatten(name="flatten")(normalized)
    model = keras.Model(lines, keras.layers.Dense(10, name="output")(flat))
    model.compile(optimizer=keras.optimizers.Adam(1e-2), loss=classification())
    return Training(model, x, y)
