"""Every role in every way of training one small network, against that training in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import Recorded, read_recorded

import tb_nanwatch as nanwatch

STEPS, BATCH, RATE, MOMENTUM = 6, 8, 0.05, 0.9

Norms = dict[tuple[str, str], list[float]]
"""By role and the end of a tensor's name: the norm at each step."""


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS * BATCH, 6)).astype("float32")
    return x, x[:, :1] * 2 + 1


def initial_weights() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(6, 4)), rng.normal(size=4) / 2, rng.normal(size=(4, 1)), np.zeros(1)]


def trained_in_numpy(micro_batches: int = 1) -> Norms:
    """A ReLU layer and a linear one, least squares, SGD with momentum: its norms, step by step."""
    x, y = data()
    weights = initial_weights()
    names = ["hidden/kernel", "hidden/bias", "out/kernel", "out/bias"]
    momenta = [np.zeros_like(each) for each in weights]
    summed = [np.zeros_like(each) for each in weights]
    norms: Norms = {}

    def show(role: str, name: str, value: np.ndarray) -> None:
        norms.setdefault((role, name), []).append(float(np.linalg.norm(value)))

    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        inputs, targets = x[rows].astype("float64"), y[rows].astype("float64")
        hidden = np.maximum(inputs @ weights[0] + weights[1], 0)
        out = hidden @ weights[2] + weights[3]
        to_out = 2 * (out - targets) / BATCH
        to_hidden = to_out @ weights[2].T
        before_relu = to_hidden * (hidden > 0)
        gradients = [inputs.T @ before_relu, before_relu.sum(0), hidden.T @ to_out, to_out.sum(0)]

        summed = [total + gradient for total, gradient in zip(summed, gradients, strict=True)]
        before = weights
        if (step + 1) % micro_batches == 0:
            momenta = [
                MOMENTUM * momentum - RATE * total / micro_batches
                for momentum, total in zip(momenta, summed, strict=True)
            ]
            weights = [sum(pair) for pair in zip(weights, momenta, strict=True)]
            summed = [np.zeros_like(each) for each in weights]

        show("input", "input", inputs)
        show("target", "target", targets)
        show("activation", "hidden", hidden)
        show("activation", "out", out)
        show("prediction", "prediction", out)
        show("loss", "loss", np.mean((out - targets) ** 2))
        show("activation_gradient", "hidden", to_hidden)
        show("activation_gradient", "out", to_out)
        for row, name in enumerate(names):
            show("gradient", name, gradients[row])
            show("slot", f"{name.replace('/', '_')}_momentum", momenta[row])
            show("update", name, weights[row] - before[row])
            show("weight", name, weights[row])
    return norms


def check(found: Recorded, norms_by_name: Norms, rtol: float = 1e-4, atol: float = 0) -> None:
    """That each step is in one record, of these tensors and no others, with these norms.

    A record is of one call of the step, which may be several steps.
    """
    windows = found.windows()
    assert [step for first, last in windows for step in range(first, last + 1)] == [*range(STEPS)]
    recorded = {
        (tensor.role, tensor.name)
        for record in found.records
        for tensor in found.manifests[int(record.field("manifest"))].tensors
    }
    for (role, name), norms in norms_by_name.items():
        (full,) = (each for kind, each in recorded if kind == role and each.endswith(name))
        recorded.remove((role, full))
        parts = [np.array(norms[first : last + 1]) for first, last in windows]
        truths = {
            "steps": [len(part) for part in parts],
            "largest_norm": [part.max() for part in parts],
            "sum_squares": [(part**2).sum() for part in parts],
        }
        for column, truth in truths.items():
            np.testing.assert_allclose(
                found.series(role, full, column),
                truth,
                2 * rtol,
                atol,
                err_msg=f"{role} {full} {column}",
            )
        assert sum(found.series(role, full, "nonfinite_steps")) == 0
    assert recorded == set()


def hidden_and_out() -> list[keras.layers.Layer]:
    layers = keras.layers
    return [layers.Dense(4, "relu", name="hidden"), layers.Dense(1, name="out")]


def sequential() -> keras.Model:
    return keras.Sequential([keras.Input((6,)), *hidden_and_out()])


def functional() -> keras.Model:
    hidden, out = hidden_and_out()
    inputs = keras.Input((6,))
    return keras.Model(inputs, out(hidden(inputs)))


