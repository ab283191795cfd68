"""`on_nonfinite="skip"`: a poisoned step leaves everything as it was, and the rest goes on."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import read_recorded

import tb_nanwatch as nanwatch

MODES: dict[str, dict[str, Any]] = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}
BATCH = 8


def data(batches: int, bad: set[int]) -> tuple[np.ndarray, np.ndarray]:
    """Batches of which the rows of the `bad` ones hold a NaN."""
    rng = np.random.default_rng(5)
    x = rng.normal(size=(batches * BATCH, 6)).astype(np.float32)
    y = rng.normal(size=(batches * BATCH, 1)).astype(np.float32)
    for step in bad:
        x[step * BATCH + 3, 2] = np.nan
    return x, y


def compiled(optimizer: keras.optimizers.Optimizer | None = None, **options: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.Dense(5, "tanh"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(1),
        ]
    )
    model.compile(optimizer or keras.optimizers.Adam(1e-2), "mse", metrics=["mae"], **options)
    return model


def fit(model: keras.Model, x: Any, y: Any, *callbacks: Any, epochs: int = 1) -> Any:
    return model.fit(
        x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=list(callbacks), epochs=epochs
    )


def state(model: keras.Model) -> list[np.ndarray]:
    variables = [*model.weights, *model.optimizer.variables, *model.metrics_variables]
    return [variable.numpy() for variable in variables]


def assert_same(one: list[np.ndarray], other: list[np.ndarray]) -> None:
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("blackbox", ["result", "off"])
@pytest.mark.parametrize("mode", MODES)
def test_a_skipped_step_is_as_if_its_batch_had_not_been_there(
    tmp_path: Path, mode: str, blackbox: Any
) -> None:
    bad = {0, 3, 4}
    x, y = data(7, bad)
    model = compiled(**MODES[mode])
    skip = nanwatch.Callback(tmp_path, every=1, on_nonfinite="skip", blackbox=blackbox)
    history = fit(model, x, y, skip)

    keep = np.repeat([step not in bad for step in range(7)], BATCH)
    plain = compiled(**MODES[mode])
    expected = fit(plain, x[keep], y[keep])
    if mode == "xla":  # One more consumer of a gradient may be fused otherwise.
        for mine, theirs in zip(state(model), state(plain), strict=True):
            np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
    else:
        assert_same(state(model), state(plain))
        assert history.history == expected.history
    assert int(model.optimizer.iterations) == 4

    found = read_recorded(tmp_path / "nanwatch")
    assert [record.field("skipped_steps") for record in found.records] == [1, 0, 0, 1, 1, 0, 0]
    assert found.nonfinite()["input", "input"] == 0
    assert not any(role == "weight" for role, _ in found.nonfinite())


@pytest.mark.parametrize("blackbox", ["result", "off"])
def test_what_restores_a_step_lives_as_long_as_the_training(tmp_path: Path, blackbox: Any) -> None:
    class Collects(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            gc.collect()

    x, y = data(4, {2})
    model = compiled()
    fit(
        model, x, y, Collects(), nanwatch.Callback(tmp_path, on_nonfinite="skip", blackbox=blackbox)
    )
    assert int(model.optimizer.iterations) == 3


def test_each_of_the_steps_of_one_execution_is_skipped_by_itself(tmp_path: Path) -> None:
    x, y = data(8, {2, 5})
    model = compiled(steps_per_execution=4)
    fit(model, x, y, nanwatch.Callback(tmp_path, on_nonfinite="skip"))
    keep = np.repeat([step not in (2, 5) for step in range(8)], BATCH)
    plain = compiled()
    fit(plain, x[keep], y[keep])
    assert_same(state(model), state(plain))
    found = read_recorded(tmp_path / "nanwatch")
    assert sum(record.field("skipped_steps") for record in found.records) == 2


def test_accumulated_gradients_and_averages_are_left_alone(tmp_path: Path) -> None:
    def optimizer() -> keras.optimizers.Optimizer:
        return keras.optimizers.Adam(
            1e-2, gradient_accumulation_steps=2, use_ema=True, ema_momentum=0.9
        )

    x, y = data(7, {1, 4})
    model = compiled(optimizer())
    fit(model, x, y, nanwatch.Callback(tmp_path, on_nonfinite="skip"))
    keep = np.repeat([step not in (1, 4) for step in range(7)], BATCH)
    plain = compiled(optimizer())
    fit(plain, x[keep], y[keep])
    assert_same(state(model), state(plain))


def test_seed_generators_advance(tmp_path: Path) -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dropout(0.5), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    seeds = model.layers[0].seed_generator.state
    before = seeds.numpy()
    x, y = data(1, set())
    y[0] = np.nan
    kernel = model.layers[1].kernel.numpy()
    fit(model, x, y, nanwatch.Callback(tmp_path, on_nonfinite="skip"))
    np.testing.assert_array_equal(model.layers[1].kernel.numpy(), kernel)
    assert (seeds.numpy() != before).any()


def linear(optimizer: keras.optimizers.Optimizer, dtype: str = "float32") -> keras.Model:
    """One weight w = 0 and the loss w * x: its gradient is the mean of x."""

    class Product(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return y_pred[:, 0]

    model = keras.Sequential(
        [
            keras.Input((1,), dtype=dtype),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", dtype=dtype),
        ]
    )
    model.compile(optimizer, Product(dtype=dtype))
    return model


@pytest.mark.parametrize("mode", ["graph", "eager"])
@pytest.mark.parametrize(
    ("dtype", "gradient", "optimizer", "skipped"),
    [
        ("float32", 1e20, "adam", 1),  # Finite; its square is infinite in Adam's second moment.
        ("float32", 1e20, "sgd", 0),  # No slots.
        ("float32", 1e18, "adam", 0),
        ("float16", 300.0, "adam", 1),
        ("float16", 100.0, "adam", 0),
    ],
)
def test_a_gradient_whose_square_overflows_in_a_slot_is_skipped(
    tmp_path: Path, mode: str, dtype: str, gradient: float, optimizer: str, skipped: int
) -> None:
    model = linear(keras.optimizers.get(optimizer), dtype)
    model.run_eagerly = mode == "eager"
    x = np.full((4, 1), gradient, dtype)
    model.fit(
        x, x, batch_size=4, verbose=0, callbacks=[nanwatch.Callback(tmp_path, on_nonfinite="skip")]
    )
    found = read_recorded(tmp_path / "nanwatch")
    assert sum(record.field("skipped_steps") for record in found.records) == skipped
    assert (float(model.layers[0].kernel[0, 0]) == 0) == bool(skipped)


@pytest.mark.parametrize("mode", MODES)
def test_an_update_that_is_not_finite_is_undone_where_wanted(tmp_path: Path, mode: str) -> None:
    def train(**options: Any) -> keras.Model:
        model = linear(keras.optimizers.SGD(1e30, momentum=0.5))
        model.compile(model.optimizer, model.loss, **MODES[mode])
        x = np.array([[1e15], [1.0], [2.0]], np.float32)  # 1e30 * 1e15 overflows.
        watch = nanwatch.Callback(tmp_path, every=1, on_nonfinite="skip", **options)
        model.fit(x, x, batch_size=1, shuffle=False, verbose=0, callbacks=[watch])
        return model

    assert not np.isfinite(float(train().layers[0].kernel[0, 0]))
    model = train(check_updates=True)
    # Skipped; v1 = -1e30; v2 = 0.5 v1 - 2e30: momentum.
    assert float(model.layers[0].kernel[0, 0]) == pytest.approx(-3.5e30, rel=1e-6)
    assert int(model.optimizer.iterations) == 2


def test_a_long_streak_ends_the_training(tmp_path: Path, capsys: Any) -> None:
    x, y = data(9, {1, 3, 4, 5, 6, 7})
    model = compiled()
    watch = nanwatch.Callback(tmp_path, on_nonfinite="skip", max_skips=3)
    fit(model, x, y, watch, epochs=5)
    assert int(model.optimizer.iterations) == 2  # Steps 0 and 2; it ends after step 5.
    said = capsys.readouterr().out
    assert "3 steps in a row were skipped" in said
    assert "NaN in the input data at step 1" in said


def test_a_loss_scaling_optimizer_refuses_by_itself(tmp_path: Path) -> None:
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=8.0)
    model = compiled(optimizer)
    statistics = model.layers[1].moving_mean.numpy()
    x, y = data(1, {0})
    fit(model, x, y, nanwatch.Callback(tmp_path, on_nonfinite="skip"))
    assert float(optimizer.dynamic_scale) == 4.0
    np.testing.assert_array_equal(model.layers[1].moving_mean.numpy(), statistics)
    found = read_recorded(tmp_path / "nanwatch")
    assert sum(record.field("skipped_steps") for record in found.records) == 0
    assert sum(record.field("scale_skipped_steps") for record in found.records) == 1


@pytest.mark.parametrize("mode", MODES)
def test_of_two_updates_the_first_is_undone_too(tmp_path: Path, mode: str) -> None:
    class Two(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
            self.two = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
            self.second = keras.optimizers.SGD(0.1)

        def build(self, shape: Any) -> None:
            self.one.build(shape)
            self.two.build(shape)

        def call(self, x: Any) -> Any:
            return self.one(x)

        def train_step(self, data: Any) -> Any:
            x, y = data
            with tf.GradientTape(persistent=True) as tape:
                fine = tf.reduce_mean(self.one(x))
                broken = tf.reduce_mean(self.two(x) / (y - y))
            one, two = self.one.trainable_weights, self.two.trainable_weights
            self.optimizer.apply_gradients(zip(tape.gradient(fine, one), one, strict=True))
            self.second.apply_gradients(zip(tape.gradient(broken, two), two, strict=True))
            return {"fine": fine}

    model = Two()
    model.build((None, 1))
    model.compile(keras.optimizers.SGD(0.1), **MODES[mode])
    x = np.ones((4, 1), np.float32)
    model.fit(
        x, x, batch_size=4, verbose=0, callbacks=[nanwatch.Callback(tmp_path, on_nonfinite="skip")]
    )
    assert float(model.one.kernel[0, 0]) == 1.0
    assert float(model.two.kernel[0, 0]) == 1.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"on_nonfinite": "skip", "max_skips": 0}, "max_skips"),
        ({"on_nonfinite": "skip", "max_skips": True}, "max_skips"),
    ],
)
def test_bad_arguments_say_what_was_expected(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nanwatch.Callback("logs", **arguments)
