"""Whoever assigns to a variable, it is on_variable_write of before, in the thread that asked."""

from __future__ import annotations

import threading
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.tracing.variable_hooks import (
    on_variable_read,
    on_variable_write,
    variable_key,
)

BEFORE = tf.Variable.assign, tf.Variable.assign_add


def test_every_way_to_assign_is_heard_of_before_it_happens() -> None:
    variable = tf.Variable([1.0, 2.0, 3.0])
    found: list[list[float]] = []

    def callback(each: Any) -> None:
        assert variable_key(each) == variable_key(variable)
        found.append(variable.numpy().tolist())

    row = tf.IndexedSlices(tf.constant([5.0]), tf.constant([1]))
    with on_variable_write(callback):
        variable.assign([1.0, 1.0, 1.0])
        variable.assign_add([1.0, 1.0, 1.0])
        variable.assign_sub([2.0, 2.0, 2.0])
        variable.scatter_update(row)
    assert found[:1] == [[1, 2, 3]]
    unique = [each for n, each in enumerate(found) if n == 0 or each != found[n - 1]]
    assert unique == [[1, 2, 3], [1, 1, 1], [2, 2, 2], [0, 0, 0]]
    variable.assign([9.0, 9.0, 9.0])
    assert found[-1] == [0, 0, 0]
    assert (tf.Variable.assign, tf.Variable.assign_add) == BEFORE


def test_keras_variables_metrics_and_seeds_are_heard_of() -> None:
    metric, seed = keras.metrics.Mean(), keras.random.SeedGenerator(1)
    known = {variable_key(each.value): each.path for each in (*metric.variables, seed.state)}
    names = set()
    with on_variable_write(lambda each: names.add(known[variable_key(each)])):
        metric.update_state(3.0)
        seed.next()
    assert names == set(known.values())


def test_of_what_is_replicated_each_copy_is_heard_of() -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        variable = tf.Variable(1.0)
    (copy,) = strategy.experimental_local_results(variable)
    found = []
    hear = on_variable_write(lambda each: found.append((variable_key(each), each.numpy())))
    with strategy.scope(), hear:
        variable.assign_add(1.0)
    assert set(found) == {(variable_key(copy), 1.0)}
    assert copy.numpy() == 2.0


def test_a_value_from_before_is_kept_by_holding_it() -> None:
    variable = tf.Variable(tf.ones([1000]))
    kept = []
    with on_variable_write(lambda each: kept.append(each.read_value())):
        variable.assign_add(tf.ones([1000]))
    np.testing.assert_array_equal(kept[0], np.ones(1000))
    np.testing.assert_array_equal(variable, np.full(1000, 2.0))


def test_another_thread_is_not_heard_and_its_own_hearing_stays() -> None:
    variable = tf.Variable(1.0)
    mine: list[Any] = []
    with on_variable_write(mine.append):
        thread = threading.Thread(target=lambda: variable.assign(2.0))
        thread.start()
        thread.join()
        assert mine == []
        inner: list[Any] = []
        with on_variable_write(inner.append):
            variable.assign(3.0)
        variable.assign(4.0)
    assert (len(inner) > 0, len(mine) > 0) == (True, True)
    with pytest.raises(ZeroDivisionError), on_variable_write(mine.append):
        raise ZeroDivisionError
    assert (tf.Variable.assign, tf.Variable.assign_add) == BEFORE


def test_what_is_read_is_heard_of_too() -> None:
    weight, counter = tf.Variable(2.0), tf.Variable(1.0, trainable=False)
    unread = tf.Variable(0.0)
    found = set()
    with on_variable_read(lambda each: found.add(variable_key(each))):
        tf.add(weight, 1.0)
        tf.matmul([[2.0]], tf.reshape(counter, [1, 1]))
        counter.read_value()
    assert found == {variable_key(weight), variable_key(counter)}
    assert variable_key(unread) not in found
