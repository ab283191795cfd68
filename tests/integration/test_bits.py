"""A watched training is bit for bit the one that is not: in graph mode, on CPU.

The networks are those in which TensorFlow's graph optimizer reorders sums and products, or fuses
them, where nobody looks at what lies between.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

import tb_nanwatch as nanwatch

ROWS, BATCH = 48, 16

layers = keras.layers


class Problem(NamedTuple):
    """What is trained: the model, how it is compiled, and what it is fed."""

    model: keras.Model
    compiled: dict[str, Any]
    x: np.ndarray
    y: Any
    sample_weight: Any = None


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).normal(size=(ROWS, *shape)).astype("float32")


def classes(number: int) -> np.ndarray:
    return np.random.default_rng(7).integers(0, number, ROWS)


def residual_convolutions() -> Problem:
    x = inputs = keras.Input((6, 6, 3))
    x = layers.Conv2D(6, 3, padding="same")(x)
    for _ in range(2):
        hidden = layers.Conv2D(6, 3, padding="same", use_bias=False)(x)
        hidden = layers.Activation("relu")(layers.BatchNormalization()(hidden))
        hidden = layers.Conv2D(6, 3, padding="same")(hidden)
        x = layers.Activation("relu")(x + layers.BatchNormalization()(hidden))
    outputs = layers.Dense(4)(layers.GlobalAveragePooling2D()(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return Problem(keras.Model(inputs, outputs), {"loss": loss}, data(6, 6, 3), classes(4))


def residual_dense() -> Problem:
    x = inputs = keras.Input((12,))
    x = layers.Dense(16)(x)
    for _ in range(2):
        hidden = layers.Activation("tanh")(layers.Dense(16)(x))
        x = layers.LayerNormalization()(x + layers.Dense(16)(hidden))
    return Problem(keras.Model(inputs, layers.Dense(3)(x)), {"loss": "mse"}, data(12), data(3))


def regularized() -> Problem:
    penalty = keras.regularizers.L1L2(0.003, 0.01)
    model = keras.Sequential(
        [
            keras.Input((12,)),
            layers.Dense(16, "tanh", kernel_regularizer=penalty, bias_regularizer=penalty),
            layers.Dense(3, kernel_regularizer="l2", activity_regularizer="l2"),
        ]
    )
    return Problem(model, {"loss": "mse"}, data(12), data(3))


def tied() -> Problem:
    inputs = keras.Input((12,))
    first, second = layers.Dense(12, "tanh"), layers.Dense(12)
    x = second(first(first(inputs))) + second(inputs)
    return Problem(keras.Model(inputs, layers.Dense(3)(x)), {"loss": "mse"}, data(12), data(3))


class Gain(layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Scalars, vectors and constants in one chain of products."""

    def build(self, shape: Any) -> None:
        self.scalar = self.add_weight(shape=(), initializer="ones", name="scalar")
        self.vector = self.add_weight(shape=(shape[-1],), initializer="ones", name="vector")

    def call(self, x: Any) -> Any:
        return x * self.vector * self.scalar * 0.7 + self.scalar * 3.0 + self.vector * 0.1


def gains() -> Problem:
    x = inputs = keras.Input((12,))
    for _ in range(2):
        x = Gain()(layers.Dense(12)(x)) + x
    return Problem(keras.Model(inputs, layers.Dense(3)(x)), {"loss": "mae"}, data(12), data(3))


def sum_of_outputs() -> Problem:
    inputs = keras.Input((12,))
    hidden = layers.Dense(8, "relu")(inputs)
    outputs = layers.Dense(4)(hidden) + layers.Dense(4)(inputs) + layers.Dense(4)(hidden)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return Problem(keras.Model(inputs, outputs), {"loss": loss}, data(12), classes(4))


def attention() -> Problem:
    x = inputs = keras.Input((5, 8))
    x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x))
    x = layers.LayerNormalization()(x + layers.Dense(8)(layers.Dense(16, "gelu")(x)))
    outputs = layers.Dense(3)(layers.GlobalAveragePooling1D()(x))
    return Problem(keras.Model(inputs, outputs), {"loss": "mse"}, data(5, 8), data(3))


