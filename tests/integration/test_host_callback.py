"""The host looks at a step where there is something to do, and at no other."""

from __future__ import annotations

import os
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
from tb_nanwatch.adapters.keras_common.failing_step import captured_step, deferred_steps
from tb_nanwatch.adapters.tensorflow.graph import handoff
from tb_nanwatch.adapters.tensorflow.graph.host_callback import HostSignal
from tb_nanwatch.adapters.tensorflow.statistics import accumulator, device_state
from tb_nanwatch.training import schedule

STEPS = 24
BAD = 10
MODES: dict[str, dict[str, Any]] = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
    "several": {"steps_per_execution": 4},
}


class HostReads(keras.callbacks.Callback):
    """Counts the host's reads of device variables, by the step after which it reads."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        super().__init__()
        self.reads: dict[int, int] = {}
        self._now = 0
        for module in (accumulator, device_state, deferred_steps, captured_step):
            monkeypatch.setattr(module, "fetch", self._counted(module.fetch))

    def _counted(self, fetch: Any) -> Any:
        def counted(*args: Any) -> Any:
            self._now += 1
            return fetch(*args)

        return counted

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._now = 0

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.reads[batch] = self._now

    def steps(self) -> list[int]:
        return [step for step, reads in self.reads.items() if reads]


def train(
    mode: str, callbacks: list[Any], bad: tuple[int, ...] = (), *, known_size: bool = True
) -> None:
    """Trains in one of the `MODES`; not of `known_size`, a batch may be smaller than the others."""
    x = np.random.default_rng(0).normal(size=(STEPS, 4)).astype("float32")
    x[list(bad), 2] = np.nan
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile("sgd", "mse", **MODES[mode])
    y = np.zeros((STEPS, 2), "float32")
    if known_size:
        model.fit(x, y, batch_size=1, shuffle=False, verbose=0, callbacks=callbacks)
    else:
        data = tf.data.Dataset.from_tensor_slices((x, y)).batch(1)
        model.fit(data, shuffle=False, verbose=0, callbacks=callbacks)


@pytest.mark.parametrize("blackbox", ["result", "off"])
@pytest.mark.parametrize(
    ("mode", "host_steps"),
    [
        ("graph", [0, 7, 15, 23]),
        ("eager", [0, 7, 15, 23]),
        # One that executes steps 4 to 7, and so on; named by its last step.
        ("several", [3, 7, 15, 23]),
        ("xla", list(range(STEPS))),
    ],
)
def test_the_host_looks_at_only_full_windows_of_a_healthy_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, host_steps: list[int], blackbox: Any
) -> None:
    seen = HostReads(monkeypatch)
    train(mode, [nanwatch.Callback(tmp_path, every=8, blackbox=blackbox), seen])
    assert seen.steps() == host_steps
    assert read_recorded(tmp_path / "nanwatch").windows() == [(0, 7), (8, 15), (16, 23)]


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_the_host_looks_at_once_at_what_breaks_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    seen = HostReads(monkeypatch)
    watched = nanwatch.Callback(tmp_path, every=8, watch="input", blackbox="off")
    train(mode, [watched, seen], bad=(BAD,))
    # The recovered step ends a window, too.
    assert seen.steps() == [0, 7, BAD, BAD + 1, BAD + 9]


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_the_host_looks_at_skipped_steps_and_the_end_of_a_streak(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    seen = HostReads(monkeypatch)
    skip = nanwatch.Callback(
        tmp_path, every=8, watch="weight", on_nonfinite="skip", blackbox="off", max_skips=3
    )
    # Nothing recorded is not finite: the weights are spared.
    train(mode, [skip, seen], bad=(9, 10, 12, 13))
    assert seen.steps() == [0, 7, 9, 10, 11, 12, 13, 14, 15, 23]


@pytest.mark.parametrize("blackbox", ["result", "off"])
def test_a_step_that_xla_compiles_by_itself_is_asked(tmp_path: Path, blackbox: Any) -> None:
    class Own(keras.Model):
        """Has XLA compile its step, of which `compile` knows nothing."""

        def make_train_function(self, force: bool = False) -> Any:
            step = tf.function(self.train_step, jit_compile=True)
            self.train_function = lambda iterator: step(next(iterator))
            return self.train_function

    x = np.random.default_rng(0).normal(size=(STEPS, 4)).astype("float32")
    x[BAD] = np.nan
    inputs = keras.Input((4,))
    model = Own(inputs, keras.layers.Dense(2)(inputs))
    model.compile("sgd", "mse", jit_compile=False)
    data = tf.data.Dataset.from_tensor_slices((x, np.zeros((STEPS, 2), "float32"))).batch(1)
    stop = nanwatch.Callback(tmp_path, every=8, on_nonfinite="stop", blackbox=blackbox)
    model.fit(data, verbose=0, shuffle=False, callbacks=[stop])
    assert read_recorded(tmp_path / "nanwatch").windows() == [(0, 7), (8, BAD)]
    assert int(model.optimizer.iterations) == BAD + 1


def test_a_call_that_raised_leaves_nothing_to_the_next_training(tmp_path: Path) -> None:
    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for step in range(STEPS):
            if step == BAD + 1:
                raise OSError("on purpose")
            yield np.full((1, 4), np.nan if step == BAD - 1 else 1, "float32"), np.ones((1, 2))

    def train(callbacks: list[Any]) -> list[np.ndarray]:
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        model.compile("sgd", "mse", **MODES["several"])
        form = (tf.TensorSpec((1, 4), tf.float32), tf.TensorSpec((1, 2), tf.float64))
        broken = tf.data.Dataset.from_generator(batches, output_signature=form)
        with pytest.raises(tf.errors.OpError):
            model.fit(broken, verbose=0, shuffle=False, callbacks=callbacks)
        model.set_weights([np.zeros_like(each) for each in model.get_weights()])
        clean = (np.ones((STEPS, 4), "float32"), np.ones((STEPS, 2)))
        model.fit(*clean, batch_size=1, verbose=0, callbacks=callbacks)
        # Not the count of steps: of the call that raised, it is chance how many were still run.
        return [np.asarray(each) for each in model.weights]

    for mine, theirs in zip(train([nanwatch.Callback(tmp_path)]), train([]), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    # The step that was not finite is analyzed, although a later one of its call raised.
    assert [each.step for each in read_recorded(tmp_path / "nanwatch").reruns] == [BAD - 1]


def test_a_requested_signal_is_read_once() -> None:
    host_signal = HostSignal()
    assert not host_signal.was_requested()
    host_signal.request()
    host_signal.request()
    assert host_signal.was_requested()
    assert not host_signal.was_requested()


@pytest.mark.parametrize("mode", ["graph", "xla"])
def test_a_look_at_a_step_gives_the_same_in_the_step_and_by_the_host(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for number, (frequent, eager_looks) in enumerate([(1, 0), (0, STEPS), (0, 5), (0, 0)]):
        monkeypatch.setattr(schedule, "FREQUENT", frequent)
        monkeypatch.setattr(accumulator, "_EAGER_LOOKS", eager_looks)
        keras.utils.set_random_seed(1)
        log_dir = tmp_path / str(number)
        callback = nanwatch.Callback(log_dir, every=1, watch="all", blackbox="off")
        train(mode, [callback], (BAD,))
        assert bool(callback._host_signal._compiled_calls) is (mode == "xla" and not frequent)
        found.append(read_recorded(log_dir / "nanwatch"))
    assert found[0].nonfinite()["input", "input"] == BAD
    assert len(found[0].records) == STEPS
    for other in found[1:]:
        for mine, theirs in zip(found[0].records, other.records, strict=True):
            # XLA sums in another order.
            np.testing.assert_allclose(mine.columns, theirs.columns, rtol=1e-6 * (mode == "xla"))
            assert mine.histograms is not None
            assert theirs.histograms is not None
            for name, each in vars(mine.histograms).items():
                np.testing.assert_array_equal(each, getattr(theirs.histograms, name))


@pytest.mark.parametrize("policy", ["record", "skip"])
@pytest.mark.parametrize("scales", [False, True])
def test_the_host_counts_deferred_and_skipped_steps_as_the_compiled_step_does(
    policy: Any, scales: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = np.random.default_rng(0).normal(size=(STEPS, 4)).astype("float32")
    x[BAD] *= 1e30
    x[BAD + 1 : BAD + 3] = np.nan
    found, weights = [], []
    for limit in (2**28, 0):
        monkeypatch.setattr(handoff, "_MAX_BYTES", limit)
        keras.utils.set_random_seed(1)
        layers = [keras.Input((4,)), keras.layers.Dense(2, name="dense")]
        model = keras.Sequential(layers, name="model")
        sgd = keras.optimizers.SGD(0.01)
        optimizer = keras.optimizers.LossScaleOptimizer(sgd, 8.0) if scales else sgd
        model.compile(optimizer, "mse", jit_compile=True)
        callback = nanwatch.Callback(tmp_path / str(limit), every=64, on_nonfinite=policy)
        y = np.zeros((STEPS, 2), "float32")
        model.fit(x, y, batch_size=1, shuffle=False, verbose=0, callbacks=[callback])
        assert bool(callback._host_signal._compiled_calls) is bool(limit)
        found.append(read_recorded(tmp_path / str(limit) / "nanwatch"))
        weights.append(model.get_weights())
    for mine, theirs in zip(*weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    host, compiled = found
    assert host.nonfinite() == compiled.nonfinite()
    assert host.windows() == compiled.windows()
    # What a LossScaleOptimizer skips is not run again.
    assert len(host.reruns) == len(compiled.reruns) == (0 if scales else 1)
    for mine, theirs in zip(host.records, compiled.records, strict=True):
        np.testing.assert_allclose(mine.columns, theirs.columns, rtol=1e-6)


class NanOnceTraced(keras.layers.Layer):
    """NaN for large inputs, but not where it runs eagerly."""

    def call(self, inputs: Any) -> Any:
        return tf.where(inputs > 1e3, np.nan, inputs) if tf.inside_function() else inputs


def test_a_deferred_step_is_reproduced_where_the_host_finds_it_nonfinite_again(
    tmp_path: Path,
) -> None:
    x = np.ones((STEPS, 4), "float32")
    x[BAD] = 2e3
    model = keras.Sequential([keras.Input((4,)), NanOnceTraced(), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=True)
    callback = nanwatch.Callback(tmp_path, every=64)
    y = np.zeros((STEPS, 2), "float32")
    model.fit(x, y, batch_size=1, shuffle=False, verbose=0, callbacks=[callback])
    assert callback._host_signal._compiled_calls
    (rerun,) = read_recorded(tmp_path / "nanwatch").reruns
    assert (rerun.step, rerun.mode, rerun.reproduced) == (BAD, "xla", True)


def test_the_host_looks_at_no_compiled_step_that_would_take_too_much_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor at one whose batch has no known size; its counts are exact in either case."""
    for known_size, limit in [(True, 2**28), (True, 10), (False, 2**28)]:
        monkeypatch.setattr(handoff, "_MAX_BYTES", limit)
        log_dir = tmp_path / f"{known_size}-{limit}"
        callback = nanwatch.Callback(log_dir, every=64, blackbox="off")
        train("xla", [callback], (BAD,), known_size=known_size)
        calls = callback._host_signal._compiled_calls
        assert bool(calls) is (known_size and limit > 10)
        assert read_recorded(log_dir / "nanwatch").nonfinite()["loss", "loss"] == BAD


