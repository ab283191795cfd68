"""A step is run again in one thread: others train on as if not, and each finds its own fault."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import read_recorded

import tb_nanwatch as nanwatch
from tb_nanwatch.format.rerun import Rerun

STEPS, BATCH, BAD_STEP, BAD_ROW = 5, 8, 2, 3
PATIENCE = 60.0

Function = Callable[[Any], Any]


def where_log(x: Any) -> Any:
    return tf.where(x > 0, tf.math.log(x), 0.0)


def quotient(x: Any) -> Any:
    return 1 / x


class Gate(keras.layers.Layer):  # type: ignore[misc]
    """Does `function` with its input, and calls `wait` on its way, forward and backward."""

    def __init__(self, function: Function, wait: Callable[[], object]):
        super().__init__(name="gate")
        self._function = function
        self._wait = wait

    def call(self, x: Any) -> Any:
        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def waited(x: Any) -> Any:
            self._wait()

            def grad(upstream: Any) -> Any:
                self._wait()
                return tf.identity(upstream)

            return tf.identity(x), grad

        return waited(self._function(x))


def data() -> tuple[np.ndarray, np.ndarray]:
    """Positive rows; one of the bad step holds a 0."""
    x = np.random.default_rng(0).uniform(0.1, 1, (STEPS * BATCH, 6)).astype(np.float32)
    y = x.sum(axis=1, keepdims=True)
    x[BAD_STEP * BATCH + BAD_ROW, 2] = 0
    return x, y


def network(function: Function, wait: Callable[[], object]) -> keras.Model:
    scale = keras.layers.EinsumDense("bi,i->bi", (6,), kernel_initializer="ones", name="scale")
    layers = [keras.Input((6,)), scale, Gate(function, wait), keras.layers.Dense(1, name="output")]
    return keras.Sequential(layers, name="net")


def fit(log_dir: Path, function: Function, wait: Callable[[], object]) -> Rerun:
    """A training by `fit` that trips; what running the step again has found."""
    model = network(function, wait)
    model.compile(keras.optimizers.Adam(0.01), "mse")
    watch = nanwatch.Callback(log_dir, every=1)
    model.fit(*data(), batch_size=BATCH, shuffle=False, verbose=0, callbacks=[watch])
    return rerun_of(log_dir)


def loop(log_dir: Path, function: Function, wait: Callable[[], object]) -> Rerun:
    """A loop of one's own that trips; what running the step again has found."""
    model, optimizer = network(function, wait), keras.optimizers.Adam(0.01)
    watcher = nanwatch.Watcher(log_dir, every=1)

    @watcher.step
    @tf.function
    def step(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x) - y) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        watcher.observe(loss=loss, gradient=zip(gradients, model.trainable_variables, strict=True))

    for batch in tf.data.Dataset.from_tensor_slices(data()).batch(BATCH):
        step(*batch)
        watcher.step_end()
    watcher.close()
    return rerun_of(log_dir)


def rerun_of(log_dir: Path) -> Rerun:
    (rerun,) = read_recorded(log_dir / "nanwatch").reruns
    return rerun


def check(rerun: Rerun, function: Function) -> None:
    """That it names the operation of this function, and nothing of another thread."""
    assert (rerun.step, rerun.reproduced, rerun.failure) == (BAD_STEP, True, "")
    assert rerun.examples == (BAD_ROW,)
    operation = rerun.operation
    assert operation is not None
    expected = {where_log: ("Log", "backward"), quotient: ("RealDiv", "forward")}[function]
    assert (operation.type, operation.direction) == expected
    assert operation.layer in ("gate", "net/gate")  # In a loop the model has a name, too.
    assert operation.function == function.__name__
    assert operation.line == function.__code__.co_firstlineno + 1


class Unwatched:
    """What another thread does, round after round: a function, a `fit`, a loop of its own."""

    def __init__(self) -> None:
        keras.utils.set_random_seed(2)
        self.model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh")])
        self.model.compile(keras.optimizers.Adam(0.01), "mse")
        self.weight = tf.Variable([[0.5], [0.25], [0.125]])
        self.optimizer = keras.optimizers.SGD(0.01)
        self.optimizer.build([self.weight])
        self.eager_calls = 0
        self.results: list[np.ndarray] = []
        self._due = threading.Semaphore(0)
        self._done = threading.Condition()
        self._rounds = 0

        @tf.function
        def function(x: Any) -> Any:
            self.eager_calls += tf.executing_eagerly()
            if tf.reduce_sum(x) > 0:  # Python's own `if`, for AutoGraph.
                x = tf.sin(x)
            return tf.vectorized_map(tf.reduce_sum, x) * 3

        self._function = function

    def round(self) -> None:
        x = np.random.default_rng(len(self.results)).normal(size=(4, 3)).astype(np.float32)
        self.results.append(self._function(tf.constant(x)).numpy())
        self.model.fit(x, np.ones((4, 4)), verbose=0)
        with tf.GradientTape() as tape:
            value = tf.reduce_mean((tf.constant(x) @ self.weight - 1) ** 2)
        gradients = tape.gradient(value, [self.weight])
        self.optimizer.apply(gradients, [self.weight])
        self.results += [value.numpy(), gradients[0].numpy(), self.weight.numpy()]
        self.results += self.model.get_weights()
        with self._done:
            self._rounds += 1
            self._done.notify_all()

    def wait(self) -> None:
        """Has two more rounds run, and returns when one has ended."""
        with self._done:
            rounds = self._rounds
            self._due.release(2)
            assert self._done.wait_for(lambda: self._rounds > rounds, PATIENCE)

    def run(self, ended: threading.Event) -> int:
        """Round after round, as they are asked for; how many."""
        while not ended.is_set():
            if self._due.acquire(timeout=0.1):
                self.round()
        return self._rounds


@pytest.mark.parametrize("train", [fit, loop])
def test_another_thread_goes_on_as_without(
    tmp_path: Path, train: Callable[[Path, Function, Callable[[], object]], Rerun]
) -> None:
    other, ended = Unwatched(), threading.Event()
    other.round()  # Traced: from now on Python runs only where it runs eagerly.
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(other.run, ended)
        try:
            rerun = train(tmp_path, where_log, other.wait)
        finally:
            ended.set()
        rounds = running.result()
    check(rerun, where_log)
    assert other.eager_calls == 0
    alone = Unwatched()
    for _ in range(rounds):
        alone.round()
    for mine, theirs in zip(other.results, alone.results, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("second", [fit, loop])
def test_two_that_trip_at_once_each_find_their_own(
    tmp_path: Path, second: Callable[[Path, Function, Callable[[], object]], Rerun]
) -> None:
    both = threading.Barrier(2, timeout=PATIENCE)

    def wait() -> None:
        if tf.executing_eagerly():  # In the rerun.
            both.wait()

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(fit, tmp_path / "one", where_log, wait)
        two = pool.submit(second, tmp_path / "two", quotient, wait)
        check(one.result(), where_log)
        check(two.result(), quotient)
    assert not tf.config.functions_run_eagerly()
