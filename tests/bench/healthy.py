"""False alarms over long healthy trainings: each trains well, and nothing may be said of it.

Every training takes 2,000 steps or more, of kinds whose numbers look odd without anything being
wrong: losses that end at zero, two networks against each other, rates that jump, ids that are rare.
A training counts as healthy by a loop that knows nothing of NaNWatch: its weights are finite, and
what it is judged by ends better than it began.

    python tests/bench/healthy.py [--only NAME ...]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from reports import findings_of
from sklearn.datasets import load_diabetes, load_digits

import tb_nanwatch as nanwatch

STEPS = 2000
L = keras.layers
Array = Any


@dataclass
class Run:
    """A compiled model and its data; rows are drawn anew in each epoch."""

    model: Any
    x: Any
    y: Any = None
    batch: int = 16
    options: dict[str, Any] = field(default_factory=dict)


RUNS: dict[str, Callable[[], Run]] = {}


def run(build: Callable[[], Run]) -> Callable[[], Run]:
    RUNS[build.__name__] = build
    return build


def digits(rows: int = 1600) -> tuple[Array, Array]:
    data = load_digits()
    return (data.data[:rows] / 16).astype("float32"), data.target[:rows]


def images() -> tuple[Array, Array]:
    x, y = digits()
    return x.reshape(-1, 8, 8, 1), y


def diabetes() -> tuple[Array, Array]:
    data = load_diabetes()
    return (data.data * 20).astype("float32"), (data.target[:, None] / 100).astype("float32")


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def sparse() -> Any:
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def mlp(units: int = 10, activation: str = "relu", inputs: int = 64, **options: Any) -> Any:
    return keras.Sequential(
        [
            keras.Input((inputs,)),
            L.Dense(64, activation, **options),
            L.Dense(32, activation, **options),
            L.Dense(units),
        ]
    )


def compiled(model: Any, optimizer: Any = "adam", loss: Any = None, **options: Any) -> Any:
    model.compile(optimizer, loss or sparse(), **options)
    return model


@run
def overfitted_regression() -> Run:
    model = compiled(mlp(1, "tanh", 10), keras.optimizers.Adam(3e-3), "mse")
    x, y = diabetes()
    return Run(model, x[:32], y[:32])


@run
def overfitted_classifier() -> Run:
    x, y = digits(64)
    return Run(compiled(mlp(), keras.optimizers.Adam(1e-2)), x, y)


@run
def dead_units_of_an_overfitted_relu() -> Run:
    x, y = digits(32)
    return Run(compiled(mlp(), keras.optimizers.SGD(0.3)), x, y)


@run
def learning_rate_spikes() -> Run:
    rates = [0.02, 0.4, 0.02, 0.4, 0.02, 0.4, 0.02]
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay(
        [500, 504, 1000, 1004, 1500, 1504], rates
    )
    return Run(compiled(mlp(), keras.optimizers.SGD(schedule, momentum=0.9)), *digits())


@run
def warm_restarts() -> Run:
    schedule = keras.optimizers.schedules.CosineDecayRestarts(3e-3, 300, t_mul=1.5)
    return Run(compiled(mlp(), keras.optimizers.Adam(schedule)), *digits())


@run
def long_warm_up() -> Run:
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, STEPS, warmup_target=3e-3, warmup_steps=800
    )
    return Run(compiled(mlp(), keras.optimizers.AdamW(schedule)), *digits(), batch=64)


@run
def rare_ids() -> Run:
    rng = np.random.default_rng(0)
    ids = np.minimum(rng.zipf(1.3, size=(4000, 12)), 5000) - 1
    model = keras.Sequential(
        [keras.Input((12,), dtype="int32"), L.Embedding(5000, 8), L.GlobalAveragePooling1D()]
    )
    model.add(L.Dense(1))
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    return Run(compiled(model, loss=loss), ids, (ids[:, :1] < 3).astype("float32"))


@run
def sparse_features() -> Run:
    x = (np.random.default_rng(0).random((2000, 200)) < 0.01).astype("float32")
    y = x[:, :20].sum(axis=1, keepdims=True)
    return Run(compiled(mlp(1, inputs=200), keras.optimizers.Adagrad(0.05), "mse"), x, y)


@run
def heavy_tails() -> Run:
    x = noise(2000, 8)
    y = x[:, :1] + 0.3 * np.random.default_rng(1).standard_t(1.5, size=(2000, 1)).astype("float32")
    return Run(compiled(mlp(1, inputs=8), loss=keras.losses.Huber()), x, np.clip(y, -50, 50))


@run
def rare_positives() -> Run:
    x = noise(4000, 8)
    y = (x[:, :1] > 2.3).astype("float32")
    model = compiled(mlp(1, inputs=8), loss=keras.losses.BinaryCrossentropy(from_logits=True))
    return Run(model, x, y, options={"class_weight": {0: 1.0, 1: 50.0}})


@run
def convolutions_with_batch_norm() -> Run:
    layers = [L.Conv2D(8, 3, padding="same"), L.BatchNormalization(), L.ReLU(), L.MaxPooling2D()]
    model = keras.Sequential([keras.Input((8, 8, 1)), *layers, L.Flatten(), L.Dense(10)])
    return Run(compiled(model, keras.optimizers.SGD(0.05, momentum=0.9)), *images())


@run
def deep_residual() -> Run:
    inputs = keras.Input((64,))
    x = L.Dense(32)(inputs)
    for _ in range(12):
        y = L.Dense(32, "relu", kernel_regularizer="l2")(L.LayerNormalization()(x))
        x = L.Add()([x, L.Dense(32, kernel_initializer="zeros")(y)])
    return Run(compiled(keras.Model(inputs, L.Dense(10)(x))), *digits())


@run
def strong_dropout() -> Run:
    layers = [L.Dense(128, "relu"), L.Dropout(0.7), L.Dense(64, "relu"), L.Dropout(0.5)]
    return Run(compiled(keras.Sequential([keras.Input((64,)), *layers, L.Dense(10)])), *digits())


@run
def lstm_with_clipping() -> Run:
    x, y = digits()
    model = keras.Sequential([keras.Input((8, 8)), L.LSTM(24), L.Dense(10)])
    return Run(
        compiled(model, keras.optimizers.Adam(3e-3, global_clipnorm=1.0)), x.reshape(-1, 8, 8), y
    )


@run
def masked_gru() -> Run:
    x = noise(1000, 12, 4)
    for row, length in enumerate(np.random.default_rng(0).integers(2, 12, len(x))):
        x[row, length:] = 0
    y = (x.sum(axis=(1, 2)) > 0).astype("int32")
    model = keras.Sequential([keras.Input((12, 4)), L.Masking(), L.GRU(16), L.Dense(2)])
    return Run(compiled(model), x, y)


@run
def transformer_block() -> Run:
    x, y = digits()
    inputs = keras.Input((8, 8))
    h = L.Dense(16)(inputs)
    h = h + L.MultiHeadAttention(4, 4)(L.LayerNormalization()(h), h, use_causal_mask=True)
    h = h + L.Dense(16)(L.Dense(32, "gelu")(L.LayerNormalization()(h)))
    model = keras.Model(inputs, L.Dense(10)(L.GlobalAveragePooling1D()(h)))
    return Run(compiled(model, keras.optimizers.AdamW(1e-3)), x.reshape(-1, 8, 8), y)


@run
def autoencoder() -> Run:
    x, _ = digits()
    model = keras.Sequential([keras.Input((64,)), L.Dense(8, "relu"), L.Dense(64, "sigmoid")])
    return Run(compiled(model, loss="binary_crossentropy"), x, x)


@run
def float16_with_loss_scaling() -> Run:
    keras.mixed_precision.set_global_policy("mixed_float16")
    model = keras.Sequential(
        [keras.Input((64,)), L.Dense(64, "relu"), L.Dense(10, dtype="float32")]
    )
    return Run(compiled(model, keras.optimizers.Adam(1e-3)), *digits())


@run
def bfloat16() -> Run:
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    return Run(compiled(mlp()), *digits())


@run
def two_outputs() -> Run:
    x, y = digits()
    inputs = keras.Input((64,))
    h = L.Dense(32, "relu")(inputs)
    model = keras.Model(
        inputs, {"digit": L.Dense(10, name="digit")(h), "ink": L.Dense(1, name="ink")(h)}
    )
    loss = {"digit": sparse(), "ink": "mse"}
    model.compile("adam", loss, loss_weights={"digit": 1.0, "ink": 0.01})
    return Run(model, x, {"digit": y, "ink": x.sum(axis=1, keepdims=True)})


@run
def frozen_backbone() -> Run:
    backbone = keras.Sequential([keras.Input((64,)), L.Dense(64, "relu"), L.BatchNormalization()])
    backbone.trainable = False
    return Run(compiled(keras.Sequential([backbone, L.Dense(10)])), *digits())


@run
def exact_labels_of_a_coin() -> Run:
    """Nothing can be learned: the loss stays where it is, which is the best."""
    x = noise(2000, 8)
    y = np.random.default_rng(3).integers(0, 2, (2000, 1)).astype("float32")
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    return Run(compiled(mlp(1, inputs=8), keras.optimizers.SGD(1e-3), loss), x, y, batch=64)


class Gan(keras.Model):  # type: ignore[misc]
    """Two networks against each other, by alternating steps."""

    def __init__(self, wasserstein: bool) -> None:
        super().__init__()
        self.wasserstein = wasserstein
        self.generator = keras.Sequential(
            [keras.Input((4,)), L.Dense(32, "relu"), L.Dense(64, "sigmoid")]
        )
        self.critic = keras.Sequential(
            [keras.Input((64,)), L.Dense(32), L.LeakyReLU(0.2), L.Dense(1)]
        )
        self.of_generator = keras.optimizers.Adam(2e-4, 0.5)
        self.of_critic = keras.optimizers.Adam(2e-4, 0.5)
        self.seed = keras.random.SeedGenerator(1)
        self.loss_of = keras.losses.BinaryCrossentropy(from_logits=True)

    def _critic_loss(self, real: Any, made: Any) -> Any:
        if not self.wasserstein:
            a, b = self.critic(real), self.critic(made)
            return self.loss_of(tf.ones_like(a), a) + self.loss_of(tf.zeros_like(b), b)
        share = keras.random.uniform((tf.shape(real)[0], 1), seed=self.seed)
        mixed = share * real + (1 - share) * made
        with tf.GradientTape() as tape:
            tape.watch(mixed)
            value = self.critic(mixed)
        slope = tape.gradient(value, mixed)
        length = tf.sqrt(tf.reduce_sum(slope**2, axis=1) + 1e-12)
        penalty = tf.reduce_mean((length - 1) ** 2)
        return tf.reduce_mean(self.critic(made)) - tf.reduce_mean(self.critic(real)) + 10 * penalty

    def train_step(self, real: Any) -> Any:
        made = self.generator(keras.random.normal((tf.shape(real)[0], 4), seed=self.seed))
        with tf.GradientTape() as tape:
            critic_loss = self._critic_loss(real, made)
        weights = self.critic.trainable_variables
        self.of_critic.apply_gradients(
            zip(tape.gradient(critic_loss, weights), weights, strict=True)
        )
        noise = keras.random.normal((tf.shape(real)[0], 4), seed=self.seed)
        with tf.GradientTape() as tape:
            value = self.critic(self.generator(noise))
            loss = -tf.reduce_mean(value)
            if not self.wasserstein:
                loss = self.loss_of(tf.ones_like(value), value)
        weights = self.generator.trainable_variables
        self.of_generator.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return {"loss": loss, "critic": critic_loss}


@run
def gan() -> Run:
    model = Gan(wasserstein=False)
    model.compile()
    return Run(model, digits()[0])


@run
def wasserstein_gan_with_penalty() -> Run:
    model = Gan(wasserstein=True)
    model.compile()
    return Run(model, digits()[0])


class Vae(keras.Model):  # type: ignore[misc]
    """Two terms that pull against each other, and noise in between."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = keras.Sequential([keras.Input((64,)), L.Dense(32, "relu"), L.Dense(8)])
        self.decoder = keras.Sequential([keras.Input((4,)), L.Dense(32, "relu"), L.Dense(64)])
        self.seed = keras.random.SeedGenerator(1)

    def call(self, x: Any) -> Any:
        mean, log_variance = tf.split(self.encoder(x), 2, axis=1)
        z = mean + tf.exp(0.5 * log_variance) * keras.random.normal(tf.shape(mean), seed=self.seed)
        kl = 0.5 * tf.reduce_sum(tf.exp(log_variance) + mean**2 - 1 - log_variance, axis=1)
        self.add_loss(1e-3 * tf.reduce_mean(kl))
        return self.decoder(z)