def test_what_a_compiled_step_leaves_to_the_host_is_freed_with_its_trace(tmp_path: Path) -> None:
    callback = nanwatch.Callback(tmp_path, every=64, blackbox="off")
    for _ in range(3):
        train("xla", [callback])
        assert len(callback._host_signal._compiled_calls) == 1


@pytest.mark.parametrize("jit", [False, True])
def test_a_handoff_gives_the_host_the_tensors_of_the_step(
    jit: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handoff, "_MIN_ALONE", 6)
    rng = np.random.default_rng(0)
    given: list[Any] = [
        np.int64(2**60 + 1),
        rng.normal(size=(2, 3)).astype("float32"),
        np.array([True, False]),
        np.array([np.nan, -np.inf, -0.0, 1e-45], "float32"),
        rng.normal(size=(5,)),
        np.array(7.0, "float16"),
        np.array(3.0, "float32"),
    ]
    made: list[handoff.Handoff] = []

    @tf.function(jit_compile=jit)
    def step(is_due: tf.Tensor, *tensors: tf.Tensor) -> None:
        made.append(handoff.Handoff(tensors))
        made[-1].write(is_due, tensors)

    tensors = [tf.constant(each) for each in given]
    step(tf.constant(False), *tensors)
    assert not made[-1].take()
    step(tf.constant(True), *tensors)
    for mine, theirs in zip(made[-1].take(), given, strict=True):
        assert mine.numpy().tobytes() == np.asarray(theirs).tobytes()
        assert mine.shape == theirs.shape
    assert not made[-1].take()


