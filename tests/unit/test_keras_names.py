"""What Keras calls things, in the versions in which it has no public name for them."""

from __future__ import annotations

from types import SimpleNamespace

import keras
import pytest
import tensorflow as tf

from tb_nanwatch.adapters.keras.instrument.optimizers import iterations
from tb_nanwatch.adapters.keras.instrument.paths import own_path


@pytest.mark.parametrize(
    ("layer", "path"),
    [
        ({"name": "dense", "path": "model/dense", "_parent_path": "model"}, "model/dense"),
        ({"name": "dropout", "path": None, "_parent_path": "model"}, "model/dropout"),
        ({"name": "input", "path": None, "_parent_path": None}, "input"),
        ({"name": "dense", "_parent_path": "model"}, "model/dense"),  # Up to Keras 3.3.
    ],
)
def test_path_of_a_layer(layer: dict[str, str | None], path: str) -> None:
    assert own_path(SimpleNamespace(**layer)) == path


def test_iterations_are_micro_batches() -> None:
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=4)
    variable = keras.Variable([1.0])
    optimizer.build([variable])
    for _ in range(6):
        optimizer.apply([tf.constant([1.0])])
    assert iterations(optimizer) == 6
    assert iterations(None) == 0
    old = SimpleNamespace(iterations=tf.Variable(6))  # Up to Keras 3.4.
    assert iterations(old) == 6
