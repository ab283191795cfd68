"""Whatever operation is about to run eagerly is heard of, with what it takes."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.operation_callbacks import before_operation


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_function_is_an_operation_that_takes_what_it_captures(jit_compile: bool) -> None:
    counter = tf.Variable(1.0)
    seen: list[list[Any]] = []

    @tf.function(jit_compile=jit_compile)
    def count() -> None:
        counter.assign_add(1.0)

    count()
    with before_operation(lambda _, inputs: seen.append(inputs)):
        count()
    assert float(counter) == 3
    (inputs,) = (inputs for inputs in seen if any(each is counter.handle for each in inputs))
    assert len(inputs) == 1
