"""Whatever happens in a training, nothing of ours is in the way of what comes next."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import read_recorded

import tb_nanwatch as nanwatch

# Keras's own, on reading an HDF5 file with NumPy 2.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

OURS = ("train_step", "make_train_function", "compute_loss")
X = np.random.default_rng(0).normal(size=(64, 6)).astype("float32")
Y = X.sum(axis=1, keepdims=True)


def make_model() -> keras.Model:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def fit(model: keras.Model, *callbacks: keras.callbacks.Callback) -> None:
    model.fit(X, Y, batch_size=8, verbose=0, callbacks=list(callbacks))


def left_behind(model: keras.Model) -> list[str]:
    """Attributes of ours on the model and its optimizer, and where its train function is from."""
    found = [name for name in OURS if name in vars(model)]
    found += [name for name in ("apply",) if name in vars(model.optimizer)]
    found += [layer.name for layer in model._flatten_layers() if "call" in vars(layer)]
    if "tb_nanwatch" in getattr(model.train_function, "__module__", ""):
        found.append("train_function")
    return found


class At(keras.callbacks.Callback):
    """Does something at the end of the fourth step."""

    def __init__(self, act: Any):
        super().__init__()
        self.act = act

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == 3:
            self.act(self.model)


def throw(error: type[BaseException]) -> At:
    def act(model: keras.Model) -> None:
        raise error("on purpose")

    return At(act)


def test_a_training_that_ends_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = make_model()
    fit(model)
    plain = model.train_function
    fit(model, nanwatch.Callback(tmp_path))
    assert left_behind(model) == []
    assert model.train_function is plain


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, SystemExit])
def test_after_an_error_elsewhere_the_next_training_is_plain(
    tmp_path: Path, error: type[BaseException]
) -> None:
    model = make_model()
    with pytest.raises(error):
        fit(model, nanwatch.Callback(tmp_path), throw(error))
    records = sorted((tmp_path / "nanwatch").iterdir())
    size = records[0].stat().st_size
    # Nothing of it has to be called first: each of these is what a person does next.
    pickle.loads(pickle.dumps(model))
    copy.deepcopy(model)
    model.save(tmp_path / "model.keras")
    keras.models.load_model(tmp_path / "model.keras")
    model.evaluate(X, Y, verbose=0)
    model.predict(X, verbose=0)
    model.train_on_batch(X[:8], Y[:8])
    assert left_behind(model) == []
    fit(model)
    assert records[0].stat().st_size == size


def test_after_an_error_a_compile_starts_afresh(tmp_path: Path) -> None:
    model = make_model()
    with pytest.raises(ValueError, match="on purpose"):
        fit(model, nanwatch.Callback(tmp_path), throw(ValueError))
    model.compile("adam", "mse")
    fit(model)
    assert left_behind(model) == []


def test_an_error_in_the_step_restores_at_once(tmp_path: Path) -> None:
    def batches() -> Iterator[Any]:
        yield from [(X[:8], Y[:8])] * 3
        raise RuntimeError("the disk with the data is gone")

    model = make_model()
    with pytest.raises(tf.errors.UnknownError, match="the disk with the data is gone"):
        model.fit(batches(), shuffle=False, verbose=0, callbacks=[nanwatch.Callback(tmp_path)])
    assert left_behind(model) == []


@pytest.mark.parametrize("error", [TypeError, KeyboardInterrupt])
def test_an_error_while_tracing_restores_at_once(
    tmp_path: Path, error: type[BaseException]
) -> None:
    class Broken(keras.layers.Layer):
        def call(self, x: Any, training: bool = False) -> Any:
            if training:
                assert {"apply", "compute_loss", self.name} <= set(left_behind(model))
                raise error("a bug in a layer")
            return x

    model = keras.Sequential([keras.Input((6,)), Broken(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(error, match="a bug in a layer"):
        fit(model, nanwatch.Callback(tmp_path, watch="all"))
    assert left_behind(model) == []


def test_the_model_pickles_saves_and_copies_in_the_middle(tmp_path: Path) -> None:
    copies: list[keras.Model] = []

    def act(model: keras.Model) -> None:
        copies.append(pickle.loads(pickle.dumps(model)))
        copies.append(copy.deepcopy(model))
        model.save(tmp_path / "model.keras")
        copies.append(keras.models.load_model(tmp_path / "model.keras"))

    model = make_model()
    fit(model, nanwatch.Callback(tmp_path, watch="all"), At(act))
    assert len(copies) == 3
    for each in copies:
        fit(each)
        assert left_behind(each) == []


def test_evaluation_within_fit_is_untouched(tmp_path: Path) -> None:
    model = make_model()
    options: dict[str, Any] = {"batch_size": 8, "verbose": 0, "validation_data": (X[:16], Y[:16])}
    seen: list[Any] = []

    class Predict(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(self.model.predict(X[:8], verbose=0).shape)
            seen.append(left_behind(self.model))

    callback = nanwatch.Callback(tmp_path, watch="all", every=1)
    model.fit(X, Y, callbacks=[callback, Predict()], **options)
    assert left_behind(model) == []
    # Between two steps there is the train function alone, and nothing on a layer.
    assert seen == [(8, 1), ["make_train_function", "train_function"]] * 8
    found = read_recorded(tmp_path / "nanwatch")
    assert found.windows() == [(step, step) for step in range(8)]
    assert found.series("activation", found.names("activation")[0], "elements") == [8] * 8


def test_two_callbacks_record_two_directories(tmp_path: Path) -> None:
    model = make_model()
    fit(model, nanwatch.Callback(tmp_path / "a"), nanwatch.Callback(tmp_path / "b"))
    assert left_behind(model) == []
    for name in "ab":
        found = read_recorded(tmp_path / name / "nanwatch")
        assert found.windows()[-1][1] == 7
        assert sum(found.series("loss", "loss", "steps")) == 8


def test_a_callback_serves_one_model_after_another(tmp_path: Path) -> None:
    callback = nanwatch.Callback(tmp_path)
    for _ in range(2):
        model = make_model()
        fit(model, callback)
        assert left_behind(model) == []
