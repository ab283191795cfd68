"""Callback and Watcher with Keras 2, as the package tf_keras."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import Recorded, read_recorded

import tb_nanwatch as nanwatch
from tb_nanwatch.adapters.keras_common.failing_step.replay import replay
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.training.failing_step.step_dump import FILES, unpack_dump

tf_keras = pytest.importorskip("tf_keras")
layers, optimizers = tf_keras.layers, tf_keras.optimizers

BATCH, STEPS = 8, 5
BAD_STEP, BAD_ROWS = 2, (1, 5)

MODES: dict[str, dict[str, Any]] = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "several": {"steps_per_execution": 2},
}
XLA = {"jit_compile": True}


class Gate(layers.Layer):  # type: ignore[misc]
    """Its gradient is NaN where an input is 0."""

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(name="gain", shape=shape[-1:], initializer="ones")

    def call(self, x: Any) -> Any:
        x = self.gain * x
        if tf.reduce_max(x) > -1.0:  # AutoGraph makes a branch of this.
            x = x + 0.0
        return tf.where(x > 0, tf.math.log(x), 0.0)


LOG_LINE = Gate.call.__code__.co_firstlineno + 4


def data(*, bad: bool = False) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).uniform(0.1, 1, (STEPS * BATCH, 4)).astype("float32")
    y = x.sum(axis=1, keepdims=True)
    if bad:
        for row in BAD_ROWS:
            x[BAD_STEP * BATCH + row, 2] = 0
    return x, y


def net(optimizer: Any = "sgd", **options: Any) -> Any:
    return compiled(
        [
            Gate(name="gate"),
            layers.BatchNormalization(name="normalized"),
            layers.Dense(3, "tanh", name="hidden"),
            layers.Dense(1, name="output"),
        ],
        optimizer,
        **options,
    )


def small_net(**options: Any) -> Any:
    """Which XLA compiles sooner."""
    return compiled([Gate(name="gate"), layers.Dense(1, name="output")], "sgd", **options)


def compiled(parts: list[Any], optimizer: Any, **options: Any) -> Any:
    tf_keras.utils.set_random_seed(1)
    model = tf_keras.Sequential([tf_keras.Input((4,)), *parts])
    model.compile(optimizer, "mse", **options)
    return model


def fit(model: Any, *callbacks: Any, bad: bool = False, **options: Any) -> Any:
    options = {"batch_size": BATCH, "shuffle": False, "verbose": 0, **options}
    return model.fit(*data(bad=bad), callbacks=list(callbacks), **options)


def recorded(log_dir: Path) -> Recorded:
    return read_recorded(log_dir / "nanwatch")


def rerun_of(log_dir: Path) -> Rerun:
    (rerun,) = recorded(log_dir).reruns
    return rerun


def assert_names_log(rerun: Rerun, layer: str = "gate") -> None:
    operation = rerun.operation
    assert operation is not None
    assert (operation.type, operation.direction) == ("Log", "backward")
    assert (operation.layer, operation.line) == (layer, LOG_LINE)
    assert operation.file.endswith("test_tf_keras.py")
    assert rerun.examples == BAD_ROWS
    assert rerun.reproduced


def assert_same_bits(model: Any, other: Any) -> None:
    def state(model: Any) -> list[Any]:
        found = model.optimizer.variables
        own = found() if callable(getattr(model.optimizer, "get_slot_names", None)) else found
        return [each.numpy() for each in (*model.variables, *own)]

    for one, two in zip(state(model), state(other), strict=True):
        np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize("mode", ["graph", "eager", "xla"])
def test_records_every_role(tmp_path: Path, mode: str) -> None:
    rate = 0.5
    model = net(optimizers.SGD(rate, momentum=0.5), **(XLA if mode == "xla" else MODES[mode]))
    before = [each.numpy() for each in model.trainable_variables]
    history = fit(model, nanwatch.Callback(tmp_path, every=1, watch="all"), epochs=1)
    found = recorded(tmp_path)
    variables = ["gate/gain", "normalized/gamma", "normalized/beta"]
    variables += [
        f"{layer}/{each}" for layer in ("hidden", "output") for each in ("kernel", "bias")
    ]
    named = ["gate", "normalized", "hidden", "output"]
    statistics = ["normalized/moving_mean", "normalized/moving_variance"]
    for role, names in {
        "input": ["input"],
        "target": ["target"],
        "prediction": ["prediction"],
        "loss": ["loss"],
        "activation": named,
        "activation_gradient": named,
        "gradient": variables,
        "update": variables,
        "slot": [f"SGD/m/{each}" for each in variables],
        "weight": [*variables, *statistics],
    }.items():
        assert sorted(found.names(role)) == sorted(names), role
    assert len(found.records) == STEPS
    for name, variable in zip(variables, model.trainable_variables, strict=True):
        norm = np.linalg.norm(variable.numpy().astype(np.float64))
        assert found.series("weight", name, "largest_norm")[-1] == pytest.approx(norm, rel=1e-5)
    # The first update of this optimizer is the rate times the gradient.
    gradient = found.series("gradient", "output/kernel", "largest_norm")[0]
    assert found.series("update", "output/kernel", "largest_norm")[0] == pytest.approx(
        rate * gradient, rel=1e-5
    )
    losses = found.series("loss", "loss", "largest_norm")
    assert history.history["loss"][0] == pytest.approx(np.mean(losses), rel=1e-5)
    facts = found.manifests[int(found.records[-1].field("manifest"))].model
    assert facts.framework == "tf_keras"
    assert {each.path: each.inputs for each in facts.layers}["output"] == ("hidden",)
    assert (facts.optimizers[0].class_name, facts.optimizers[0].learning_rate) == ("SGD", rate)
    assert any(
        np.any(each.numpy() != old)
        for each, old in zip(model.trainable_variables, before, strict=True)
    )


@pytest.mark.parametrize("mode", [*MODES, "legacy"])
def test_names_operation_line_layer_and_rows(tmp_path: Path, mode: str) -> None:
    optimizer = optimizers.legacy.Adam(0.01) if mode == "legacy" else optimizers.Adam(0.01)
    model, plain = (net(type(optimizer)(0.01), **MODES.get(mode, {})) for _ in range(2))
    fit(plain, bad=True)
    fit(model, nanwatch.Callback(tmp_path, every=1), bad=True)
    rerun = rerun_of(tmp_path)
    assert rerun.step == BAD_STEP
    assert_names_log(rerun)
    assert [(each.remedy, each.outcome) for each in rerun.tried] == [("clamp", "finite")]
    assert_same_bits(model, plain)  # The rerun has restored everything.


def test_a_step_that_xla_compiles_is_analyzed_and_then_run(tmp_path: Path) -> None:
    model = small_net(**XLA)
    fit(model, nanwatch.Callback(tmp_path, every=1), bad=True)
    assert_names_log(rerun_of(tmp_path))
    found = recorded(tmp_path)
    assert found.nonfinite()["gradient", "gate/gain"] == BAD_STEP
    assert [record.field("first_step") for record in found.records] == list(range(STEPS))
    assert int(model.optimizer.iterations.numpy()) == STEPS


def test_xla_with_several_steps_per_execution_says_that_it_analyzes_none(tmp_path: Path) -> None:
    model = small_net(**XLA, steps_per_execution=2)
    with pytest.warns(nanwatch.NaNWatchWarning, match="steps_per_execution is more than 1"):
        fit(model, nanwatch.Callback(tmp_path, every=1), bad=True)
    found = recorded(tmp_path)
    assert not found.reruns
    assert found.nonfinite()["gradient", "gate/gain"] == BAD_STEP


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_a_skipped_step_leaves_no_trace(tmp_path: Path, mode: str) -> None:
    x, y = data(bad=True)
    rows = slice(BAD_STEP * BATCH, (BAD_STEP + 1) * BATCH)
    plain = net("adam", **MODES[mode])
    good = np.delete(x, rows, axis=0), np.delete(y, rows, axis=0)
    plain.fit(*good, batch_size=BATCH, shuffle=False, verbose=0)
    model = net("adam", **MODES[mode])
    fit(model, nanwatch.Callback(tmp_path, every=1, on_nonfinite="skip"), bad=True)
    assert_same_bits(model, plain)
    assert_names_log(rerun_of(tmp_path))
    assert [int(each.field("skipped_steps")) for each in recorded(tmp_path).records] == [
        int(step == BAD_STEP) for step in range(STEPS)
    ]


def test_stop_ends_the_training_and_raise_raises(tmp_path: Path) -> None:
    model = net()
    fit(model, nanwatch.Callback(tmp_path / "stop", on_nonfinite="stop"), bad=True)
    assert int(model.optimizer.iterations.numpy()) == BAD_STEP + 1
    model = net()
    with pytest.raises(FloatingPointError, match=f"NaN at step {BAD_STEP}"):
        fit(model, nanwatch.Callback(tmp_path / "raise", on_nonfinite="raise"), bad=True)
    plain, restored = net(), net()
    fit(plain)
    model.set_weights(restored.get_weights())
    for momentum in model.optimizer.variables[1:]:
        momentum.assign(tf.zeros_like(momentum))
    fit(model)  # As before, without any of ours.
    for one, two in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert "make_train_function" not in vars(model)
    assert "train_step" not in vars(model)


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    "Adam": lambda: optimizers.Adam(0.01, use_ema=True, clipnorm=1.0),
    "SGD": lambda: optimizers.SGD(0.01, momentum=0.9, nesterov=True),
    "Nadam": optimizers.Nadam,
    "legacy.Adam": lambda: optimizers.legacy.Adam(0.01, clipvalue=0.1),
    "legacy.Nadam": optimizers.legacy.Nadam,
}


def assert_changes_nothing(log_dir: Path, make: Callable[[], tuple[Any, Any, Any]]) -> Recorded:
    """A watched training, with all roles, is bit for bit the unwatched one."""
    trained = []
    for callbacks in ([], [nanwatch.Callback(log_dir, every=1, watch="all")]):
        tf_keras.utils.set_random_seed(1)
        model, x, y = make()
        model.fit(x, y, batch_size=BATCH, verbose=0, callbacks=callbacks)
        trained.append(model)
    assert_same_bits(*trained)
    return recorded(log_dir)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_train_to_the_same_bits(tmp_path: Path, name: str) -> None:
    found = assert_changes_nothing(tmp_path, lambda: (net(OPTIMIZERS[name]()), *data()))
    assert len(found.names("slot")) >= len(found.names("gradient"))
    assert all("gate/gain" in each or "/" in each for each in found.names("slot"))


def convolutions() -> tuple[Any, Any, Any]:
    x = inputs = tf_keras.Input((4, 4, 2))
    x = layers.Conv2D(3, 3, padding="same", use_bias=False)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Activation("relu")(x + layers.Conv2D(3, 3, padding="same")(x))
    # The losses look for logits before these operations.
    outputs = layers.Softmax()(layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    model = tf_keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    return model, rng.normal(size=(24, 4, 4, 2)).astype("float32"), rng.integers(0, 3, 24)


def recurrent() -> tuple[Any, Any, Any]:
    model = tf_keras.Sequential(
        [tf_keras.Input((3, 2)), layers.LSTM(4), layers.Dropout(0.3), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    x = np.random.default_rng(0).normal(size=(24, 3, 2)).astype("float32")
    return model, x, x.sum(axis=(1, 2))


class OwnStep(tf_keras.Model):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.encoder = tf_keras.Sequential([layers.Dense(4, "relu", name="same")], name="encoder")
        self.decoder = tf_keras.Sequential([layers.Dense(4, name="same")], name="decoder")

    def call(self, x: Any) -> Any:
        return self.decoder(self.encoder(x))

    def train_step(self, batch: Any) -> Any:
        x, _ = batch
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - x) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {"loss": loss}


def own_step() -> tuple[Any, Any, Any]:
    model = OwnStep()
    model.compile("adam")
    return model, *data()


class VariationalDense(layers.Layer):  # type: ignore[misc]
    """As TensorFlow Probability writes them: samples its kernel, and adds a KL divergence."""

    def build(self, shape: Any) -> None:
        self.mean = self.add_weight(name="mean", shape=(shape[-1], 3))
        self.scale = self.add_weight(name="scale", shape=(shape[-1], 3), initializer="ones")

    def call(self, x: Any) -> Any:
        noise = tf.random.stateless_normal(tf.shape(self.mean), [1, 2])
        divergence = self.mean**2 + self.scale**2 - tf.math.log(self.scale**2)
        self.add_loss(tf.reduce_sum(divergence) * 0.01)
        return x @ (self.mean + self.scale * noise)


def variational() -> tuple[Any, Any, Any]:
    model = tf_keras.Sequential([tf_keras.Input((4,)), VariationalDense(), layers.Dense(1)])
    model.compile("adam", "mse")
    return model, *data()


NETWORKS = (convolutions, recurrent, own_step, variational)


@pytest.mark.parametrize("make", NETWORKS)
def test_networks_train_to_the_same_bits(tmp_path: Path, make: Callable[[], Any]) -> None:
    found = assert_changes_nothing(tmp_path, make)
    assert all(found.names(role) for role in ("loss", "gradient", "weight", "slot", "activation"))
    if make is own_step:
        named = ["encoder/same/kernel", "encoder/same/bias"]
        named += [each.replace("encoder", "decoder") for each in named]
        assert found.names("gradient") == named
        assert found.names("activation") == ["encoder/same", "decoder/same"]


OVERFLOWING = 2.0**17


@pytest.mark.parametrize("kind", [optimizers.SGD, optimizers.legacy.SGD])
def test_gradients_of_a_scaled_loss(tmp_path: Path, kind: Any) -> None:
    """The scale overflows at first: such steps are skipped by the optimizer, and normal."""
    rate = 0.125

    def make() -> tuple[Any, Any, Any]:
        half = layers.Dense(3, "tanh", dtype="mixed_float16", name="half")
        scaling = tf_keras.mixed_precision.LossScaleOptimizer
        optimizer = scaling(kind(rate), initial_scale=OVERFLOWING)
        return compiled([half, layers.Dense(1, name="output")], optimizer), *data()

    found = assert_changes_nothing(tmp_path, make)
    skipped = [int(each.field("scale_skipped_steps")) for each in found.records]
    assert skipped[0] == 1
    assert skipped[-1] == 0
    assert found.records[0].field("loss_scale") == OVERFLOWING
    assert not found.reruns
    *_, gradient = found.series("gradient", "output/kernel", "largest_norm")
    *_, update = found.series("update", "output/kernel", "largest_norm")
    assert update == pytest.approx(rate * gradient, rel=1e-4)
    *_, arriving = found.series("activation_gradient", "output", "largest_norm")
    assert 0 < arriving < 100  # Without the scale.


class Retrieval(tf_keras.Model):  # type: ignore[misc]
    """As TensorFlow Recommenders writes them: `compute_loss` takes the batch."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.query = tf_keras.Sequential([layers.Embedding(9, 3), layers.Dense(3)], name="query")
        self.candidate = tf_keras.Sequential([layers.Embedding(9, 3)], name="candidate")
        self.mean = tf_keras.metrics.Mean(name="mean")
        self.function = function

    def compute_loss(self, inputs: Any, training: bool = False) -> Any:
        scores = self.query(inputs["query"]) @ tf.transpose(self.candidate(inputs["candidate"]))
        loss = tf.reduce_mean(self.function(tf.reduce_sum(scores, axis=-1)))
        self.mean.update_state(loss)
        return loss

    def train_step(self, inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = self.compute_loss(inputs, training=True)
            total = loss + sum(self.losses)
        gradients = tape.gradient(total, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        return {metric.name: metric.result() for metric in self.metrics}


def root(x: Any) -> Any:
    return tf.sqrt(x - x)


def test_a_model_whose_compute_loss_takes_the_batch(tmp_path: Path) -> None:
    tf_keras.utils.set_random_seed(1)
    model = Retrieval(root)
    model.compile(optimizers.Adagrad(0.1))
    ids = np.arange(32) % 9
    batches = tf.data.Dataset.from_tensor_slices({"query": ids, "candidate": ids}).batch(BATCH)
    callback = nanwatch.Callback(tmp_path, every=1, on_nonfinite="skip")
    model.fit(batches, verbose=0, callbacks=[callback])
    found = recorded(tmp_path)
    assert len(found.names("gradient")) == 4
    assert sorted(found.names("weight")) == sorted(found.names("gradient"))  # No metric's.
    operation = found.reruns[0].operation
    assert operation is not None
    assert (operation.type, operation.line) == ("Sqrt", root.__code__.co_firstlineno + 1)
    assert all(np.isfinite(each).all() for each in model.get_weights())


def test_a_mirrored_strategy_of_one_device(tmp_path: Path) -> None:
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        model = net("adam")
    fit(model, nanwatch.Callback(tmp_path, every=1, watch="all"), bad=True)
    assert_names_log(rerun_of(tmp_path))
    found = recorded(tmp_path)
    assert len(found.names("slot")) == 2 * len(found.names("gradient")) == 14


@pytest.mark.parametrize(
    ("kind", "wrap"),
    [(optimizers.legacy.Adam, lambda each: each), (optimizers.Adam, tf.function)],
    ids=["eager", "graph"],
)
def test_a_step_of_a_custom_loop(tmp_path: Path, kind: Any, wrap: Any) -> None:
    def train(log_dir: Path | None) -> Any:
        model, optimizer = net(), kind(0.01)
        watcher = None if log_dir is None else nanwatch.Watcher(log_dir, every=1)

        def step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply_gradients(zip(gradients, model.trainable_variables, strict=True))
            if watcher is not None:
                pairs = zip(gradients, model.trainable_variables, strict=True)
                watcher.observe(loss=loss, gradient=pairs)

        run = wrap(step) if watcher is None else watcher.step(wrap(step))
        x, y = data(bad=True)
        for start in range(0, len(x), BATCH):
            run(tf.constant(x[start : start + BATCH]), tf.constant(y[start : start + BATCH]))
        if watcher is not None:
            watcher.close()
        return model

    watched, plain = train(tmp_path), train(None)
    assert_names_log(rerun_of(tmp_path))
    for one, two in zip(watched.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    facts = next(iter(recorded(tmp_path).manifests.values())).model
    assert [each.class_name for each in facts.optimizers] == ["Adam"]


def test_both_versions_of_keras_in_one_process(tmp_path: Path) -> None:
    x, y = data()
    x[BATCH + 3] = np.inf
    for number, package in enumerate((keras, tf_keras, keras)):
        model = package.Sequential([package.Input((4,)), package.layers.Dense(1, name="output")])
        model.compile("sgd", "mse")
        callback = nanwatch.Callback(tmp_path / str(number), every=1)
        model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[callback])
        assert rerun_of(tmp_path / str(number)).examples == (3,)
        facts = next(iter(recorded(tmp_path / str(number)).manifests.values())).model
        assert facts.framework == package.__name__


def test_tf_keras_as_tf_dot_keras(tmp_path: Path) -> None:
    code = f"""
import numpy as np
import tensorflow as tf
import tb_nanwatch as nanwatch
assert "tf_keras" in tf.keras.Sequential.__module__
model = tf.keras.Sequential([tf.keras.layers.Dense(1, name="output")])
model.compile(tf.keras.optimizers.legacy.Adam(), "mse")
x = np.ones((24, 4), "float32")
x[9] = np.nan
callback = nanwatch.Callback({os.fspath(tmp_path)!r}, every=1, on_nonfinite="skip")
model.fit(x, x[:, :1], batch_size=8, shuffle=False, verbose=0, callbacks=[callback])
assert all(np.isfinite(each).all() for each in model.get_weights())
"""
    environment = {**os.environ, "TF_USE_LEGACY_KERAS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert rerun_of(tmp_path).examples == (1,)


class Failing(tf_keras.callbacks.Callback):  # type: ignore[misc]
    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 1:
            raise ValueError("of another callback")


def test_a_fit_that_ends_by_an_exception_is_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of another callback"):
        fit(net(), nanwatch.Callback(tmp_path, every=16), Failing())
    gc.collect()
    (record,) = recorded(tmp_path).records
    assert (record.field("first_step"), record.field("last_step")) == (0, 1)


class Counting(nanwatch.Callback):
    """Hooks of a subclass are called as those of Keras' own callbacks are."""

    calls: list[str]

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls.append(type((logs or {})["loss"]).__name__)


def test_other_callbacks_find_what_they_look_for(tmp_path: Path) -> None:
    model = compiled([layers.Dense(1, name="output")], "adam")
    callback = Counting(tmp_path)
    callback.calls = []
    others = [
        tf_keras.callbacks.ModelCheckpoint(os.fspath(tmp_path / "model"), save_format="tf"),
        tf_keras.callbacks.TensorBoard(os.fspath(tmp_path / "board")),
    ]
    fit(model, callback, *others, validation_data=data(), validation_batch_size=40, epochs=2)
    assert len(callback.calls) == 2
    assert not any("Tensor" in each for each in callback.calls)
    loaded = tf_keras.models.load_model(tmp_path / "model")
    for one, two in zip(loaded.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_loop_of_train_on_batch(tmp_path: Path) -> None:
    model, callback = net(), nanwatch.Callback(tmp_path, every=1)
    callbacks = tf_keras.callbacks.CallbackList([callback], model=model)
    callbacks.on_train_begin()
    for batch in range(3):
        callbacks.on_train_batch_begin(batch)
        logs = model.train_on_batch(*data(), return_dict=True)
        callbacks.on_train_batch_end(batch, logs)
    callbacks.on_train_end()
    assert len(recorded(tmp_path).records) == 3


def test_a_step_is_replayed_with_its_model(tmp_path: Path) -> None:
    fit(net("adam"), nanwatch.Callback(tmp_path, blackbox="state"), bad=True)
    (folder,) = (tmp_path / "nanwatch" / "blackbox").iterdir()
    contents = {name: (folder / name).read_bytes() for name in FILES}
    dump = unpack_dump(contents, np.dtype)
    assert dump.versions["tf_keras"] == tf_keras.__version__
    assert_names_log(replay(net("adam"), dump))


@pytest.mark.parametrize("on_nonfinite", ["record", "skip"])
def test_an_optimizer_of_tensorflow_1_trains_as_it_did(on_nonfinite: Any, tmp_path: Path) -> None:
    x, y = data()
    x[BAD_STEP * BATCH, 1] = np.nan

    def train(*callbacks: Any) -> list[np.ndarray]:
        tf_keras.utils.set_random_seed(0)
        model = tf_keras.Sequential([tf_keras.Input((4,)), layers.Dense(1)])
        model.compile(tf.compat.v1.train.AdamOptimizer(0.01), "mse")
        model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=list(callbacks))
        return [np.asarray(each) for each in model.variables]

    with pytest.warns(nanwatch.NaNWatchWarning) as warned:
        watched = train(nanwatch.Callback(tmp_path, on_nonfinite=on_nonfinite))
    np.testing.assert_array_equal(watched[0], train()[0])
    said = [str(each.message) for each in warned]
    assert not any("bug in NaNWatch" in each for each in said)
    assert any("no gradient found" in each for each in said)
    assert any('on_nonfinite="skip" is off' in each for each in said) == (on_nonfinite == "skip")
    recorded = read_recorded(tmp_path / "nanwatch")
    assert len(recorded.names("weight")) == 2
    assert recorded.names("loss") == ["loss"]
    assert recorded.names("gradient") == []


def test_a_model_compiled_with_several_optimizers(tmp_path: Path) -> None:
    x, y = data()

    def train(*callbacks: Any) -> list[np.ndarray]:
        tf_keras.utils.set_random_seed(0)
        linear = tf_keras.experimental.LinearModel(units=1)
        deep = tf_keras.Sequential([layers.Dense(3, "relu"), layers.Dense(1)])
        model = tf_keras.experimental.WideDeepModel(linear, deep)
        model.compile([optimizers.SGD(0.01), optimizers.Adam(0.01)], "mse")
        model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=list(callbacks))
        return [np.asarray(each) for each in model.variables]

    watched = train(nanwatch.Callback(tmp_path, on_nonfinite="skip"))
    assert all(map(np.array_equal, watched, train()))
    recorded = read_recorded(tmp_path / "nanwatch")
    assert len(recorded.names("gradient")) == 6


class TwoOptimizers(OwnStep):
    """Each part has an optimizer of its own, of the same kind."""

    def compile(self, make: Callable[[], Any], **options: Any) -> None:
        super().compile(make(), **options)
        self.other = make()

    def train_step(self, batch: Any) -> Any:
        x, _ = batch
        with tf.GradientTape(persistent=True) as tape:
            loss = tf.reduce_mean((self(x, training=True) - x) ** 2)
        with tf.name_scope("update"):
            for optimizer, part in ((self.optimizer, self.encoder), (self.other, self.decoder)):
                gradients = tape.gradient(loss, part.trainable_variables)
                pairs = zip(gradients, part.trainable_variables, strict=True)
                optimizer.apply_gradients(pairs)
        return {"loss": loss}


@pytest.mark.parametrize("make", [optimizers.Adam, optimizers.legacy.Adam], ids=["new", "legacy"])
@pytest.mark.parametrize("options", MODES.values(), ids=MODES)
def test_slots_have_the_names_that_they_would_have(
    tmp_path: Path, make: Callable[[], Any], options: dict[str, Any]
) -> None:
    def names(*callbacks: Any) -> list[list[str]]:
        model = TwoOptimizers()
        model.compile(make, **options)
        x, y = data()
        model.fit(x, y, batch_size=BATCH, epochs=1, verbose=0, callbacks=list(callbacks))
        found = [each.variables for each in (model.optimizer, model.other)]
        return [[v.name for v in (each() if callable(each) else each)] for each in found]

    assert names(nanwatch.Callback(tmp_path, on_nonfinite="skip")) == names()


def test_an_optimizer_without_anything_to_update_is_not_built(tmp_path: Path) -> None:
    def train(*callbacks: Any) -> Any:
        dense = layers.Dense(1, trainable=False)
        model = compiled([dense], optimizers.Adam(0.1))
        fit(model, *callbacks)
        dense.trainable = True  # Then the first update builds it.
        model.compile(model.optimizer, "mse")
        fit(model, *callbacks)
        return model

    assert_same_bits(train(nanwatch.Callback(tmp_path)), train())