def recurrent() -> Problem:
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(9, 6)(inputs) + layers.Embedding(5, 6)(tf.range(5))
    outputs = layers.Dense(3)(layers.LSTM(6)(x))
    x = np.random.default_rng(5).integers(0, 9, (ROWS, 5))
    return Problem(keras.Model(inputs, outputs), {"loss": "mse"}, x, data(3))


def several_losses() -> Problem:
    inputs = keras.Input((12,))
    hidden = layers.Dense(8, "relu")(inputs)
    outputs = [
        layers.Dense(3)(hidden),
        layers.Dense(2, "softmax")(hidden),
        layers.Dense(1, "sigmoid")(hidden),
    ]
    losses = ["huber", "categorical_crossentropy", "binary_crossentropy"]
    y = [data(3), np.eye(2, dtype="float32")[classes(2)], classes(2)[:, None].astype("float32")]
    return Problem(
        keras.Model(inputs, outputs),
        {"loss": losses, "loss_weights": [0.3, 2.2, 1.7]},
        data(12),
        y,
        [np.abs(data())] * 3,
    )


NETWORKS = (
    residual_convolutions,
    residual_dense,
    regularized,
    tied,
    gains,
    sum_of_outputs,
    attention,
    recurrent,
    several_losses,
)

OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05),
    "momentum": lambda: keras.optimizers.SGD(0.03, momentum=0.9),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.005),
    "clipped": lambda: keras.optimizers.SGD(0.05, clipnorm=0.5),
}


def train(
    network: Callable[[], Problem], optimizer: Callable[[], Any], *callbacks: Any
) -> tuple[dict[str, bytes], dict[str, list[float]]]:
    """The bytes of every variable after two epochs, by its path; and the history."""
    keras.backend.clear_session()  # The same names in each: TensorFlow sorts sums by them.
    keras.utils.set_random_seed(0)
    model, compiled, x, y, sample_weight = network()
    model.compile(optimizer(), jit_compile=False, **compiled)
    history = model.fit(
        x,
        y,
        BATCH,
        epochs=2,
        sample_weight=sample_weight,
        shuffle=False,
        verbose=0,
        callbacks=list(callbacks),
    )
    # By number, too: several variables of one path are told apart.
    variables = [*model.variables, *model.optimizer.variables]
    return {
        f"{number} {each.path}": np.asarray(each).tobytes() for number, each in enumerate(variables)
    }, history.history


def assert_same(
    network: Callable[[], Problem],
    optimizer: Callable[[], Any],
    log_dir: Path,
    watches: list[Any],
    blackbox: Any,
) -> None:
    plain, history = train(network, optimizer)
    for number, watch in enumerate(watches):
        callback = nanwatch.Callback(log_dir / str(number), watch=watch, blackbox=blackbox)
        watched, its_history = train(network, optimizer, callback)
        assert [name for name in plain if plain[name] != watched[name]] == [], watch
        assert its_history == history, watch


@pytest.mark.parametrize("blackbox", ["result"])
@pytest.mark.parametrize("network", NETWORKS)
def test_no_role_changes_a_bit(
    network: Callable[[], Problem], blackbox: str, tmp_path: Path
) -> None:
    # Apart, as one reader of a tensor may hide what another one does.
    watches = ["default", ["activation", "activation_gradient"]]
    assert_same(network, OPTIMIZERS["sgd"], tmp_path, watches, blackbox)


@pytest.mark.parametrize("blackbox", ["result"])
@pytest.mark.parametrize("optimizer", ["momentum", "rmsprop", "clipped"])
@pytest.mark.parametrize("network", [residual_convolutions, gains])
def test_no_optimizer_makes_a_bit_of_difference(
    network: Callable[[], Problem], optimizer: str, blackbox: str, tmp_path: Path
) -> None:
    watches = ["gradient", ["slot", "update"]]
    assert_same(network, OPTIMIZERS[optimizer], tmp_path, watches, blackbox)


