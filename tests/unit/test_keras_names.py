"""What Keras calls things, in the versions in which it has no public name for them."""

from __future__ import annotations

from collections import OrderedDict
from types import SimpleNamespace
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from tb_nanwatch.adapters.keras.framework import Keras
from tb_nanwatch.adapters.keras.structures import flatten_with_path
from tb_nanwatch.adapters.keras_common.instrument.optimizers import iterations


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
    assert Keras().layer_path(SimpleNamespace(**layer)) == path


def test_iterations_are_micro_batches() -> None:
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=4)
    variable = keras.Variable([1.0])
    optimizer.build([variable])
    for _ in range(6):
        optimizer.apply([tf.constant([1.0])])
    assert iterations(optimizer) == 6
    assert iterations(None) == 0
    old = SimpleNamespace(iterations=tf.Variable(6))  # Up to Keras 3.4.
    assert Keras().iterations(old) == 6


class Pair(NamedTuple):
    one: int
    two: dict[str, int]


@pytest.mark.parametrize(
    "structure",
    [
        7,
        None,
        [],
        (1, [2, None], {"b": 3, "a": (4,)}),
        {"z": [1, 2], "y": {"x": 3}},
        {2: 1, 10: 2},
        OrderedDict([("b", 1), ("a", {"c": [2]})]),
        [Pair(1, {"k": 2}), np.zeros(2)],
        tf.RaggedTensor.from_row_lengths([1.0, 2.0], [2]),
    ],
)
def test_places_are_those_that_keras_gives(structure: Any) -> None:
    expected = keras.tree.flatten_with_path(structure)
    found = flatten_with_path(structure)
    assert [id(leaf) for _, leaf in found] == [id(leaf) for _, leaf in expected]
    assert [place for place, _ in found] == [place for place, _ in expected]
