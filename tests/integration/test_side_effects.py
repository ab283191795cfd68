"""What a step does besides its update is done once, watched or not, by whatever means."""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import read_recorded

import tb_nanwatch as nanwatch

STEPS, BAD_STEP = 5, 2
ONE = tf.constant([1], tf.int64)

MODES: dict[str, Callable[[Any], Any]] = {"eager": lambda step: step, "graph": tf.function}


class World:
    """What steps read and change besides the weight."""

    def __init__(self, log_dir: str) -> None:
        self.table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, 0.0)
        self.generator = tf.random.Generator.from_seed(3)
        self.counter = tf.Variable(0.0)
        self.queue = tf.queue.FIFOQueue(100, [tf.float32])
        self.writer = tf.summary.create_file_writer(log_dir)
        self.file = os.path.join(log_dir, "sum")
        self.calls = 0

    def call(self, x: Any) -> Any:
        self.calls += 1
        return x

    def state(self) -> list[Any]:
        return [
            float(self.table.lookup(ONE)[0]),
            self.generator.state.numpy().tolist(),
            float(self.counter),
            int(self.queue.size()),
            self.calls,
            float(np.random.uniform()),  # noqa: NPY002
            random.random(),
            tf.random.uniform([]).numpy().item(),
            tf.random.uniform([], seed=4).numpy().item(),
        ]


def insert(world: World, x: Any) -> Any:
    world.table.insert(ONE, world.table.lookup(ONE) + 1)
    return x


def insert_within(world: World, x: Any) -> Any:
    @tf.function
    def function(x: Any) -> Any:
        return insert(world, x)

    return function(x)


def look_up(world: World, x: Any) -> Any:
    return x + world.table.lookup(ONE)


def look_up_within(world: World, x: Any) -> Any:
    return tf.function(lambda x: look_up(world, x))(x)


def enqueue(world: World, x: Any) -> Any:
    world.queue.enqueue(tf.reduce_sum(x))
    return x


def numpy_function(world: World, x: Any) -> Any:
    return tf.ensure_shape(tf.numpy_function(world.call, [x], tf.float32), x.shape)


def py_function(world: World, x: Any) -> Any:
    return tf.ensure_shape(tf.py_function(world.call, [x], tf.float32), x.shape)


def draw(world: World, x: Any) -> Any:
    return x + world.generator.uniform([])


def draw_within(world: World, x: Any) -> Any:
    return x + tf.function(lambda: world.generator.uniform([]))()


def count_within(world: World, x: Any) -> Any:
    @tf.function
    def function(x: Any) -> Any:
        world.counter.assign_add(1.0)
        return x

    return function(x)


def count_in_a_branch(world: World, x: Any) -> Any:
    def count() -> Any:
        world.counter.assign_add(1.0)
        return x

    return tf.cond(tf.reduce_sum(x) > 0, count, lambda: x)


def summarize(world: World, x: Any) -> Any:
    with world.writer.as_default(step=1):
        tf.summary.scalar("sum", tf.reduce_sum(x))
    return x


def draw_from_globals(world: World, x: Any) -> Any:
    drawn = np.random.uniform() + random.random()  # noqa: NPY002
    return x + drawn + tf.random.uniform([]) + tf.random.uniform([], seed=4)


def write_nothing(world: World, x: Any) -> Any:
    tf.print("", end="", output_stream=f"file://{world.file}")
    return x


def write_file(world: World, x: Any) -> Any:
    tf.io.write_file(world.file, tf.strings.as_string(tf.reduce_sum(x)))
    return x


LOOKED_INTO = (
    look_up,
    look_up_within,
    draw,
    draw_within,
    draw_from_globals,
    write_nothing,
    count_within,
    count_in_a_branch,
    summarize,
)
NOT = {
    insert: "LookupTableInsert",
    insert_within: "LookupTableInsert",
    enqueue: "QueueEnqueue",
    py_function: "tf.py_function",
    numpy_function: "tf.numpy_function",
    write_file: "writes a file",
}