@run
def variational_autoencoder() -> Run:
    x, _ = digits()
    return Run(compiled(Vae(), loss="mse"), x, x)


class Density(keras.Model):  # type: ignore[misc]
    """A log density, whose negative falls below zero."""

    def __init__(self) -> None:
        super().__init__()
        self.body = keras.Sequential([keras.Input((1,)), L.Dense(16, "tanh"), L.Dense(2)])

    def call(self, x: Any) -> Any:
        return self.body(x)


@run
def log_density_below_zero() -> Run:
    def loss(y: Any, parts: Any) -> Any:
        mean, scale = parts[:, :1], tf.nn.softplus(parts[:, 1:]) + 1e-3
        return tf.reduce_mean(0.5 * ((y - mean) / scale) ** 2 + tf.math.log(scale))

    x = noise(1000, 1)
    return Run(compiled(Density(), keras.optimizers.Adam(3e-3), loss), x, 0.01 * np.sin(3 * x))


def weights_of(model: Any) -> Array:
    return np.concatenate([np.ravel(each.numpy()) for each in model.variables] or [np.zeros(0)])


def train(name: str, folder: str) -> tuple[int, bool]:
    """Trains one; returns its steps and whether it was healthy, by itself."""
    keras.utils.set_random_seed(7)
    one = RUNS[name]()
    data = one.x if one.y is None else (one.x, one.y)
    dataset = (
        tf.data.Dataset.from_tensor_slices(data).shuffle(4096, seed=1).repeat().batch(one.batch)
    )
    options = {**one.options, "verbose": 0, "callbacks": [nanwatch.Callback(folder)]}
    history = one.model.fit(dataset, steps_per_epoch=STEPS // 10, epochs=10, **options)
    losses = history.history["loss"]
    is_finite = bool(np.isfinite(weights_of(one.model).astype("float64")).all())
    plays = name in ("gan", "wasserstein_gan_with_penalty", "exact_labels_of_a_coin")
    return STEPS, is_finite and (plays or losses[-1] < losses[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(RUNS), help="these alone")
    names = parser.parse_args().only or list(RUNS)
    steps, alarms, unhealthy = 0, 0, []
    for name in names:
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            taken, is_healthy = train(name, folder)
            found = [each for each in findings_of(folder) if each["severity"] != "info"]
        keras.mixed_precision.set_global_policy("float32")
        keras.utils.clear_session()
        steps += taken
        alarms += len(found)
        unhealthy += [] if is_healthy else [name]
        said = "; ".join(f"{each['severity']}: {each['headline']}" for each in found) or "-"
        state = "" if is_healthy else " (did not train well)"
        print(f"{name:34} {time.monotonic() - began:5.0f} s  {said}{state}", flush=True)
    print(f"\n{len(names)} trainings, {steps:,} steps, {alarms} false alarms")
    if unhealthy:
        sys.exit(f"Not healthy by themselves: {', '.join(unhealthy)}")


if __name__ == "__main__":
    main()