def nested() -> keras.Model:
    hidden, out = hidden_and_out()
    encoder = keras.Sequential([keras.Input((6,)), hidden], name="encoder")
    inputs = keras.Input((6,))
    return keras.Model(inputs, keras.Sequential([out], name="head")(encoder(inputs)))


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = hidden_and_out()

    def call(self, x: Any) -> Any:
        return self.out(self.hidden(x))


class WithItsOwnStep(Subclassed):
    """A training step as people write it by hand."""

    def train_step(self, batch: Any) -> Any:
        x, y = batch
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


MODELS = {
    "sequential": sequential,
    "functional": functional,
    "nested": nested,
    "subclassed": Subclassed,
    "own step": WithItsOwnStep,
}
MODES: dict[str, dict[str, Any]] = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
    "three steps a call": {"steps_per_execution": 3},
}


def compiled(model: keras.Model, optimizer: Any = None, **options: Any) -> keras.Model:
    model(np.zeros((1, 6)))
    model.compile(optimizer or keras.optimizers.SGD(RATE, MOMENTUM), "mse", **options)
    model.set_weights(initial_weights())
    return model


def fit(model: keras.Model, log_dir: Path, watch: Any = "all", **options: Any) -> Recorded:
    x, y = data()
    callback = nanwatch.Callback(log_dir, watch=watch, every=1)
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[callback], **options)
    return read_recorded(log_dir / "nanwatch")


@pytest.mark.parametrize(
    ("model", "mode"),
    [
        *(("sequential", mode) for mode in MODES),
        ("functional", "graph"),
        ("nested", "graph"),
        ("subclassed", "graph"),
        ("own step", "graph"),
        ("own step", "eager"),
    ],
)
def test_every_role_matches_numpy(tmp_path: Path, model: str, mode: str) -> None:
    found = fit(compiled(MODELS[model](), **MODES[mode]), tmp_path)
    check(found, trained_in_numpy())
    tensors = found.manifests[int(found.records[0].field("manifest"))].tensors
    layers = {tensor.layer for tensor in tensors}
    prefix = {"nested": ("encoder/", "head/")}.get(model, ("", ""))
    assert layers == {"", *(f"{a}{b}" for a, b in zip(prefix, ("hidden", "out"), strict=True))}


def test_micro_batches_are_steps_with_updates_of_their_own(tmp_path: Path) -> None:
    optimizer = keras.optimizers.SGD(RATE, MOMENTUM, gradient_accumulation_steps=2)
    watch = ["all", "-slot"]
    found = fit(compiled(sequential(), optimizer), tmp_path, watch)
    truth = trained_in_numpy(micro_batches=2)
    assert truth["update", "out/kernel"][0] == 0
    check(found, {key: norms for key, norms in truth.items() if key[0] != "slot"})


@pytest.mark.parametrize(("policy", "rtol"), [("mixed_float16", 0.02), ("mixed_bfloat16", 0.1)])
def test_gradients_of_half_precision_are_recorded_unscaled(
    tmp_path: Path, policy: str, rtol: float
) -> None:
    keras.config.set_dtype_policy(policy)
    try:
        optimizer = keras.optimizers.SGD(RATE, MOMENTUM)
        if policy == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=32.0)
        model = compiled(sequential(), optimizer)
    finally:
        keras.config.set_dtype_policy("float32")
    found = fit(model, tmp_path, ["all", "-prediction"])
    truth = trained_in_numpy()
    truth.pop(("prediction", "prediction"))
    check(found, truth, rtol, atol=rtol)
    scales = [record.field("loss_scale") for record in found.records]
    np.testing.assert_array_equal(scales, [32 if policy == "mixed_float16" else np.nan] * STEPS)


WATCHED = {
    "eager": lambda step: step,
    "graph": tf.function,
    "xla": tf.function(jit_compile=True),
}


