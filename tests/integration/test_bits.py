"""A watched training is bit for bit the one that is not: in graph mode and eagerly, on CPU.

The networks are those in which TensorFlow's graph optimizer reorders sums and products, or fuses
them, where nobody looks at what lies between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
    """What is trained: the model, the arguments of `compile` for its loss, and what it is fed."""

    model: keras.Model
    loss: dict[str, Any]
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


def dense() -> Problem:
    model = keras.Sequential(
        [keras.Input((12,)), layers.Dense(8, "tanh"), layers.Dropout(0.2), layers.Dense(3)]
    )
    return Problem(model, {"loss": "mse"}, data(12), data(3))


def convolution() -> Problem:
    x = inputs = keras.Input((6, 6, 3))
    x = layers.Activation("relu")(layers.BatchNormalization()(layers.Conv2D(4, 3)(x)))
    outputs = layers.Dense(4)(layers.Flatten()(x))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return Problem(keras.Model(inputs, outputs), {"loss": loss}, data(6, 6, 3), classes(4))


def lstm() -> Problem:
    model = keras.Sequential([keras.Input((5, 4)), layers.LSTM(6), layers.Dense(3)])
    return Problem(model, {"loss": "mse"}, data(5, 4), data(3))


def embedding() -> Problem:
    """Of which most rows have no gradient in a batch."""
    inputs = keras.Input((3,), dtype="int32")
    outputs = layers.Dense(3)(layers.Flatten()(layers.Embedding(200, 6)(inputs)))
    x = np.random.default_rng(5).integers(0, 200, (ROWS, 3))
    return Problem(keras.Model(inputs, outputs), {"loss": "mse"}, x, data(3))


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
    network: Callable[[], Problem], optimizer: Callable[[], Any], *callbacks: Any, **compiled: Any
) -> tuple[dict[str, bytes], dict[str, list[float]]]:
    """The bytes of every variable after two epochs, by its path; and the history."""
    keras.backend.clear_session()  # The same names in each: TensorFlow sorts sums by them.
    keras.utils.set_random_seed(0)
    model, loss, x, y, sample_weight = network()
    model.compile(optimizer(), jit_compile=False, **loss, **compiled)
    history = model.fit(
        x,
        y,
        None if y is None else BATCH,
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
    **compiled: Any,
) -> None:
    plain, history = train(network, optimizer, **compiled)
    for number, watch in enumerate(watches):
        callback = nanwatch.Callback(log_dir / str(number), watch=watch)
        watched, its_history = train(network, optimizer, callback, **compiled)
        assert [name for name in plain if plain[name] != watched[name]] == [], watch
        assert its_history == history, watch


@pytest.mark.parametrize("network", NETWORKS)
def test_no_role_changes_a_bit(network: Callable[[], Problem], tmp_path: Path) -> None:
    # Apart, as one reader of a tensor may hide what another one does.
    watches = ["default", ["activation", "activation_gradient"]]
    assert_same(network, OPTIMIZERS["sgd"], tmp_path, watches)


@pytest.mark.parametrize(
    ("network", "optimizer"),
    [
        (residual_convolutions, "momentum"),
        (residual_convolutions, "rmsprop"),
        (gains, "clipped"),
        (gains, "rmsprop"),
    ],
)
def test_no_optimizer_makes_a_bit_of_difference(
    network: Callable[[], Problem], optimizer: str, tmp_path: Path
) -> None:
    watches = ["gradient", ["slot", "update"]]
    assert_same(network, OPTIMIZERS[optimizer], tmp_path, watches)


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


LAYERS = (dense, convolution, lstm, attention, embedding)


def combinations(every: bool) -> Iterator[Any]:
    """Each optimizer in both modes with one of the networks in turn, or with every one."""
    for number, optimizer in enumerate(EVERY):
        for eagerly in (False, True):
            networks = LAYERS if every else [LAYERS[(number + 2 * eagerly) % len(LAYERS)]]
            for network in networks:
                mode = "eager" if eagerly else "graph"
                yield pytest.param(
                    optimizer, network, eagerly, id=f"{optimizer}-{network.__name__}-{mode}"
                )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "eagerly" in metafunc.fixturenames:
        every = metafunc.config.getoption("--every-combination")
        names = ("optimizer", "network", "eagerly")
        metafunc.parametrize(names, list(combinations(every)))


def test_with_every_optimizer_of_keras(
    optimizer: str, network: Callable[[], Problem], eagerly: bool, tmp_path: Path
) -> None:
    assert_same(network, EVERY[optimizer], tmp_path, ["default"], run_eagerly=eagerly)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras's, without us as well
def test_several_steps_a_call_on_data_of_unknown_size(tmp_path: Path) -> None:
    """An epoch ends in a call with fewer steps, and in one without data."""
    results = []
    for callbacks in ([], [nanwatch.Callback(tmp_path)]):
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((12,)), layers.Dense(3)])
        model.compile("adam", "mse", steps_per_execution=4)
        batches = tf.data.Dataset.from_tensor_slices((data(12), data(3))).batch(8)
        unknown = batches.filter(lambda x, y: True)
        fit = model.fit(unknown, epochs=3, shuffle=False, verbose=0, callbacks=callbacks)
        weights = [each.numpy().tobytes() for each in (*model.weights, *model.optimizer.variables)]
        results.append((fit.history, weights, int(model.optimizer.iterations)))
    assert results[0] == results[1]


class OwnStep(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Counts its steps in a metric, after the update."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self.tracker = keras.metrics.Mean(name="loss")

    def train_step(self, batch: Any) -> dict[str, Any]:
        x, y = batch
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.tracker.update_state(loss)
        return {"loss": self.tracker.result()}

    @property
    def metrics(self) -> list[Any]:
        return [self.tracker]


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # Keras's, without us as well
@pytest.mark.parametrize(
    ("kind", "optimizer", "on_nonfinite"),
    [
        (keras.Model, "adamw", "record"),
        (keras.Model, "nadam", "skip"),
        (OwnStep, "adam", "record"),
    ],
)
def test_what_counts_beyond_the_end_of_the_data_goes_on_counting(
    kind: type[Any], optimizer: str, on_nonfinite: Any, tmp_path: Path
) -> None:
    """Keras asks for one step too many of data of unknown size; what waits for nothing runs."""

    def network() -> Problem:
        inputs = keras.Input((12,))
        outputs = layers.Dense(3)(layers.Dropout(0.2)(layers.Dense(8, "tanh")(inputs)))
        batches = tf.data.Dataset.from_tensor_slices((data(12), data(3))).batch(BATCH)
        unknown = batches.filter(lambda x, y: True)
        return Problem(kind(inputs, outputs), {"loss": "mse"}, unknown, None)

    plain, history = train(network, EVERY[optimizer])
    callback = nanwatch.Callback(tmp_path, on_nonfinite=on_nonfinite)
    watched, its_history = train(network, EVERY[optimizer], callback)
    (iterations,) = {value for name, value in plain.items() if name.endswith("/iteration")}
    assert int.from_bytes(iterations, "little") > 2 * ROWS // BATCH
    assert [name for name in plain if plain[name] != watched[name]] == []
    assert its_history == history
