"""Models whose `train_step` is their own: what it shows, and what it is called."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import Recorded, read_recorded

import tb_nanwatch as nanwatch

BATCH, STEPS = 4, 3
MODES: dict[str, dict[str, Any]] = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}
modes = pytest.mark.parametrize("mode", MODES)
layers = keras.layers


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """Any warning of ours is an error where a test does not expect it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="NaNWatch")
        yield


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(STEPS * BATCH, *shape)).astype("float32")


def fit(model: keras.Model, log_dir: Path, *arrays: Any, **options: Any) -> Recorded:
    """Trains on batches of these arrays, as a tuple; of a single one as it is."""
    batches = tf.data.Dataset.from_tensor_slices(arrays if len(arrays) > 1 else arrays[0])
    callback = nanwatch.Callback(log_dir, every=1, **options)
    model.fit(batches.batch(BATCH), shuffle=False, verbose=0, callbacks=[callback])
    return read_recorded(log_dir / "nanwatch")


def told(recorded: Any) -> list[str]:
    return [str(each.message) for each in recorded if "NaNWatch" in str(each.message)]


class Regression(keras.Model):
    """Least squares by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = layers.Dense(1, use_bias=False, kernel_initializer="ones")

    def call(self, x: Any) -> Any:
        return self.inner(x)

    def train_step(self, batch: Any) -> Any:
        x, y = batch
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
            scaled = self.optimizer.scale_loss(loss)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(scaled, variables), variables)
        return {"loss": loss}


@modes
@pytest.mark.parametrize("scale", [None, 2.0**7])
def test_a_step_that_computes_its_loss_shows_loss_and_prediction(
    tmp_path: Path, mode: str, scale: float | None
) -> None:
    x, y = data(3), data(1)
    optimizer = keras.optimizers.SGD(0.1)
    if scale:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=scale)
    model = Regression()
    model.compile(optimizer, **MODES[mode])
    found = fit(model, tmp_path, x, y)
    kernel = np.ones((3, 1))
    losses, predictions = [], []
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        prediction = x[rows] @ kernel
        error = prediction - y[rows]
        losses.append(np.mean(error**2))
        predictions.append(np.linalg.norm(prediction))
        kernel = kernel - 0.1 * 2 * x[rows].T @ error / BATCH
    assert found.names("loss") == ["loss"]
    np.testing.assert_allclose(found.series("loss", "loss", "largest_norm"), losses, rtol=1e-4)
    assert found.names("prediction") == ["prediction"]
    norms = found.series("prediction", "prediction", "largest_norm")
    np.testing.assert_allclose(norms, predictions, rtol=1e-4)


class WganGp(keras.Model):
    """A critic with a gradient penalty, trained twice, and a generator."""

    def __init__(self) -> None:
        super().__init__()
        options = {"use_bias": False, "kernel_initializer": "ones"}
        self.critic = keras.Sequential([keras.Input((2,)), layers.Dense(1, **options)])
        self.generator = keras.Sequential([keras.Input((3,)), layers.Dense(2, **options)])

    def compile(self, **options: Any) -> None:
        super().compile(**options)
        self.critic_optimizer = keras.optimizers.SGD(0.1)
        self.generator_optimizer = keras.optimizers.SGD(0.1)

    def train_step(self, real: Any) -> Any:
        noise = tf.ones((BATCH, 3))
        for _ in range(2):
            with tf.GradientTape() as tape:
                fake = self.generator(noise)
                between = (real + fake) / 2
                with tf.GradientTape() as penalty_tape:
                    penalty_tape.watch(between)
                    judged = tf.reduce_sum(self.critic(between))
                slope = penalty_tape.gradient(judged, [between])[0]
                penalty = tf.reduce_mean((tf.norm(slope, axis=1) - 1) ** 2)
                with tf.GradientTape() as weights_tape:
                    size = tf.reduce_sum(self.critic(real))
                weights_tape.gradient(size, self.critic.trainable_variables)
                loss = tf.reduce_mean(self.critic(fake)) - tf.reduce_mean(self.critic(real))
                loss += 10 * penalty
            variables = self.critic.trainable_variables
            self.critic_optimizer.apply(tape.gradient(loss, variables), variables)
        with tf.GradientTape() as tape:
            fooled = -tf.reduce_mean(self.critic(self.generator(noise)))
        variables = self.generator.trainable_variables
        self.generator_optimizer.apply(tape.gradient(fooled, variables), variables)
        return {"critic": loss, "generator": fooled}


@modes
def test_losses_of_several_networks_are_named_by_what_they_train(tmp_path: Path, mode: str) -> None:
    model = WganGp()
    model.compile(**MODES[mode])
    history: list[Any] = []

    class Keep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            history.append(logs)

    callback = nanwatch.Callback(tmp_path, every=1)
    batches = tf.data.Dataset.from_tensor_slices(data(2)).batch(BATCH)
    model.fit(batches, shuffle=False, verbose=0, callbacks=[callback, Keep()])
    found = read_recorded(tmp_path / "nanwatch")
    # The penalty's scalars, which a tape around them differentiates again, are no losses.
    assert found.names("loss") == ["loss/critic", "loss/critic#2", "loss/generator"]
    for name, key in (("loss/critic#2", "critic"), ("loss/generator", "generator")):
        np.testing.assert_allclose(
            found.series("loss", name, "largest_norm"),
            [abs(float(logs[key])) for logs in history],
            rtol=1e-5,
        )
    assert found.names("input") == ["input"]
    assert found.names("prediction") == []
    assert tf.GradientTape.gradient.__module__ == "tensorflow.python.eager.backprop"
    assert not hasattr(tf.GradientTape.gradient, "__wrapped__")


class OwnUpdate(keras.Model):  # type: ignore[misc]
    """Updates its weights without an optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, x: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.math.log(x) * self(x))
        variables = self.trainable_variables
        for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
            variable.assign_sub(0.1 * gradient)
        return {"loss": loss}


