"""Remedies are tried on the failing step, and what is said of them is what happens."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import read_recorded

import tb_nanwatch as nanwatch
from tb_nanwatch.adapters.tensorflow.tracing.operations import trace_operations
from tb_nanwatch.adapters.tensorflow.tracing.origin import find_origin
from tb_nanwatch.adapters.tensorflow.tracing.remedies import remedies_for
from tb_nanwatch.adapters.tensorflow.tracing.stand_in import StandIn
from tb_nanwatch.format.rerun import Rerun

X = np.linspace(-2.0, 2.0, 8 * 4, dtype="float32").reshape(8, 4)


def whole(x: Any) -> Any:
    """The numbers rounded, zeros among them, with a slope of 1."""
    return x + tf.stop_gradient(tf.round(x) - x)


OPERATIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "log of zero": (lambda x: tf.math.log(tf.nn.relu(x)), "clamp"),
    "log behind where": (lambda x: tf.where(whole(x) > 0, tf.math.log(whole(x)), 0.0), "clamp"),
    "log1p": (lambda x: tf.math.log1p(x), "clamp"),
    "root of zero": (lambda x: tf.sqrt(tf.nn.relu(x)), "epsilon"),
    "root of a negative number": (lambda x: tf.sqrt(x), "clamp"),
    "norm": (lambda x: tf.norm(x * 0.0, axis=-1), "epsilon"),
    "spread": (lambda x: tf.math.reduce_std(x * 0.0, axis=-1), "epsilon"),
    "rsqrt": (lambda x: tf.math.rsqrt(tf.nn.relu(x)), "epsilon"),
    "quotient": (lambda x: x / tf.nn.relu(x), "epsilon"),
    "quotient of any sign": (lambda x: x / whole(x), "divide-no-nan"),
    "reciprocal": (lambda x: tf.math.reciprocal(whole(x)), "divide-no-nan"),
    "power": (lambda x: tf.pow(x, 0.5), "clamp"),
    "exponential": (lambda x: tf.exp(x * 1e4), "bound-exponent"),
    "softmax of a masked row": (lambda x: tf.nn.softmax(x - np.inf), "finite-mask"),
    "log softmax": (lambda x: tf.nn.log_softmax(x - np.inf), "finite-mask"),
    "infinite mask": (lambda x: tf.nn.relu(x) * tf.cast(np.inf, x.dtype), "finite-mask"),
    "acos": (lambda x: tf.acos(x), "clamp-argument"),
    "atanh": (lambda x: tf.atanh(x / 2.0), "clamp-argument"),
    "cholesky": (lambda x: tf.linalg.cholesky(tf.matmul(x * 0.0, x, transpose_b=True)), "jitter"),
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_the_code_of_a_remedy_cures_the_step(name: str, dtype: str) -> None:
    function, expected = OPERATIONS[name]
    if (dtype, name) in (("float16", "cholesky"), ("float16", "infinite mask")):
        pytest.skip("TensorFlow has no such kernel; a sum of such numbers overflows")
    variable = tf.Variable(tf.cast(X, dtype))

    def step() -> list[Any]:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(function(tf.identity(variable)))
        return [loss, tape.gradient(loss, variable)]

    def is_finite() -> bool:
        return all(bool(tf.reduce_all(tf.math.is_finite(each))) for each in step())

    with trace_operations(lambda part: None) as trace:
        step()
    origin = find_origin(trace, [], [variable]).origin
    assert origin is not None
    cures = []
    for remedy in remedies_for(origin.operation.type, origin.direction, origin.operation.inputs):
        stand_in = StandIn(origin.operation, remedy.run, lambda part: None)
        with stand_in.installed():
            if is_finite():
                cures.append(remedy.name)
        assert stand_in.calls >= 1
    assert cures
    if dtype != "float16":  # A slope of 1 / epsilon overflows there.
        assert cures[0] == expected
    assert not is_finite()  # Nothing of it is left.


def test_the_gradient_is_that_of_the_code() -> None:
    variable = tf.Variable([0.0, 4.0])

    def step() -> Any:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.sqrt(variable * 1.0))
        return tape.gradient(loss, variable)

    with trace_operations(lambda part: None) as trace:
        step()
    origin = find_origin(trace, [], [variable]).origin
    assert origin is not None
    remedy = next(remedies_for("Sqrt", "backward", origin.operation.inputs))
    with StandIn(origin.operation, remedy.run, lambda part: None).installed():
        gradient = step()
    assert remedy.code == "tf.sqrt(x + 1e-6)"
    np.testing.assert_allclose(gradient, 0.5 / np.sqrt(np.array([0.0, 4.0]) + 1e-6), rtol=1e-5)


def reruns(folder: Path) -> list[Rerun]:
    return read_recorded(folder / "nanwatch").reruns


class Logs(keras.layers.Layer):
    def call(self, x: Any) -> Any:
        return tf.math.log(tf.nn.relu(x))


MODES = {
    "graph": {"jit_compile": False},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}


@pytest.mark.parametrize("mode", MODES)
def test_a_fit_says_what_was_tried(mode: str, tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(3), Logs(), keras.layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(1e-3), "mse", **MODES[mode])
    model.fit(X, X[:, :1], verbose=0, callbacks=[nanwatch.Callback(tmp_path)])
    (rerun,) = reruns(tmp_path)
    (trial,) = rerun.tried
    assert (trial.remedy, trial.outcome) == ("clamp", "finite")
    assert trial.code == "tf.math.log(tf.maximum(x, 1e-6))"
    assert trial.gradients == len(model.trainable_variables)
    assert trial.nonfinite_gradients == 0
    assert trial.loss is not None
    assert np.isfinite(trial.loss)


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_a_loop_says_what_was_tried(mode: str, tmp_path: Path) -> None:
    variable = tf.Variable(tf.zeros([4]))
    watcher = nanwatch.Watcher(tmp_path)

    def step(x: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.norm(x * variable, axis=-1))
        gradient = tape.gradient(loss, variable)
        watcher.observe(loss=loss, gradient=[(gradient, variable)])
        variable.assign_sub(0.1 * gradient)

    run = watcher.step(step if mode == "eager" else tf.function(step, jit_compile=mode == "xla"))
    with watcher:
        run(tf.constant(X))
        watcher.step_end()
    (rerun,) = reruns(tmp_path)
    (trial,) = rerun.tried
    assert (trial.remedy, trial.outcome, trial.gradients) == ("epsilon", "finite", 1)


def test_a_remedy_that_does_not_help_says_what_comes_next(tmp_path: Path) -> None:
    class Twice(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            first = tf.math.log(tf.nn.relu(x))
            return first + tf.sqrt(x - 100.0)

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3), Twice()])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(X, X[:, :3], verbose=0, callbacks=[nanwatch.Callback(tmp_path)])
    (rerun,) = reruns(tmp_path)
    (trial,) = rerun.tried
    assert trial.outcome == "nonfinite"
    assert trial.operation is not None
    assert (rerun.operation.type, trial.operation.type) == ("Sqrt", "Log")


def test_bad_rows_are_left_out(tmp_path: Path) -> None:
    x, y = X.copy(), X[:, :1].copy()
    y[5] = np.nan
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(x, y, verbose=0, callbacks=[nanwatch.Callback(tmp_path)])
    (rerun,) = reruns(tmp_path)
    (trial,) = rerun.tried
    assert (trial.remedy, trial.outcome) == ("leave-out-rows", "finite")
    names = {"np": np, "x": x, "y": y}
    exec(trial.code, names)
    assert len(names["x"]) == len(names["y"]) == 7
    assert np.isfinite(names["y"]).all()


def test_the_only_example_of_a_batch_does_not_speak_for_all(tmp_path: Path) -> None:
    x = X.copy()
    x[5, 1] = np.nan
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    watch = nanwatch.Callback(tmp_path)
    model.fit(x, X[:, :1], batch_size=1, shuffle=False, verbose=0, callbacks=[watch])
    (rerun,) = reruns(tmp_path)
    (trial,) = rerun.tried
    assert (rerun.step, rerun.examples) == (5, (0,))
    assert (trial.remedy, trial.outcome) == ("fill-example", "finite")
    names = {"np": np, "x": x}
    exec(trial.code, names)
    assert names["x"][5, 1] == 0


def test_a_column_that_is_lost_is_filled(tmp_path: Path) -> None:
    x = X.copy()
    x[:, 2] = np.nan
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    model.fit(x, X[:, :1], verbose=0, callbacks=[nanwatch.Callback(tmp_path)])
    (rerun,) = reruns(tmp_path)
    assert [(each.remedy, each.outcome) for each in rerun.tried] == [("fill", "finite")]


def test_rows_that_cannot_be_left_out_are_not_every_row(tmp_path: Path) -> None:
    class Halves(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.concat(tf.split(x, 2), axis=1)

    x = X[:8].copy()
    x[5, 1] = np.nan
    model = keras.Sequential([Halves(), keras.layers.Dense(1)])
    model.compile("sgd", lambda y, p: tf.reduce_mean(p), jit_compile=False)
    model.fit(x, x[:, :1], verbose=0, callbacks=[nanwatch.Callback(tmp_path)])
    (rerun,) = reruns(tmp_path)
    assert [(each.remedy, each.outcome) for each in rerun.tried] == [
        ("leave-out-rows", "failed"),
        ("fill-example", "finite"),
    ]


def test_a_layer_is_tried_in_float32(tmp_path: Path) -> None:
    layers = [
        keras.layers.Dense(4, kernel_initializer="ones", dtype="mixed_float16", name="wide"),
        keras.layers.Dense(1, kernel_initializer="ones", dtype="float32"),
    ]
    model = keras.Sequential([keras.Input((4,)), *layers])
    model.compile(keras.optimizers.SGD(1e-12), "mse", jit_compile=False)
    x = np.full((8, 4), 3e4, "float32")
    model.fit(x, X[:, :1], verbose=0, callbacks=[nanwatch.Callback(tmp_path)])
    (rerun,) = reruns(tmp_path)
    assert [(each.remedy, each.outcome) for each in rerun.tried] == [("float32-layer", "finite")]
    assert model.layers[0].dtype_policy.name == "mixed_float16"


@pytest.mark.parametrize("mode", MODES)
def test_trials_leave_the_training_as_it_is(mode: str, tmp_path: Path) -> None:
    def train(callbacks: list[Any]) -> list[Any]:
        keras.utils.set_random_seed(1)
        model = keras.Sequential(
            [
                *[keras.Input((4,)), keras.layers.Dense(3), keras.layers.BatchNormalization()],
                *[keras.layers.Dropout(0.3), Logs(), keras.layers.Dense(1)],
            ]
        )
        model.compile(keras.optimizers.Adam(1e-3), "mse", **MODES[mode])
        history = model.fit(X, X[:, :1], batch_size=4, epochs=2, verbose=0, callbacks=callbacks)
        found = [each.numpy() for each in (*model.weights, *model.optimizer.variables)]
        return [*found, np.array(history.history["loss"])]

    plain = train([])
    watched = train([nanwatch.Callback(tmp_path)])
    assert reruns(tmp_path)[0].tried
    for one, other in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_keras_casts_has_no_line_of_a_package(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, dtype="mixed_float16")])
    model.compile(keras.optimizers.SGD(1e-3), "mse", jit_compile=False)
    model.fit(X + 7e4, X[:, :1], verbose=0, callbacks=[nanwatch.Callback(tmp_path)])
    (rerun,) = reruns(tmp_path)
    assert rerun.operation is not None
    assert (rerun.operation.type, rerun.operation.file) == ("Cast", "")


@pytest.mark.parametrize(
    ("loss", "activation"),
    [
        ("categorical_crossentropy", "relu"),
        (keras.losses.CategoricalCrossentropy(label_smoothing=0.1), "relu"),
        ("sparse_categorical_crossentropy", "relu"),
    ],
    ids=["by-name", "object", "sparse"],
)
def test_keras_own_loss_is_tried_with_logits(tmp_path: Path, loss: Any, activation: str) -> None:
    """A row of zeros after a ReLU is no distribution: Keras divides it by its sum."""
    last = keras.layers.Dense(3, activation, bias_initializer=keras.initializers.Constant(-50.0))
    model = keras.Sequential([keras.Input((4,)), last])
    model.compile("sgd", loss, jit_compile=False)
    labels = np.arange(len(X)) % 3
    y = labels if loss == "sparse_categorical_crossentropy" else np.eye(3, dtype="float32")[labels]
    model.fit(X, y, verbose=0, callbacks=[nanwatch.Callback(tmp_path)])
    if loss == "sparse_categorical_crossentropy":  # It clips, and stays finite.
        assert reruns(tmp_path) == []
        return
    (rerun,) = reruns(tmp_path)
    (trial,) = rerun.tried
    assert (trial.remedy, trial.outcome) == ("from-logits", "finite")
    expected = keras.losses.CategoricalCrossentropy(from_logits=True)(y, X @ np.zeros((4, 3)) - 50)
    assert trial.loss is not None
    assert 0 < trial.loss < 10 * float(expected)
    assert model.layers[-1].activation is keras.activations.relu
    assert "compute_loss" not in vars(model)


def test_a_model_that_computes_its_own_loss_is_not_given_another(tmp_path: Path) -> None:
    class Own(keras.Model):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            return 2 * super().compute_loss(*args, **kwargs)

    inputs = keras.Input((4,))
    last = keras.layers.Dense(3, "relu", bias_initializer=keras.initializers.Constant(-50.0))
    model = Own(inputs, last(inputs))
    model.compile("sgd", "categorical_crossentropy", jit_compile=False)
    y = np.eye(3, dtype="float32")[np.arange(len(X)) % 3]
    model.fit(X, y, verbose=0, callbacks=[nanwatch.Callback(tmp_path)])
    (rerun,) = reruns(tmp_path)
    assert "from-logits" not in [each.remedy for each in rerun.tried]