optimizers = keras.optimizers
EVERY = {
    "rmsprop": lambda: optimizers.RMSprop(1e-2),
    "rmsprop_momentum": lambda: optimizers.RMSprop(1e-2, momentum=0.9),
    "rmsprop_centered": lambda: optimizers.RMSprop(1e-2, centered=True),
    "adam": lambda: optimizers.Adam(1e-2),
    "adam_clipnorm": lambda: optimizers.Adam(1e-2, clipnorm=0.5),
    "adam_global_clipnorm": lambda: optimizers.Adam(1e-2, global_clipnorm=0.5),
    "adam_ema": lambda: optimizers.Adam(1e-2, use_ema=True),
    "adam_accumulation": lambda: optimizers.Adam(1e-2, gradient_accumulation_steps=2),
    "amsgrad": lambda: optimizers.Adam(1e-2, amsgrad=True),
    "adamw": lambda: optimizers.AdamW(1e-2, weight_decay=0.01),
    "nadam": lambda: optimizers.Nadam(1e-2),
    "adamax": lambda: optimizers.Adamax(1e-2),
    "adagrad": lambda: optimizers.Adagrad(1e-1),
    "adadelta": lambda: optimizers.Adadelta(1.0),
    "adafactor": lambda: optimizers.Adafactor(1e-2),
    "ftrl": lambda: optimizers.Ftrl(1e-1),
    "lion": lambda: optimizers.Lion(1e-3),
    "lamb": lambda: optimizers.Lamb(1e-2),
    "muon": lambda: optimizers.Muon(1e-2),
    "nesterov": lambda: optimizers.SGD(1e-2, momentum=0.9, nesterov=True),
    "sgd_of_all": lambda: optimizers.SGD(
        1e-2, global_clipnorm=0.5, weight_decay=0.01, use_ema=True
    ),
    "loss_scale": lambda: optimizers.LossScaleOptimizer(optimizers.Adam(1e-2)),
}


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("optimizer", EVERY)
def test_with_every_optimizer_of_keras(optimizer: str, eagerly: bool, tmp_path: Path) -> None:
    def network() -> Problem:
        model = keras.Sequential(
            [keras.Input((12,)), layers.Dense(8, "tanh"), layers.Dropout(0.2), layers.Dense(3)]
        )
        return Problem(model, {"loss": "mse", "run_eagerly": eagerly}, data(12), data(3))

    assert_same(network, EVERY[optimizer], tmp_path, ["default"], "result")


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras's, without us as well
def test_with_several_steps_an_execution_on_data_of_unknown_size(tmp_path: Path) -> None:
    histories = []
    for callbacks in ([], [nanwatch.Callback(tmp_path)]):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((12,)), layers.Dense(3)])
        model.compile("sgd", "mse", steps_per_execution=4)
        batches = tf.data.Dataset.from_tensor_slices((data(12), data(3))).batch(8)
        unknown = batches.filter(lambda x, y: True)
        histories.append(
            model.fit(unknown, epochs=3, shuffle=False, verbose=0, callbacks=callbacks).history
        )
    assert histories[0] == histories[1]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras's, without us as well
def test_adam_counts_the_same_steps_on_data_of_unknown_size(tmp_path: Path) -> None:
    """Without us, too, it counts one more where the data ends in the middle of a graph."""
    states = []
    for callbacks in ([], [nanwatch.Callback(tmp_path)]):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((12,)), layers.Dense(3)])
        model.compile(keras.optimizers.Nadam(0.1), "mse")
        batches = tf.data.Dataset.from_tensor_slices((data(12), data(3))).batch(8)
        unknown = batches.filter(lambda x, y: True)
        model.fit(unknown, epochs=2, shuffle=False, verbose=0, callbacks=callbacks)
        states.append([np.asarray(each) for each in (*model.variables, *model.optimizer.variables)])
    for mine, theirs in zip(*states, strict=True):
        np.testing.assert_array_equal(mine, theirs)
