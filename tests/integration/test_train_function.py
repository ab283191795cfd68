"""Whatever happens in a training, nothing of ours is in the way of what comes next."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
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


def make_model(**compiled: Any) -> keras.Model:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", **compiled)
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


class LooksUpItsStep(keras.Sequential):
    """Its train function asks for `train_step` when it is called: Keras's own did, up to 3.7."""

    def make_train_function(self, force: bool = False) -> Any:
        if self.train_function is None or force:
            self.train_function = lambda iterator: self.train_step(next(iterator))
        return self.train_function


def test_a_train_function_that_looks_up_its_step_is_recorded(tmp_path: Path) -> None:
    model = LooksUpItsStep([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    fit(model, nanwatch.Callback(tmp_path, every=1))
    assert read_recorded(tmp_path / "nanwatch").windows() == [(n, n) for n in range(8)]
    assert left_behind(model) == []


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


@pytest.mark.parametrize("jit", [False, True])
def test_two_callbacks_record_two_directories(
    jit: bool, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    model = make_model(jit_compile=jit)
    fit(model, nanwatch.Callback(tmp_path / "a"), nanwatch.Callback(tmp_path / "b"))
    said = [str(each.message) for each in recwarn if each.category is nanwatch.NaNWatchWarning]
    assert ["several callbacks record" in each for each in said] == [True] * jit
    assert left_behind(model) == []
    for name in "ab":
        found = read_recorded(tmp_path / name / "nanwatch")
        assert found.windows()[-1][1] == 7
        for role in ("loss", "gradient", "weight"):
            assert sum(found.series(role, found.names(role)[0], "steps")) == 8


def test_a_callback_serves_one_model_after_another(tmp_path: Path) -> None:
    callback = nanwatch.Callback(tmp_path)
    for _ in range(2):
        model = make_model()
        fit(model, callback)
        assert left_behind(model) == []


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
def test_a_used_callback_is_copied_as_a_fresh_one(tmp_path: Path, copied: Any) -> None:
    class Mine(nanwatch.Callback):
        def __init__(self, number: int):
            self.number = number
            super().__init__(tmp_path, watch=["loss"], every=2, on_nonfinite="stop")
            self.seen: list[int] = []

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            super().on_train_batch_end(batch, logs)
            self.seen.append(batch)

    globals()["Mine"], Mine.__qualname__ = Mine, "Mine"
    for callback in (nanwatch.Callback(tmp_path, watch=["loss"], every=2), Mine(5)):
        fit(make_model(), callback)
        other = copied(callback)
        assert type(other) is type(callback)
        assert other.model is None
        assert getattr(other, "number", 5) == 5
        assert getattr(other, "seen", [*range(8)]) == [*range(8)]
        before = len(read_recorded(tmp_path / "nanwatch").records)
        fit(make_model(), other)
        found = read_recorded(tmp_path / "nanwatch")
        assert len(found.records) == before + 4
        assert [each[1] - each[0] for each in found.windows()[before:]] == [1] * 4
        assert found.windows()[before][0] == 0


@pytest.mark.parametrize("calls", ["all", "begin", "batches"])
@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}, {"jit_compile": True}])
def test_a_loop_of_train_on_batch_is_recorded(
    tmp_path: Path, calls: str, options: dict[str, Any]
) -> None:
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse", **options)
    x = X.copy()
    x[5 * 8] = np.nan
    callback = nanwatch.Callback(tmp_path, every=1)
    callbacks = keras.callbacks.CallbackList([callback], model=model)
    if calls in ("all", "begin"):
        callbacks.on_train_begin()
    losses = []
    for epoch in range(2):
        if calls == "all":
            callbacks.on_epoch_begin(epoch)
        for batch in range(4):
            rows = slice((epoch * 4 + batch) * 8, (epoch * 4 + batch + 1) * 8)
            callbacks.on_train_batch_begin(batch)
            losses.append(model.train_on_batch(x[rows], Y[rows]))
            callbacks.on_train_batch_end(batch)
        # Between the batches it is the loop's own.
        model.train_on_batch(X[:8], Y[:8])
    if calls != "batches":
        callbacks.on_train_end()
    assert left_behind(model) == []
    found = read_recorded(tmp_path / "nanwatch")
    assert found.windows() == [(step, step) for step in range(8)]
    norms = found.series("loss", "loss", "largest_norm")
    np.testing.assert_allclose(norms[:5], losses[:5], rtol=1e-5)
    assert found.nonfinite()["input", "input"] == 5
    assert ("target", "target") not in found.nonfinite()


def test_a_loop_whose_callbacks_know_no_model_is_told_so_once(tmp_path: Path) -> None:
    model = make_model()
    callbacks = keras.callbacks.CallbackList([nanwatch.Callback(tmp_path)])
    with pytest.warns(nanwatch.NaNWatchWarning, match=r"CallbackList\(\[callback\], model=model\)"):
        callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    for batch in range(3):
        callbacks.on_train_batch_begin(batch)
        model.train_on_batch(X[:8], Y[:8])
        callbacks.on_train_batch_end(batch)
    callbacks.on_train_end()


def test_a_loop_that_tells_of_no_batch_is_told_so_once(tmp_path: Path) -> None:
    model = make_model()
    callbacks = keras.callbacks.CallbackList([nanwatch.Callback(tmp_path)], model=model)
    callbacks.on_train_begin()
    callbacks.on_epoch_begin(0)
    model.train_on_batch(X[:8], Y[:8])
    with pytest.warns(
        nanwatch.NaNWatchWarning, match="Call on_train_batch_begin before each train_on_batch"
    ):
        callbacks.on_train_end()


def test_an_error_between_two_callbacks_leaves_the_next_fit_plain(tmp_path: Path) -> None:
    class Broken(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch == 3:
                raise ValueError("on purpose")

    model = make_model()
    with pytest.raises(ValueError, match="on purpose"):
        fit(model, nanwatch.Callback(tmp_path), Broken())
    fit(model)
    assert left_behind(model) == []


_AFTER_A_RESET = """
import sys, warnings
import keras
import numpy as np
from tensorflow.python.eager import context
import tb_nanwatch as nanwatch

warnings.filterwarnings("error", message="NaNWatch")
x = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
for number in range(2):
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback = nanwatch.Callback(f"{sys.argv[1]}/{number}", every=1)
    model.fit(x, x[:, :1], batch_size=8, verbose=0, callbacks=[callback])
    context._reset_context()
    keras.utils.clear_session()
"""


def test_a_context_that_was_reset_is_recorded_like_the_first(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", _AFTER_A_RESET, str(tmp_path)], check=True)
    for number in range(2):
        found = read_recorded(tmp_path / f"{number}" / "nanwatch")
        assert found.windows() == [(step, step) for step in range(4)]
        assert found.series("loss", "loss", "sampled_steps") == [1] * 4
