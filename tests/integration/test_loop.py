"""A step of a custom loop that goes non-finite is run again, and the loop goes on as without."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import read_recorded

import tb_nanwatch as nanwatch
from tb_nanwatch.format.rerun import Rerun

STEPS, BATCH, BAD_STEP, BAD_ROWS = 8, 8, 3, (2, 5)

Compiled = Callable[[Callable[..., Any]], Callable[..., Any]]

MODES: dict[str, Compiled] = {
    "eager": lambda function: function,
    "graph": tf.function,
    "xla": tf.function(jit_compile=True),
}


def batches() -> Iterator[tuple[tf.Tensor, tf.Tensor]]:
    """Positive rows; at the bad step two of them hold a 0."""
    rng = np.random.default_rng(0)
    for step in range(STEPS):
        x = rng.uniform(0.1, 1, (BATCH, 6)).astype(np.float32)
        y = x.sum(axis=1, keepdims=True)
        if step == BAD_STEP:
            x[list(BAD_ROWS), 1] = 0
        yield tf.constant(x), tf.constant(y)


class Gate(keras.layers.Layer):  # type: ignore[misc]
    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=shape[-1:], initializer="ones", name="gain")

    def call(self, x: Any) -> Any:
        return tf.where(x > 0, tf.math.log(self.gain * x), 0.0)  # the line


LINE = 1 + next(
    number for number, text in enumerate(Path(__file__).read_text().splitlines()) if "# the" in text
)


class Loop:
    """A loop with dropout, BatchNorm and a metric; its update by Keras, or by itself."""

    def __init__(self, update: str, watcher: nanwatch.Watcher | None):
        keras.utils.set_random_seed(1)
        layers = [
            keras.Input((6,)),
            Gate(name="gate"),
            keras.layers.Dropout(0.2),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1, name="output"),
        ]
        self.model = keras.Sequential(layers, name="net")
        self.optimizer = keras.optimizers.Adam(0.01)
        self.metric = keras.metrics.Mean()
        self._update = update
        self._watcher = watcher

    def step(self, x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self.model(x, training=True) - y) ** 2)
            if tf.reduce_sum(x) > 1e9:  # Python's own `if`, for AutoGraph.
                loss = loss * 2
        variables = self.model.trainable_variables
        gradients = tape.gradient(loss, variables)
        if self._update == "keras":
            self.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        else:
            for variable, gradient in zip(variables, gradients, strict=True):
                variable.assign_sub(0.1 * gradient)
        self.metric.update_state(tf.where(tf.math.is_finite(loss), loss, 7.0))
        if self._watcher is not None:
            pairs = zip(gradients, variables, strict=True)
            self._watcher.observe(input=x, loss=loss, gradient=pairs, weight=self.model.weights)
        return loss

    def run(self, step: Callable[..., Any]) -> list[float]:
        losses = []
        for x, y in batches():
            losses.append(float(step(x, y)))
            if self._watcher is not None:
                self._watcher.step_end()
        return losses

    def state(self) -> list[np.ndarray]:
        every = [*self.model.variables, *self.optimizer.variables, *self.metric.variables]
        return [np.asarray(each) for each in every]


def rerun_of(log_dir: Path) -> Rerun:
    (rerun,) = read_recorded(log_dir / "nanwatch").reruns
    return rerun


@pytest.mark.parametrize("bad", [0, 2])
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_an_optimizer_is_as_it_was_before_the_step_when_that_is_run_again(
    tmp_path: Path, mode: str, bad: int
) -> None:
    layer = keras.layers.Dense(1, use_bias=False)
    layer.build((None, 6))
    adam = keras.optimizers.Adam(0.01)
    watcher = nanwatch.Watcher(tmp_path, every=1)

    @watcher.step
    @MODES[mode]
    def step(x: Any) -> None:
        with tf.GradientTape() as tape:
            is_good = tf.not_equal(tf.convert_to_tensor(adam.iterations), bad)
            loss = tf.reduce_mean(layer(tf.math.log(tf.where(is_good, x, 0.0))))
        gradients = tape.gradient(loss, layer.trainable_variables)
        adam.apply(gradients, layer.trainable_variables)
        watcher.observe(loss=loss)

    for x, _ in list(batches())[:3]:
        step(x)
        watcher.step_end()
    found = rerun_of(tmp_path)
    assert found.operation is not None
    assert (found.step, found.operation.type, found.operation.direction) == (bad, "Log", "forward")
    assert np.isnan(layer.kernel).all()
    assert int(adam.iterations) == 3


@pytest.mark.parametrize("update", ["keras", "own"])
@pytest.mark.parametrize("mode", MODES)
def test_the_step_is_run_again_and_the_loop_goes_on_as_without(
    tmp_path: Path, mode: str, update: str
) -> None:
    plain = Loop(update, None)
    expected = plain.run(MODES[mode](plain.step))
    watcher = nanwatch.Watcher(tmp_path, every=1)
    watched = Loop(update, watcher)
    with watcher:
        losses = watched.run(watcher.step(MODES[mode](watched.step)))

    rerun = rerun_of(tmp_path)
    assert (rerun.step, rerun.reproduced, rerun.examples) == (BAD_STEP, True, BAD_ROWS)
    operation = rerun.operation
    assert operation is not None
    assert (operation.type, operation.direction, operation.line) == ("Log", "backward", LINE)
    assert operation.layer.endswith("gate")
    recorded = read_recorded(tmp_path / "nanwatch")
    assert recorded.windows() == [(step, step) for step in range(STEPS)]
    assert min(recorded.nonfinite().values()) == BAD_STEP

    if mode == "xla":  # What is watched may round differently there.
        np.testing.assert_allclose(losses, expected, rtol=1e-5)
        pairs = zip(watched.state(), plain.state(), strict=True)
        for mine, theirs in pairs:
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)
    else:
        np.testing.assert_array_equal(losses, expected)
        for mine, theirs in zip(watched.state(), plain.state(), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def gan(
    step_of: Callable[[Callable[..., Any]], Callable[..., Any]],
    watcher: nanwatch.Watcher | None,
    mode: str,
) -> list[np.ndarray]:
    """Two optimizers; the generator's gradient, which comes second, is not finite at a step."""
    keras.utils.set_random_seed(2)
    generator = keras.Sequential([keras.Input((6,)), Gate(name="gate"), keras.layers.Dense(3)])
    critic = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    optimizers = keras.optimizers.Adam(0.01), keras.optimizers.Adam(0.01)

    def step(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            fake = tf.stop_gradient(generator(x, training=True))
            loss = tf.reduce_mean(critic(fake)) - tf.reduce_mean(critic(fake + y))
        gradients = tape.gradient(loss, critic.trainable_variables)
        optimizers[0].apply(gradients, critic.trainable_variables)
        with tf.GradientTape() as tape:
            second = -tf.reduce_mean(critic(generator(x, training=True)))
        gradients = tape.gradient(second, generator.trainable_variables)
        optimizers[1].apply(gradients, generator.trainable_variables)
        if watcher is not None:
            pairs = zip(gradients, generator.trainable_variables, strict=True)
            watcher.observe(loss={"critic": loss, "generator": second}, gradient=pairs)

    run = step_of(MODES[mode](step))
    for x, y in batches():
        run(x, y)
        if watcher is not None:
            watcher.step_end()
    every = [*generator.variables, *critic.variables, *optimizers[0].variables]
    return [np.asarray(each) for each in [*every, *optimizers[1].variables]]


def test_a_replica_in_a_thread_of_its_own_is_run_again_too(tmp_path: Path) -> None:
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])

    def train(watcher: nanwatch.Watcher | None) -> list[np.ndarray]:
        with strategy.scope():
            loop = Loop("keras", watcher)

        def step(x: Any, y: Any) -> Any:
            return strategy.run(loop.step, args=(x, y))

        loop.run(step if watcher is None else watcher.step(step))
        return loop.state()

    with nanwatch.Watcher(tmp_path, every=1) as watcher:
        watched = train(watcher)
    for mine, theirs in zip(watched, train(None), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    operation = rerun_of(tmp_path).operation
    assert operation is not None
    assert (operation.type, operation.direction, operation.line) == ("Log", "backward", LINE)
    recorded = read_recorded(tmp_path / "nanwatch")
    assert recorded.windows() == [(step, step) for step in range(STEPS)]


@pytest.mark.parametrize("mode", MODES)
def test_a_step_of_two_updates_is_looked_into(tmp_path: Path, mode: str) -> None:
    plain = gan(lambda step: step, None, mode)
    watcher = nanwatch.Watcher(tmp_path, every=1)
    watched = gan(watcher.step, watcher, mode)
    operation = rerun_of(tmp_path).operation
    assert operation is not None
    assert (operation.type, operation.direction, operation.line) == ("Log", "backward", LINE)
    assert rerun_of(tmp_path).step == BAD_STEP
    if mode != "xla":
        for mine, theirs in zip(watched, plain, strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_what_would_copy_too_much_is_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tb_nanwatch.adapters.keras_common.failing_step.update_policy.MAX_COPIED_BYTES", 40
    )
    plain = gan(lambda step: step, None, "graph")
    watcher = nanwatch.Watcher(tmp_path, every=1)
    with pytest.warns(
        nanwatch.NaNWatchWarning, match=r"not analyzed: .* more than once.*, more than 40"
    ):
        watched = gan(watcher.step, watcher, "graph")
    assert read_recorded(tmp_path / "nanwatch").reruns == []
    for mine, theirs in zip(watched, plain, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("kept", ["off", "result", "batch", "state"])
def test_keeps_what_is_asked_for_on_disk(tmp_path: Path, kept: Any) -> None:
    watcher = nanwatch.Watcher(tmp_path, every=1, blackbox=kept)
    loop = Loop("keras", watcher)
    step = watcher.step(tf.function(loop.step))
    with watcher:
        loop.run(step)
    folder = tmp_path / "nanwatch" / "blackbox" / f"step-{BAD_STEP:09d}"
    files = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    expected = ["result.json", "batch.npz", "state.npz"]
    assert files == set(expected[: ["off", "result", "batch", "state"].index(kept)])
    if kept == "state":
        x, y = list(batches())[BAD_STEP]
        with np.load(folder / "batch.npz") as batch:
            np.testing.assert_array_equal(batch["0"], x)
            np.testing.assert_array_equal(batch["1"], y)
        with np.load(folder / "state.npz") as state:
            names = {name.partition("/")[2] for name in state.files}
            assert all(np.isfinite(state[name]).all() for name in state.files)
        assert {"net/gate/gain", "net/output/kernel"} <= names
        assert json.loads((folder / "result.json").read_text())["rerun"]["reproduced"]


def test_data_from_an_iterator_cannot_be_asked_again(tmp_path: Path) -> None:
    watcher = nanwatch.Watcher(tmp_path, every=1)
    loop = Loop("keras", watcher)

    @watcher.step
    @tf.function
    def step(iterator: Any) -> Any:
        return loop.step(*next(iterator))

    dataset = tf.data.Dataset.from_tensor_slices(
        tuple(tf.stack(part) for part in zip(*batches(), strict=True))
    )
    iterator = iter(dataset)
    with pytest.warns(
        nanwatch.NaNWatchWarning, match="not analyzed: it reads its data from an iterator"
    ):
        step(iterator)
    for _ in range(STEPS - 1):
        step(iterator)
        watcher.step_end()
    assert read_recorded(tmp_path / "nanwatch").reruns == []


def test_a_generator_of_batches_is_asked_once_for_each(tmp_path: Path) -> None:
    batches = iter([tf.ones([2]), tf.zeros([2]), tf.ones([2])])
    gain = tf.Variable([1.0, 1.0])
    watcher = nanwatch.Watcher(tmp_path)

    @watcher.step
    def step() -> Any:
        x = next(batches)
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.math.log(gain * x))
        gradient = tape.gradient(loss, gain)
        gain.assign_sub(0.1 * gradient)
        watcher.observe(loss=loss, gradient=[(gradient, gain)])
        return x

    with pytest.warns(nanwatch.NaNWatchWarning, match="not analyzed: it reads its data from an it"):
        assert [float(step()[0]) for _ in range(3)] == [1, 0, 1]


def test_a_function_that_raises_leaves_nothing_behind(tmp_path: Path) -> None:
    before = tf.Variable.assign, tf.GradientTape.gradient, keras.optimizers.Optimizer.apply
    watcher = nanwatch.Watcher(tmp_path)

    @watcher.step
    def step() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        step()
    after = tf.Variable.assign, tf.GradientTape.gradient, keras.optimizers.Optimizer.apply
    assert after == before


def test_a_step_that_raises_because_of_its_nan_is_looked_into(tmp_path: Path) -> None:
    watcher = nanwatch.Watcher(tmp_path)
    gain = tf.Variable([1.0])

    @watcher.step
    def step(x: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.where(x > 0, tf.math.log(gain * x), 0.0))
        gradient = tape.gradient(loss, gain)
        gain.assign_sub(0.1 * gradient)
        watcher.observe(loss=loss, gradient=[(gradient, gain)], weight=[gain])
        if not np.isfinite(gain.numpy()).all():
            raise ValueError("lost")

    good = tf.ones([4, 1])
    step(good)
    watcher.step_end()
    with pytest.raises(ValueError, match="lost"):
        step(tf.constant([[1.0], [0.0], [1.0]]))
    watcher.step_end()
    gain.assign([1.0])
    step(good)  # What was kept of the step that raised is not taken for this one.
    watcher.close()
    (rerun,) = read_recorded(tmp_path / "nanwatch").reruns
    assert rerun.operation is not None
    assert (rerun.step, rerun.operation.type, rerun.examples) == (1, "Log", (1,))


def test_a_step_within_a_function_is_told_to_be_no_step(tmp_path: Path) -> None:
    watcher = nanwatch.Watcher(tmp_path)

    @watcher.step
    @tf.function
    def step(x: Any) -> Any:
        return x

    with pytest.warns(nanwatch.NaNWatchWarning, match=r"another tf\.function: decorate that one"):
        tf.function(lambda x: step(x))(tf.ones([2]))


def test_what_is_no_function_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="the function that runs one step, got int"):
        nanwatch.Watcher(tmp_path).step(3)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_an_optimizer_of_keras_may_update_variables_of_tensorflow(
    tmp_path: Path, momentum: float
) -> None:
    def train(watcher: nanwatch.Watcher | None) -> list[np.ndarray]:
        weight = tf.Variable(tf.ones([6, 1]), name="net/kernel")
        optimizer = keras.optimizers.SGD(0.01, momentum=momentum)

        class Trainer:
            @tf.function
            def step(self, x: Any) -> Any:
                with tf.GradientTape() as tape:
                    product = tf.reduce_prod(x, axis=1, keepdims=True)
                    loss = tf.reduce_mean(tf.math.log(product * (x @ weight)))
                gradients = tape.gradient(loss, [weight])
                optimizer.apply_gradients(zip(gradients, [weight], strict=True))
                if watcher is not None:
                    watcher.observe(loss=loss, gradient=list(zip(gradients, [weight], strict=True)))
                return loss

        trainer = Trainer()
        step = trainer.step if watcher is None else watcher.step(trainer.step)
        for x, _ in batches():
            step(x)
            if watcher is not None:
                watcher.step_end()
        return [np.asarray(each) for each in (weight, *optimizer.variables)]

    with nanwatch.Watcher(tmp_path) as watcher:
        watched = train(watcher)
    for mine, theirs in zip(watched, train(None), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    operation = rerun_of(tmp_path).operation
    assert operation is not None
    assert (operation.type, rerun_of(tmp_path).examples) == ("Log", BAD_ROWS)


@pytest.mark.parametrize("of_data", [False, True])
def test_rows_of_arrays_are_told(tmp_path: Path, of_data: bool) -> None:
    weight = tf.Variable(tf.ones([6, 1]))
    watcher = nanwatch.Watcher(tmp_path, every=1)

    @watcher.step
    def step(x: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.matmul(tf.math.log(x), weight) ** 2)
        gradient = tape.gradient(loss, weight)
        weight.assign_sub(0.01 * gradient)
        watcher.observe(input=x, loss=loss, gradient=[(gradient, weight)])

    with watcher:
        for number in range(3):
            x = np.full((4, 6), 0.5, np.float32)
            if number == 1:
                x[2, 1] = np.nan if of_data else 0
            step(x)
            watcher.step_end()
    rerun = rerun_of(tmp_path)
    assert (rerun.step, rerun.examples) == (1, (2,))
    assert (rerun.operation is None) == of_data


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_a_remedy_is_tried_on_the_slots_before_the_step(tmp_path: Path, mode: str) -> None:
    """Adam's are NaN after it, and with these no remedy would do."""
    watcher = nanwatch.Watcher(tmp_path, every=1)
    weight, optimizer = keras.Variable([1.0, 2.0]), keras.optimizers.Adam(0.01)

    def step(x: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.math.log(x) * weight)
        gradients = tape.gradient(loss, [weight])
        optimizer.apply_gradients(zip(gradients, [weight], strict=True))
        watcher.observe(loss=loss, gradient=zip(gradients, [weight], strict=True))

    run = watcher.step(MODES[mode](step))
    with watcher:
        for number in range(3):
            run(tf.constant([0.5, 0.0 if number == 2 else 1.0]))
            watcher.step_end()
    assert not all(np.isfinite(each.numpy()).all() for each in optimizer.variables)
    (tried,) = rerun_of(tmp_path).tried
    assert tried.outcome == "finite"


def test_tensorflow_logs_nothing_of_the_step_that_is_run_again(tmp_path: Path) -> None:
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    tf.get_logger().addHandler(handler)
    watcher = nanwatch.Watcher(tmp_path)
    weight = tf.Variable(1.0)

    @watcher.step
    @tf.function(autograph=False)
    def step(x: Any) -> None:
        tf.get_logger().warning("traced or run")
        with tf.GradientTape() as tape:
            loss = tf.math.log(x) * weight
        gradient = tape.gradient(loss, weight)
        watcher.observe(loss=loss, gradient=[(gradient, weight)])
        weight.assign_sub(gradient)

    try:
        for x in (1.0, 2.0, -1.0):
            step(tf.constant(x))
            watcher.step_end()
        tf.get_logger().warning("after it")
    finally:
        tf.get_logger().removeHandler(handler)
    assert rerun_of(tmp_path).operation is not None
    assert heard == ["traced or run", "after it"]


class Unnamed(tf.Module):  # type: ignore[misc]
    """As some of TensorFlow Probability's: without what `tf.Module.__init__` gives it."""

    def __init__(self) -> None:
        pass

    def __call__(self, x: Any) -> Any:
        return tf.math.log(x)


def test_a_module_without_a_name_scope_is_no_owner(tmp_path: Path) -> None:
    watcher = nanwatch.Watcher(tmp_path)
    weight, module = tf.Variable(1.0), Unnamed()

    @watcher.step
    def step(x: Any) -> None:
        with tf.GradientTape() as tape:
            loss = module(x) * weight
        gradient = tape.gradient(loss, weight)
        watcher.observe(loss=loss, gradient=[(gradient, weight)])
        weight.assign_sub(gradient)

    for x in (1.0, -1.0):
        step(tf.constant(x))
        watcher.step_end()
    operation = rerun_of(tmp_path).operation
    assert operation is not None
    assert (operation.type, operation.layer) == ("Log", "")
