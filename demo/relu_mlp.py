"""A healthy training, to compare the others with: nothing non-finite, nothing to report.

The network and data of `nan_feature`, whole. What the tab shows: gradients that shrink slowly,
weights that hardly move, and no finding.
"""

from __future__ import annotations

import keras

from tb_nanwatch_demo.training import Training, classification, digits, mlp
from tb_nanwatch_demo.truth import Truth

TRUTH = Truth()


def build() -> Training:
    model = mlp("relu")
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=classification())
    return Training(model, *digits())