@pytest.mark.parametrize("mode", WATCHED)
def test_a_loop_of_its_own_shows_what_it_hands_over(tmp_path: Path, mode: str) -> None:
    model = compiled(sequential())
    optimizer, (hidden, out) = model.optimizer, model.layers
    optimizer.build(model.trainable_variables)
    watcher = nanwatch.Watcher(tmp_path, every=1)

    @WATCHED[mode]
    def step(x: tf.Tensor, y: tf.Tensor) -> None:
        before = [tf.identity(each) for each in model.trainable_variables]
        with tf.GradientTape(persistent=True) as tape:
            activation = hidden(x)
            prediction = out(activation)
            loss = tf.reduce_mean((prediction - y) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        arriving = tape.gradient(loss, {"hidden": activation, "out": prediction})
        optimizer.apply(gradients, model.trainable_variables)
        after = model.trainable_variables
        watcher.observe(
            input=x,
            target=y,
            activation={"hidden": activation, "out": prediction},
            prediction=prediction,
            loss=loss,
            activation_gradient=arriving,
            gradient=zip(gradients, after, strict=True),
            slot=optimizer.variables[2:],
            update=[(new - old, new) for old, new in zip(before, after, strict=True)],
            weight=after,
        )

    x, y = data()
    with watcher:
        for number in range(STEPS):
            rows = slice(number * BATCH, (number + 1) * BATCH)
            step(tf.constant(x[rows]), tf.constant(y[rows]))
            assert watcher.step_end() is False
    check(read_recorded(tmp_path / "nanwatch"), trained_in_numpy())


class Gan(keras.Model):
    """Two linear models and two optimizers, of which one is compiled in."""

    def __init__(self, critics: Any) -> None:
        super().__init__()
        options = {"use_bias": False, "kernel_initializer": "ones"}
        layers = keras.layers
        self.generator = keras.Sequential([layers.Dense(2, name="g", **options)], name="generator")
        self.critic = keras.Sequential([layers.Dense(1, name="c", **options)], name="critic")
        self.optimizers = {"critic": critics}

    def call(self, noise: Any) -> Any:
        return self.critic(self.generator(noise))

    def train_step(self, batch: Any) -> Any:
        noise, real = batch
        optimizer = self.optimizers["critic"]
        variables = self.critic.trainable_variables
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(self(noise)) - tf.reduce_mean(self.critic(real))
            scaled = optimizer.scale_loss(loss)
        gradients = tape.gradient(scaled, variables)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        with tf.GradientTape() as tape:
            fooled = -tf.reduce_mean(self(noise))
        variables = self.generator.trainable_variables
        self.optimizer.apply(tape.gradient(fooled, variables), variables)
        return {"critic": loss, "generator": fooled}


@pytest.mark.parametrize("scale", [None, 2.0**5])
def test_a_gan_shows_both_its_models_and_optimizers(tmp_path: Path, scale: float | None) -> None:
    rng = np.random.default_rng(0)
    noise, real = rng.normal(size=(STEPS * BATCH, 3)), rng.normal(size=(STEPS * BATCH, 2))
    optimizer = keras.optimizers.SGD(0.1)
    if scale:
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=scale)
    model = Gan(optimizer)
    model(noise[:1])
    model.compile(keras.optimizers.SGD(0.2))
    callback = nanwatch.Callback(tmp_path, watch=["gradient", "activation", "update"], every=1)
    batches = tf.data.Dataset.from_tensor_slices((noise, real)).batch(BATCH)
    model.fit(batches, shuffle=False, verbose=0, callbacks=[callback])

    truth: Norms = {}
    generator, critic = np.ones((3, 2)), np.ones((2, 1))

    def show(role: str, name: str, value: np.ndarray) -> None:
        truth.setdefault((role, name), []).append(float(np.linalg.norm(value)))

    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        fake = noise[rows] @ generator
        show("activation", "generator/g", fake)
        show("activation", "critic/c", fake @ critic)
        show("activation", "critic/c#2", real[rows] @ critic)
        gradient = (fake.mean(0) - real[rows].mean(0))[:, None]
        show("gradient", "critic/c/kernel", gradient)
        show("update", "critic/c/kernel", 0.1 * gradient)
        critic = critic - 0.1 * gradient
        show("activation", "generator/g#2", fake)
        show("activation", "critic/c#3", fake @ critic)
        gradient = -noise[rows].mean(0)[:, None] @ critic.T
        show("gradient", "generator/g/kernel", gradient)
        show("update", "generator/g/kernel", 0.2 * gradient)
        generator = generator - 0.2 * gradient
    found = read_recorded(tmp_path / "nanwatch")
    check(found, truth)
    scales = [record.field("loss_scale") for record in found.records]
    np.testing.assert_array_equal(scales, [scale or np.nan] * STEPS)