def train(
    tmp_path: Path, act: Callable[[World, Any], Any], mode: str, watched: bool
) -> tuple[list[float], list[float], list[Any], list[Any]]:
    """Losses, the weight, the state of the world, events of the summaries."""
    keras.utils.set_random_seed(1)
    folder = tmp_path / str(watched)
    world = World(str(folder / "own"))
    weight = tf.Variable(tf.ones([3, 1]))
    watcher = nanwatch.Watcher(folder, every=1)

    def step(x: Any) -> Any:
        x = act(world, x)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.math.log(tf.matmul(x, weight)))
        gradient = tape.gradient(loss, weight)
        weight.assign_sub(0.1 * gradient)
        if watched:
            watcher.observe(loss=loss, gradient=[(gradient, weight)])
        return loss

    run = MODES[mode](step)
    run = watcher.step(run) if watched else run
    losses = []
    for number in range(STEPS):
        x = np.ones((4, 3), np.float32)
        if number == BAD_STEP:
            x[1] = -100
        losses.append(float(run(tf.constant(x))))
        if watched:
            watcher.step_end()
    watcher.close()
    world.writer.close()
    events = [
        value.tag
        for file in (folder / "own").iterdir()
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    ]
    return losses, weight.numpy().ravel().tolist(), world.state(), events


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("act", LOOKED_INTO)
def test_what_can_be_put_back_is(tmp_path: Path, act: Any, mode: str) -> None:
    plain = train(tmp_path, act, mode, watched=False)
    watched = train(tmp_path, act, mode, watched=True)
    np.testing.assert_equal(watched, plain)
    (rerun,) = read_recorded(tmp_path / "True" / "nanwatch").reruns
    assert rerun.operation is not None
    assert (rerun.step, rerun.operation.type, rerun.examples) == (BAD_STEP, "Log", (1,))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("act", NOT)
def test_of_what_cannot_be_put_back_it_is_said_why_the_step_is_left_alone(
    tmp_path: Path, act: Any, mode: str
) -> None:
    plain = train(tmp_path, act, mode, watched=False)
    with pytest.warns(nanwatch.NaNWatchWarning, match=f"not analyzed: it .*{NOT[act]}"):
        watched = train(tmp_path, act, mode, watched=True)
    np.testing.assert_equal(watched, plain)
    assert read_recorded(tmp_path / "True" / "nanwatch").reruns == []


X = np.random.default_rng(0).normal(size=(64, 3)).astype(np.float32)
Y = X.sum(axis=1, keepdims=True)
Y[40] = 3e25


def loss(y: Any, predicted: Any) -> Any:
    """Infinite at one step, its gradient finite."""
    bad = tf.abs(y) > 1e20
    error = tf.where(bad, 0.0, y) - predicted
    return tf.reduce_mean(error**2) + tf.reduce_sum(tf.where(bad, np.float32(np.inf), 0.0))


class Noise(keras.layers.Layer):  # type: ignore[misc]
    def build(self, shape: Any) -> None:
        self.generator = tf.random.Generator.from_seed(1)

    def call(self, x: Any) -> Any:
        return x + 0.1 * self.generator.normal(tf.shape(x))


@pytest.mark.parametrize("eagerly", [False, True])
def test_a_generator_of_a_layer_moves_once(tmp_path: Path, eagerly: bool) -> None:
    weights = []
    for callbacks in ([], [nanwatch.Callback(tmp_path, every=1)]):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((3,)), Noise(), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(0.05), loss, run_eagerly=eagerly)
        model.fit(X, Y, batch_size=16, verbose=0, shuffle=False, callbacks=callbacks)
        weights.append(model.get_weights())
    assert [each.step for each in read_recorded(tmp_path / "nanwatch").reruns] == [2]
    for mine, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: tf.compat.v1.train.AdamOptimizer(0.1),
        lambda: tf.compat.v1.train.MomentumOptimizer(0.1, 0.9),
        lambda: tf.compat.v1.train.GradientDescentOptimizer(0.1),
    ],
)
def test_an_optimizer_of_raw_operations_updates_once(
    tmp_path: Path, optimizer: Callable[[], Any], mode: str
) -> None:
    compiled = {**MODES, "xla": tf.function(jit_compile=True)}[mode]

    def run(watched: bool) -> np.ndarray:
        kernel = tf.Variable(np.full((3, 1), 0.5, np.float32))
        own = optimizer()
        watcher = nanwatch.Watcher(tmp_path / str(watched), every=1)

        def step(x: Any, y: Any) -> None:
            with tf.GradientTape() as tape:
                value = loss(y, tf.matmul(x, kernel))
            gradients = tape.gradient(value, [kernel])
            own.apply_gradients(zip(gradients, [kernel], strict=True))
            pairs = zip(gradients, [kernel], strict=True)
            watcher.observe(loss=value, gradient=pairs, weight=[kernel])

        function = compiled(step)
        function = watcher.step(function) if watched else function
        with watcher:
            for first in range(0, len(X), 16):
                rows = slice(first, first + 16)
                function(tf.constant(X[rows]), tf.constant(Y[rows]))
                watcher.step_end()
        return kernel.numpy().ravel()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        plain, watched = run(False), run(True)
    np.testing.assert_array_equal(watched, plain)
    assert [each.step for each in read_recorded(tmp_path / "True" / "nanwatch").reruns] == [2]
