"""A validation or a metric that is not finite, beside a training that is."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from reports import findings_of

import tb_nanwatch as nanwatch
from tb_nanwatch.adapters.keras_common.instrument.step_tensors import StepTensors

STEPS = 4


def data(rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, 5)).astype("float32"), rng.normal(size=(rows, 1)).astype(
        "float32"
    )


def fit(path: Path, *, metrics: Any = (), norm: bool = False, **options: Any) -> Any:
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(4, activation="tanh")]
    layers += [keras.layers.BatchNormalization()] if norm else []
    model = keras.Sequential([keras.Input((5,)), *layers, keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=list(metrics), **options.pop("compile", {}))
    x, y = options.pop("train", data(8 * STEPS))
    model.fit(
        x, y, batch_size=8, verbose=0, epochs=2, callbacks=[nanwatch.Callback(path)], **options
    )
    return model


def with_nan(rows: int, *bad: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = data(rows, 1)
    x[list(bad), 2] = np.nan
    return x, y


def test_the_rows_of_arrays_are_named(tmp_path: Path) -> None:
    fit(tmp_path, validation_data=with_nan(24, 13, 17))
    (found,) = findings_of(tmp_path)
    assert (found["cause"], found["step"]) == ("nonfinite-validation", STEPS - 1)
    assert found["headline"].endswith("`x` of the validation data, row 13")
    assert found["evidence"] == {"first_batch": 1, "first_row": 13}


def test_so_are_those_of_a_split(tmp_path: Path) -> None:
    x, y = data(40)
    y[-3] = np.inf
    fit(tmp_path, train=(x, y), validation_split=0.2)
    (found,) = findings_of(tmp_path)
    assert found["headline"].endswith("`y` of the validation data, row 5")


@pytest.mark.parametrize(
    ("options", "batch"), [({}, 2), ({"steps_per_execution": 2}, 2), ({"run_eagerly": True}, 2)]
)
def test_of_a_dataset_the_first_batch_is_named(
    tmp_path: Path, options: dict[str, Any], batch: int
) -> None:
    validation = tf.data.Dataset.from_tensor_slices(with_nan(32, 17)).batch(8)
    fit(tmp_path, validation_data=validation, compile=options)
    (found,) = findings_of(tmp_path)
    assert found["headline"].endswith(f"validation batch {batch}")
    assert f"skip({batch})" in found["fix_code"]


class Share(keras.metrics.Metric):
    """A mean over the targets above 100, of which there are none."""

    def __init__(self) -> None:
        super().__init__(name="share")
        self.total = self.add_weight(name="total", initializer="zeros")
        self.count = self.add_weight(name="count", initializer="zeros")

    def update_state(self, y: Any, prediction: Any, sample_weight: Any = None) -> None:
        is_large = tf.cast(y > 100, tf.float32)
        self.total.assign_add(tf.reduce_sum(is_large * prediction))
        self.count.assign_add(tf.reduce_sum(is_large))

    def result(self) -> Any:
        return self.total / self.count


@pytest.mark.parametrize("validates", [True, False])
def test_a_metric_is_told_from_the_loss(tmp_path: Path, validates: bool) -> None:
    options = {"validation_data": data(16, 1)} if validates else {}
    fit(tmp_path, metrics=[Share()], **options)
    (found,) = findings_of(tmp_path)
    assert (found["cause"], found["severity"]) == ("nonfinite-metric", "warning")
    assert found["origin"]["tensor"] == "share"


def test_poisoned_statistics_explain_a_validation(tmp_path: Path) -> None:
    x, y = data(8 * STEPS)
    x[9, 1] = np.nan
    fit(tmp_path, train=(x, y), norm=True, validation_data=data(16, 1))
    assert "nonfinite-validation" not in {each["cause"] for each in findings_of(tmp_path)}


def test_a_finite_validation_is_nothing_and_is_not_changed(tmp_path: Path) -> None:
    model = fit(tmp_path, validation_data=data(16, 1))
    assert findings_of(tmp_path) == []
    plain = keras.models.clone_model(model)
    plain.set_weights(model.get_weights())
    plain.compile("sgd", "mse")
    x, y = data(16, 1)
    assert model.evaluate(x, y, verbose=0) == plain.evaluate(x, y, verbose=0)
    assert model.history.history["val_loss"][-1] == plain.evaluate(x, y, verbose=0)


def test_a_validation_that_raises_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    class Fails(keras.callbacks.Callback):
        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            raise KeyError("a callback of one's own")

    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x, y = data(16)
    model.evaluate(x, y, verbose=0)
    own = model.test_function
    with pytest.raises(KeyError):
        model.fit(
            *(x, y),
            validation_data=(x, y),
            verbose=0,
            callbacks=[nanwatch.Callback(tmp_path), Fails()],
        )
    gc.collect()
    assert model.test_function is own


def test_what_fails_of_ours_ends_no_validation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("injected")

    monkeypatch.setattr("tb_nanwatch.adapters.keras_common.epoch_logs.is_nonfinite", fails)
    with pytest.warns(nanwatch.NaNWatchWarning, match="injected") as caught:
        model = fit(tmp_path, validation_data=data(16, 1))
    assert sum("injected" in str(each.message) for each in caught) == 1
    assert len(model.history.history["val_loss"]) == 2
    assert findings_of(tmp_path) == []


def test_of_a_training_that_is_not_recorded_nothing_is_concluded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("injected")

    monkeypatch.setattr(StepTensors, "add_gradients", fails)
    with pytest.warns(nanwatch.NaNWatchWarning, match="injected"):
        model = fit(tmp_path, train=with_nan(8 * STEPS, 3), validation_data=data(16, 1))
    assert np.isnan([model.history.history[name] for name in ("loss", "val_loss")]).all()
    assert findings_of(tmp_path) == []


@pytest.mark.filterwarnings("ignore:The model does not have any trainable weights")
def test_a_model_without_variables_is_said_at_the_first_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Scale(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.factor = tf.Variable(0.5)

        def call(self, x: Any) -> Any:
            return x * self.factor

    said: list[str] = []

    class Said(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            said.append(capsys.readouterr().out)

    model = keras.Sequential([keras.Input((5,)), Scale()])
    model.compile("sgd", "mse")
    x, _ = data(16)
    model.fit(x, x, batch_size=8, verbose=0, callbacks=[nanwatch.Callback(tmp_path), Said()])
    assert "Nothing is trained from step 0" in said[0]
    assert "Nothing is trained" not in "".join(said[1:])
    (found,) = findings_of(tmp_path)
    assert found["cause"] == "not-training"