@pytest.mark.parametrize("eagerly", [False, True])
def test_an_update_without_an_optimizer_is_looked_into(tmp_path: Path, eagerly: bool) -> None:
    x = np.ones((12, 1), np.float32)
    x[6] = 0
    weights = []
    for callbacks in ([], [nanwatch.Callback(tmp_path, watch=["loss", "weight"])]):
        keras.utils.set_random_seed(1)
        model = OwnUpdate()
        model(x[:1])
        model.compile(run_eagerly=eagerly)
        model.fit(x, batch_size=4, shuffle=False, verbose=0, callbacks=callbacks)
        weights.append(model.get_weights())
    for mine, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    (rerun,) = read_recorded(tmp_path / "nanwatch").reruns
    assert rerun.operation is not None
    assert (rerun.step, rerun.operation.type, rerun.examples) == (1, "Log", (2,))


def test_what_compute_loss_gave_is_recorded_once(tmp_path: Path) -> None:
    class Own(keras.Sequential):
        def train_step(self, batch: Any) -> Any:
            x, y = batch
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    model = Own([keras.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse")
    found = fit(model, tmp_path, data(3), data(1))
    assert found.names("loss") == ["loss"]
    assert found.names("prediction") == ["prediction"]
    assert found.names("input") == ["input"]
    assert found.names("target") == ["target"]


@modes
def test_a_loss_for_each_row_is_a_loss(tmp_path: Path, mode: str) -> None:
    losses: list[float] = []

    class Own(Regression):
        def train_step(self, batch: Any) -> Any:
            x, y = batch
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum((self(x, training=True) - y) ** 2, axis=1)
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"norm": tf.norm(loss)}

    class Keep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            losses.append(float(logs["norm"]))

    model = Own()
    model.compile("sgd", **MODES[mode])
    batches = tf.data.Dataset.from_tensor_slices((data(3), data(1))).batch(BATCH)
    callbacks = [nanwatch.Callback(tmp_path, every=1), Keep()]
    model.fit(batches, shuffle=False, verbose=0, callbacks=callbacks)
    found = read_recorded(tmp_path / "nanwatch")
    assert found.names("loss") == ["loss"]
    np.testing.assert_allclose(found.series("loss", "loss", "largest_norm"), losses, rtol=1e-5)
    assert set(found.series("loss", "loss", "elements")) == {BATCH}


def test_a_jacobian_is_made_of_no_losses(tmp_path: Path) -> None:
    class Own(Regression):
        def train_step(self, batch: Any) -> Any:
            x, _ = batch
            with tf.GradientTape() as tape:
                outputs = tf.reduce_mean(self(x), axis=1)
            (jacobian,) = tape.jacobian(outputs, self.trainable_variables)
            self.optimizer.apply([tf.reduce_mean(jacobian, axis=0)], self.trainable_variables)
            return {"done": tf.constant(1.0)}

    model = Own()
    model.compile("sgd")
    with pytest.warns(
        nanwatch.NaNWatchWarning,
        match="no loss found in this train_step, .* To record the loss",
    ):
        found = fit(model, tmp_path, data(3), data(1), watch=["loss", "gradient", "prediction"])
    assert found.names("loss") == []
    assert found.names("prediction") == ["prediction"]


def test_only_what_is_true_is_said_of_a_step_that_shows_nothing(tmp_path: Path) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.kernel = self.add_weight(shape=(3, 1))

        def train_step(self, x: Any) -> Any:
            self.kernel.assign_add(tf.reduce_mean(x, axis=0)[:, None])
            return {"done": tf.constant(1.0)}

    model = Own()
    model.compile("sgd")
    with pytest.warns(nanwatch.NaNWatchWarning) as warned:
        fit(model, tmp_path, data(3))
    (message,) = told(warned)
    assert "no prediction, loss or gradient found in this train_step, so none is" in message
    assert "To record gradients, apply them with an optimizer that the model holds." in message
    assert "does not call" not in message


class Siamese(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.embed = layers.Dense(2)

    def call(self, images: Any) -> Any:
        return [self.embed(each) for each in images]

    def train_step(self, images: Any) -> Any:
        with tf.GradientTape() as tape:
            anchor, same, other = self(images)
            loss = tf.reduce_mean((anchor - same) ** 2) - tf.reduce_mean((anchor - other) ** 2)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


@modes
def test_a_triplet_of_images_has_no_labels(tmp_path: Path, mode: str, capsys: Any) -> None:
    bad = data(3)
    bad[BATCH] = np.nan
    model = Siamese()
    model.compile("sgd", **MODES[mode])
    found = fit(model, tmp_path, data(3), bad, data(3))
    assert found.names("input") == ["input/0", "input/1", "input/2"]
    assert found.names("target") == []
    assert found.names("prediction") == ["prediction/0", "prediction/1", "prediction/2"]
    assert found.nonfinite()["input", "input/1"] == 1
    assert "labels" not in capsys.readouterr().out


@pytest.mark.parametrize("mode", ["graph", "eager"])
@pytest.mark.parametrize(
    ("kind", "inputs", "targets"),
    [
        ("unpacks", ["input"], ["target", "sample_weight"]),
        ("super", ["input"], ["target", "sample_weight"]),
        ("labels last", ["input/0", "input/1"], ["target"]),
        ("by hand", ["input/0", "input/1", "input/2"], []),
    ],
)
def test_a_target_is_what_the_loss_is_given_as_one(
    tmp_path: Path, kind: str, mode: str, inputs: list[str], targets: list[str]
) -> None:
    class Unpacks(Regression):
        def train_step(self, batch: Any) -> Any:
            x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
            return super().train_step((x, y))

    class Own(Regression):
        def train_step(self, batch: Any) -> Any:
            x, y, weights = batch
            if kind == "super":
                return keras.Model.train_step(self, (x + 1, y, weights))
            if kind == "labels last":
                self.compute_loss(x, y=weights, y_pred=self(x))
            return super().train_step((x, y))

    model = Unpacks() if kind == "unpacks" else Own()
    model.compile("sgd", "mse", **MODES[mode])
    found = fit(model, tmp_path, data(3), data(1), data(1), watch=["input", "target"])
    assert sorted(found.names("input")) == inputs
    assert found.names("target") == targets


@modes
def test_labels_and_ids_are_recorded_in_silence(tmp_path: Path, mode: str) -> None:
    word = keras.Input((4,), dtype="int32", name="word")
    table = layers.Embedding(10, 3, name="table")(word)
    outputs = layers.Dense(2)(layers.Flatten()(table))
    model = keras.Model(word, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, **MODES[mode])
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 10, (STEPS * BATCH, 4)), rng.integers(0, 2, STEPS * BATCH)
    found = fit(model, tmp_path / "default", x, y, np.ones(len(y), "int64"))
    assert (found.names("input"), found.names("target")) == (["input"], ["target", "sample_weight"])
    assert found.names("loss") == ["loss"]
    tensors = [each for manifest in found.manifests.values() for each in manifest.tensors]
    kinds = {each.name: each.attribute for each in tensors}
    assert (kinds["input"], kinds["target"]) == ("integer", "integer")
    assert kinds["sample_weight"] == "sample_weight"  # Of whole numbers, too.
    steps = range(STEPS)
    batches = [x[BATCH * step : BATCH * (step + 1)] for step in steps]
    assert found.series("input", "input", "max") == [float(each.max()) for each in batches]
    assert found.series("input", "input", "min") == [float(each.min()) for each in batches]
    assert max(found.series("target", "target", "max")) == 1


class Decorated(Regression):
    """As TensorFlow's tutorial on text generation writes it."""

    calls = 0

    @tf.function
    def train_step(self, batch: Any) -> Any:
        Decorated.calls += 1
        x, y = batch
        total = tf.constant(0.0)
        if tf.reduce_sum(x) > -1e9:  # AutoGraph's
            total = total + 1.0
        with tf.GradientTape() as tape:
            loss = total * self.compute_loss(y=y, y_pred=self(x, training=True))
        variables = self.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return {"loss": loss}


@modes
def test_a_train_step_that_is_a_tf_function_is_looked_into(
    tmp_path: Path, mode: str, capsys: Any
) -> None:
    x, y = data(3), data(1)
    x[2 * BATCH] = np.nan

    def train(*callbacks: keras.callbacks.Callback) -> list[np.ndarray]:
        model = Decorated()
        model.compile(keras.optimizers.SGD(0.1), "mse", **MODES[mode])
        batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
        model.fit(batches, shuffle=False, verbose=0, callbacks=list(callbacks))
        return model.get_weights()

    plain = train()
    before = Decorated.calls
    watched = train(nanwatch.Callback(tmp_path, every=1, watch=["default", "activation"]))
    # Traced, once or twice, and not run by Python at each step; then once more by the black box.
    assert Decorated.calls - before <= 4
    for each, other in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(each, other)
    found = read_recorded(tmp_path / "nanwatch")
    assert found.windows() == [(step, step) for step in range(STEPS)]
    assert found.names("loss") == ["loss", "loss#2"]
    assert found.names("target") == ["target"]
    assert len(found.names("gradient")) == len(found.names("activation")) == 1
    said = capsys.readouterr().out
    assert "ptimizer" not in said
    assert "NaN in the input data at step 2" in said


def test_a_train_step_that_xla_compiles_by_itself_is_left_alone(
    tmp_path: Path, capsys: Any
) -> None:
    class Compiled(Regression):
        train_step = tf.function(Regression.train_step, jit_compile=True)

        def call(self, x: Any) -> Any:
            # Of something finite, in the second step.
            return self.inner(x) + tf.sqrt(1.5 - tf.cast(self.optimizer.iterations, tf.float32))

    x = data(3)
    model = Compiled()
    model.compile("sgd")
    with pytest.warns(nanwatch.NaNWatchWarning) as warned:
        found = fit(model, tmp_path, x, data(1))
    unguarded, message = told(warned)
    assert "not analyzed: it updates weights inside a nested function" in unguarded
    assert "no prediction, loss or gradient found" in message
    assert found.names("weight")
    assert {name for role, name in found.nonfinite()} == set(found.names("weight"))
    # A weight that went bad while nothing else was seen is not known to be the optimizer's fault.
    said = capsys.readouterr().out
    assert "ptimizer" not in said
    assert "none of them was recorded" in said


@pytest.mark.parametrize("mode", MODES)
def test_the_black_box_names_the_line_within_a_tf_function(
    tmp_path: Path, mode: str, capsys: Any
) -> None:
    class Breaks(Regression):
        @tf.function
        def train_step(self, batch: Any) -> Any:
            x, y = batch
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x) - y) ** 2)
                loss *= tf.sqrt(1.5 - tf.cast(self.optimizer.iterations, tf.float32))
            variables = self.trainable_variables
            self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    model = Breaks()
    model.compile("sgd", **MODES[mode])
    fit(model, tmp_path, data(3), data(1))
    said = capsys.readouterr().out
    source = Path(__file__).read_text(encoding="utf-8").splitlines()
    line = next(n for n, text in enumerate(source, 1) if "loss *= tf.sqrt(1.5" in text)
    assert f"NaN in the loss at step 2 · `Sqrt`, forward · test_own_train_steps.py:{line}" in said