@pytest.mark.parametrize("jit", [False, True])
def test_what_a_step_asked_for_is_not_called_once_it_is_forgotten(jit: bool) -> None:
    host_signal, called = HostSignal(), []

    @tf.function(jit_compile=jit)
    def step(tensor: tf.Tensor) -> None:
        host_signal.call_if(tf.constant(True), called.append, [tensor], [None])

    for is_forgotten in (False, True):
        step(tf.constant(1.0))
        if is_forgotten:
            host_signal.forget_calls()
        host_signal.run_calls()
        host_signal.run_compiled_calls()
        assert len(called) == 1


def test_a_look_that_fails_is_one_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **options: Any) -> Any:
        raise KeyError("ours")

    monkeypatch.setattr(accumulator.Accumulator, "_count", fail)
    monkeypatch.setattr(schedule, "FREQUENT", 0)
    callback = nanwatch.Callback(tmp_path, every=8)
    with pytest.warns(nanwatch.NaNWatchWarning, match="KeyError") as said:
        train("graph", [callback], (BAD,))
    assert len(said) == 1
    # What later steps leave to the host does not pile up.
    assert not callback._host_signal._calls


ONE_THREAD = """
import sys

import tensorflow as tf

tf.config.threading.set_inter_op_parallelism_threads(1)

from test_host_callback import BAD, train

import tb_nanwatch as nanwatch

train("graph", [nanwatch.Callback(sys.argv[1])], (BAD,))
"""


def test_nothing_waits_for_a_thread_that_the_step_holds(tmp_path: Path) -> None:
    """TensorFlow may have one thread for operations, as on a machine with one core."""
    path = os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)])
    subprocess.run(
        [sys.executable, "-c", ONE_THREAD, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
        check=True,
        timeout=240,
    )
    assert read_recorded(tmp_path / "nanwatch").nonfinite()["input", "input"] == BAD
