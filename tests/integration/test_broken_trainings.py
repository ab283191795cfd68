"""Small trainings as people write them, each broken at one line: the black box names that line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import read_recorded

import tb_nanwatch as nanwatch

BATCH, BAD_ROW = 8, 19
"""The row that breaks is the fourth of the third batch."""

SOURCE = Path(__file__).read_text(encoding="utf-8").splitlines()


class Broken(NamedTuple):
    """A training, and the operation at fault: its type, pass and layer."""

    model: keras.Model
    x: Any
    y: Any
    operation: str
    direction: str
    layer: str


class Doing(keras.layers.Layer):  # type: ignore[misc]
    """Does a function of its input, times a gain that is learnt."""

    def __init__(self, function: Callable[[Any], Any], name: str):
        super().__init__(name=name)
        self._function = function

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=(), initializer="ones", name="gain")

    def call(self, x: Any) -> Any:
        return self._function(self.gain * x)


def numbers(*shape: int, low: float = 0.5, high: float = 2.0) -> np.ndarray:
    return np.random.default_rng(0).uniform(low, high, (5 * BATCH, *shape)).astype(np.float32)


def doing(function: Callable[[Any], Any], row: Any, *shape: int, low: float = 0.5) -> Any:
    """A model of one such layer, and its data with that row."""
    x = numbers(*shape, low=low)
    x[BAD_ROW] = row
    model = keras.Sequential([keras.Input(shape), Doing(function, "doing")])
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(1, name="output"))
    model.compile(keras.optimizers.SGD(1e-5), "mse")
    return model, x, numbers(1)


def with_loss(loss: Any, x: Any, y: Any, units: int = 1, **options: Any) -> Any:
    shape = x.shape[1:]
    model = keras.Sequential([keras.Input(shape), keras.layers.Dense(units, **options)])
    model.compile(keras.optimizers.SGD(1e-6), loss)
    return model, x, y


def focal() -> Broken:
    def loss(y: Any, z: Any) -> Any:
        p = tf.sigmoid(z)
        right = tf.where(y > 0.5, p, 1 - p)
        return -tf.reduce_mean((1 - right) ** 2 * tf.math.log(right), axis=-1)  # focal

    x = numbers(3)
    x[BAD_ROW] = -1e4
    return Broken(*with_loss(loss, x, x[:, :1] * 0 + 1, kernel_initializer="ones"), "Log", *FORWARD)


def attention() -> Broken:
    future = tf.constant(np.triu(np.full((4, 4), -np.inf, np.float32), 1))

    def attend(x: Any) -> Any:
        empty = tf.reduce_all(tf.equal(x, 0.0), axis=-1)
        scores = tf.matmul(x, x, transpose_b=True) + future
        scores += tf.where(empty, -np.inf, 0.0)[:, None]
        return tf.matmul(tf.nn.softmax(scores), x)  # attention

    return Broken(*doing(attend, 0.0, 4, 3), "Softmax", "forward", "doing")


def mask_and_distance() -> Broken:
    """The masks of infinities matter to nothing; the root of 0 does, on its way back."""
    future = tf.constant(np.triu(np.full((4, 4), -np.inf, np.float32), 1))

    def attend(x: Any) -> Any:
        weights = tf.nn.softmax(tf.matmul(x, x, transpose_b=True) + future)
        pooled = tf.reduce_max(tf.where(x > 1.5, x, -np.inf), axis=1)
        pooled = tf.where(tf.math.is_inf(pooled), 0.0, pooled)
        spread = tf.math.reduce_variance(tf.matmul(weights, x), axis=1)
        return tf.concat([pooled, tf.sqrt(spread)], axis=-1)  # mask_and_distance

    return Broken(*doing(attend, 1.0, 4, 3), "Sqrt", "backward", "doing")


def flow() -> Broken:
    def couple(x: Any) -> Any:
        first, second = tf.split(x, 2, axis=-1)
        scale = tf.tanh(first)
        return second * scale + tf.math.log(tf.abs(scale))  # flow

    return Broken(*doing(couple, 0.0, 4), "Log", "forward", "doing")


def bag() -> Broken:
    def mean(x: Any) -> Any:
        known = tf.cast(x > 0, tf.float32)
        return tf.reduce_sum(x * known, axis=1) / tf.reduce_sum(known, axis=1)  # bag

    return Broken(*doing(mean, -1.0, 4, 3), "RealDiv", "forward", "doing")


def newton() -> Broken:
    def root(x: Any) -> Any:
        y = x
        for _ in range(3):
            y = 0.5 * (y + x / y)  # newton
        return y

    return Broken(*doing(root, 0.0, 4), "RealDiv", "forward", "doing")


def loop_of_tensorflow() -> Broken:
    def scan(x: Any) -> Any:
        def body(time: Any, total: Any) -> tuple[Any, Any]:
            now = x[:, time]
            now = now / tf.reduce_max(tf.abs(now), -1, keepdims=True)  # loop_of_tensorflow
            return time + 1, total + now

        return tf.while_loop(lambda time, total: time < 4, body, (0, x[:, 0] * 0))[1]

    return Broken(*doing(scan, 0.0, 4, 3), "RealDiv", "forward", "doing")


def branch() -> Broken:
    def switch(x: Any) -> Any:
        return tf.cond(
            tf.reduce_max(x) > 5.0,
            lambda: tf.math.log(x - 1.5),  # branch
            lambda: x,
        )

    return Broken(*doing(switch, [9.0, 1.0, 2.0, 2.0], 4, low=1.6), "Log", "forward", "doing")


def rematerialized() -> Broken:
    def add_norm(x: Any) -> Any:
        def norm(x: Any) -> Any:
            return x + tf.sqrt(tf.reduce_sum(x * x, -1, keepdims=True))  # rematerialized

        return tf.recompute_grad(norm)(x)

    return Broken(*doing(add_norm, 0.0, 4), "Sqrt", "backward", "doing")


@tf.custom_gradient  # type: ignore[untyped-decorator]
def rounded(x: Any) -> Any:
    y = tf.round(x)
    return y, lambda upstream: upstream / tf.abs(x - y)  # own_gradient


def own_gradient() -> Broken:
    return Broken(*doing(rounded, 0.0, 4, low=0.6), "RealDiv", "backward", "doing")


def power() -> Broken:
    def transform(x: Any) -> Any:
        return (tf.pow(x, 0.3) - 1) / 0.3  # power

    return Broken(*doing(transform, -1.0, 4), "Pow", "forward", "doing")


def angle() -> Broken:
    def loss(y: Any, p: Any) -> Any:
        y, p = tf.math.l2_normalize(y, -1), tf.math.l2_normalize(p, -1)
        return tf.acos(tf.clip_by_value(tf.reduce_sum(y * p, -1), -1.0, 1.0))  # angle

    x, y = numbers(3), numbers(3)[:, ::-1].copy()
    x[BAD_ROW] = y[BAD_ROW] = [1.0, 0.0, 0.0]
    made = with_loss(loss, x, y, 3, use_bias=False, kernel_initializer="identity")
    return Broken(*made, "Acos", "backward", "")


def mean_of_what_is_known() -> Broken:
    class Known(keras.losses.Loss):  # type: ignore[misc]
        def call(self, y: Any, p: Any) -> Any:
            known = keras.ops.cast(y >= 0, "float32")
            error = keras.ops.sum(keras.ops.square(y - p) * known, axis=-1)
            return error / keras.ops.sum(known, axis=-1)  # mean_of_what_is_known

    y = numbers(3)
    y[BAD_ROW] = -1
    return Broken(*with_loss(Known(), numbers(3), y, 3), "RealDiv", *FORWARD)


def contrastive() -> Broken:
    class Pairs(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name="pairs")
            self.encoder = keras.layers.Dense(4, use_bias=False)

        def call(self, x: Any) -> Any:
            return self.encoder(x)

        def train_step(self, pair: Any) -> dict[str, Any]:
            with tf.GradientTape() as tape:
                one, other = (self(each) for each in pair)
                one /= tf.norm(one, axis=-1, keepdims=True)  # contrastive
                other /= tf.norm(other, axis=-1, keepdims=True)
                logits = tf.matmul(one, other, transpose_b=True) / 0.1
                labels = tf.range(tf.shape(logits)[0])
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
                loss = tf.reduce_mean(loss)
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
            return {"loss": loss}

    x, y = numbers(3), numbers(3)[::-1].copy()
    x[BAD_ROW] = 0
    model = Pairs()
    model.compile("adam")
    return Broken(model, x, y, "RealDiv", *FORWARD)


def cell() -> Broken:
    class Softened(keras.layers.Layer):  # type: ignore[misc]
        state_size = output_size = 3

        def build(self, shape: Any) -> None:
            self.kernel = self.add_weight(shape=(shape[-1], 3), name="k", initializer="ones")

        def call(self, x: Any, states: Any) -> Any:
            now = tf.nn.softplus(tf.matmul(x, self.kernel) + states[0])
            now = tf.math.log(1 - tf.exp(-now))  # cell
            return now, [tf.tanh(now)]

    x = numbers(4, 3)
    x[BAD_ROW, -1] = -1e4
    model = keras.Sequential([keras.Input((4, 3)), keras.layers.RNN(Softened(name="soft"))])
    model.compile("sgd", "mse")
    return Broken(model, x, numbers(3), "Log", "forward", "rnn/soft")


FORWARD = ("forward", "")

BROKEN = (
    *(focal, attention, mask_and_distance, flow, bag, newton, loop_of_tensorflow, branch),
    *(rematerialized, own_gradient, power, angle, mean_of_what_is_known, contrastive, cell),
)


@pytest.mark.parametrize("build", BROKEN, ids=lambda build: str(build.__name__))
def test_names_the_line(tmp_path: Path, build: Callable[[], Broken]) -> None:
    keras.backend.clear_session()
    keras.utils.set_random_seed(0)
    broken = build()
    broken.model.fit(
        *(broken.x, broken.y),
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[nanwatch.Callback(tmp_path)],
    )
    (rerun,) = read_recorded(tmp_path / "nanwatch").reruns
    assert (rerun.step, rerun.reproduced) == (BAD_ROW // BATCH, True)
    operation = rerun.operation
    assert operation is not None
    found = (operation.type, operation.direction, operation.layer)
    assert found == (broken.operation, broken.direction, broken.layer)
    (line,) = [
        number for number, text in enumerate(SOURCE, 1) if text.endswith(f"  # {build.__name__}")
    ]
    assert operation.line == line
    assert rerun.examples == (BAD_ROW % BATCH,)
