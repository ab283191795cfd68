"""A policy for non-finite steps holds, goes on by the logs, or says that it cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tb_nanwatch as nanwatch
from tb_nanwatch.adapters.keras_common.instrument.train_function import InstrumentedTrainFunction
from tb_nanwatch.adapters.tensorflow.recorder import Recorder

MODES: dict[str, dict[str, Any]] = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}
STEPS, BATCH, BAD = 4, 4, 1


def fail(*_: Any, **__: Any) -> Any:
    raise KeyError("as a fault of ours")


def data() -> tuple[np.ndarray, np.ndarray]:
    x = np.ones((STEPS * BATCH, 2), np.float32)
    x[BAD * BATCH] = np.nan
    return x, np.zeros((STEPS * BATCH, 1), np.float32)


class Plain(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Updates its weights by itself, without an optimizer."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)
        self.seen = keras.metrics.Mean(name="seen")

    def call(self, x: Any) -> Any:
        return self.dense(x)

    def train_step(self, data: Any) -> Any:
        x, y = data
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((self(x) - y) ** 2)
        gradients = tape.gradient(loss, self.trainable_variables)
        for variable, gradient in zip(self.trainable_variables, gradients, strict=True):
            variable.assign_sub(0.1 * gradient)
        self.seen.update_state(loss)
        return {"seen": self.seen.result()}


def fit(model: keras.Model, callback: Any) -> keras.Model:
    x, y = data()
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[callback])
    return model


def finite(model: keras.Model) -> bool:
    return all(np.isfinite(each).all() for each in model.get_weights())


def compiled(**how: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="dense")])
    model.compile("sgd", "mse", **how)
    return model


@pytest.mark.parametrize("mode", MODES)
def test_a_step_without_an_optimizer_is_skipped(tmp_path: Path, mode: str) -> None:
    model = Plain()
    model(np.ones((1, 2)))
    model.compile(**MODES[mode])
    fit(model, nanwatch.Callback(tmp_path, on_nonfinite="skip"))
    assert finite(model)
    assert np.isfinite(float(model.seen.result()))


def test_a_step_that_shows_nothing_is_told(tmp_path: Path) -> None:
    class Hidden(Plain):
        def train_step(self, data: Any) -> Any:
            self.dense.bias.assign_add(data[0][0, :1])
            return {"seen": self.seen.result()}

    model = Hidden()
    model(np.ones((1, 2)))
    model.compile(run_eagerly=True)
    with pytest.warns(nanwatch.NaNWatchWarning) as said:
        fit(model, nanwatch.Callback(tmp_path, on_nonfinite="skip"))
    assert any('"skip" skips no step' in str(each.message) for each in said)


@pytest.mark.parametrize("policy", ["stop", "raise"])
def test_what_is_not_watched_shows_in_the_logs(tmp_path: Path, policy: Any) -> None:
    callback = nanwatch.Callback(tmp_path, watch="slot", on_nonfinite=policy)
    model = compiled(run_eagerly=True)
    if policy == "raise":
        with pytest.raises(FloatingPointError, match="logs of batch 1: loss is nan"):
            fit(model, callback)
    else:
        fit(model, callback)
    assert int(model.optimizer.iterations) == BAD + 1


def test_a_step_is_skipped_where_the_recording_cannot_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recorder, "record_initial", fail)
    with pytest.warns(nanwatch.NaNWatchWarning, match="could not begin the recording"):
        model = fit(compiled(), nanwatch.Callback(tmp_path, on_nonfinite="skip"))
    assert finite(model)


def test_a_skip_that_is_off_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(InstrumentedTrainFunction, "install", fail)
    with pytest.warns(nanwatch.NaNWatchWarning) as said:
        fit(compiled(run_eagerly=True), nanwatch.Callback(tmp_path, on_nonfinite="skip"))
    assert any('on_nonfinite="skip" is off' in str(each.message) for each in said)