class FlatPenalty(WganGp):
    """Its critic's slope is 0 where the batch is: the root of the penalty's norm has none there."""

    def train_step(self, real: Any) -> Any:
        noise = tf.random.normal((BATCH, 3))
        with tf.GradientTape() as tape:
            with tf.GradientTape() as penalty_tape:
                penalty_tape.watch(real)
                judged = self.critic(tf.square(real))
            slope = penalty_tape.gradient(judged, [real])[0]
            norm = tf.sqrt(tf.reduce_sum(tf.square(slope), axis=1))  # the root
            loss = tf.reduce_mean(self.critic(self.generator(noise)) - self.critic(real))
            loss += tf.reduce_mean((norm - 1) ** 2)
        variables = self.critic.trainable_variables
        self.critic_optimizer.apply(tape.gradient(loss, variables), variables)
        with tf.GradientTape() as tape:
            fooled = -tf.reduce_mean(self.critic(self.generator(noise)))
        variables = self.generator.trainable_variables
        self.generator_optimizer.apply(tape.gradient(fooled, variables), variables)
        return {"critic": loss, "generator": fooled}


@modes
def test_the_root_of_a_penalty_is_named_and_both_networks_train_on_as_without(
    tmp_path: Path, mode: str
) -> None:
    real = data(2)
    real[BATCH + 1] = 0  # The second row of the second step.
    batches = tf.data.Dataset.from_tensor_slices(real).batch(BATCH)
    weights = []
    for callbacks in ([], [nanwatch.Callback(tmp_path, every=1)]):
        keras.utils.set_random_seed(1)
        model = FlatPenalty()
        model.compile(**MODES[mode])
        model.fit(batches, shuffle=False, verbose=0, callbacks=callbacks)
        weights.append(model.get_weights())
    (rerun,) = read_recorded(tmp_path / "nanwatch").reruns
    operation = rerun.operation
    assert operation is not None
    assert (operation.type, operation.direction) == ("Sqrt", "backward")
    assert "# the root" in operation.code
    assert (rerun.step, rerun.examples) == (1, (1,))
    for mine, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
