"""A fault of ours, wherever it is, is one warning; the training goes on bit for bit as without."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tb_nanwatch as nanwatch
from tb_nanwatch.adapters.keras_common.epoch_logs import EpochLogs
from tb_nanwatch.adapters.keras_common.failing_step import black_box, rerun
from tb_nanwatch.adapters.keras_common.failing_step.black_box import BlackBox
from tb_nanwatch.adapters.keras_common.failing_step.captured_step import StepCapture
from tb_nanwatch.adapters.keras_common.failing_step.compiled_guard import CompiledStepGuard
from tb_nanwatch.adapters.keras_common.failing_step.deferred_steps import DeferredSteps
from tb_nanwatch.adapters.keras_common.failing_step.loop_step import LoopStep
from tb_nanwatch.adapters.keras_common.failing_step.step_guard import StepGuard
from tb_nanwatch.adapters.keras_common.failing_step.update_guard import BaseGuard
from tb_nanwatch.adapters.keras_common.instrument.step_tensors import StepTensors
from tb_nanwatch.adapters.tensorflow import tensors
from tb_nanwatch.adapters.tensorflow.graph import state_changes
from tb_nanwatch.adapters.tensorflow.graph.state_changes import StateChanges
from tb_nanwatch.adapters.tensorflow.recorder import Recorder
from tb_nanwatch.adapters.tensorflow.statistics.accumulator import Accumulator
from tb_nanwatch.training.live_diagnosis import LiveDiagnosis
from tb_nanwatch.training.record_writer import RecordWriter

STEPS, BATCH, BAD_STEP = 6, 8, 3

MODES: dict[str, dict[str, Any]] = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}

EVERYWHERE = [
    (StepTensors, "add_batch"),
    (StepTensors, "add_loss"),
    (StepTensors, "add_gradients"),
    (StepTensors, "end"),
    (StepTensors, "add_tape_target"),
    (StepTensors, "named_tensors"),
    (Recorder, "add"),
    (Accumulator, "_count"),
    (Accumulator, "_sample"),
    (Recorder, "step_end"),
    (Recorder, "begin"),
    (Recorder, "flush"),
    (Recorder, "write_rerun"),
    (RecordWriter, "write"),
    (LiveDiagnosis, "add_record"),
    (EpochLogs, "__init__"),
    (EpochLogs, "restore"),
]
INTO = [
    (BaseGuard, "_to_check"),
    (DeferredSteps, "take"),
    (BlackBox, "_rerun"),
    (BlackBox, "_dump"),
    (rerun, "find_origin"),
    (black_box, "make_rerun"),
]
LIVE = [
    (StepGuard, "__init__"),
    (StepGuard, "check"),
    (StepGuard, "_before"),
    (StepGuard, "_save"),
    (StepGuard, "end"),
    (StepCapture, "capture"),
    (StepCapture, "take"),
    (state_changes, "state_variables"),
]
GRAPH = [
    (StateChanges, "__init__"),
    (StateChanges, "_before"),
    (StateChanges, "_after"),
    (StateChanges, "changed"),
    (StateChanges, "refusal"),
]
XLA = [
    (CompiledStepGuard, "__init__"),
    (CompiledStepGuard, "_update"),
    (CompiledStepGuard, "end"),
    (DeferredSteps, "has_pending"),
]
PLACES = {
    "graph": EVERYWHERE + INTO + LIVE + GRAPH,
    "eager": EVERYWHERE + INTO + LIVE,
    "xla": EVERYWHERE + INTO + XLA,
}
"""Those of each mode."""

SHARED = EVERYWHERE + INTO


def places(every: bool) -> Iterator[Any]:
    """A mode, and a place in it. Places of all modes are tried in one in turn, or in each."""
    for number, (mode, theirs) in enumerate(PLACES.items()):
        own = theirs if every else [*SHARED[number :: len(PLACES)], *theirs[len(SHARED) :]]
        for owner, name in own:
            yield pytest.param(mode, owner, name, id=f"{mode}-{_short(owner)}-{name}")


def _short(owner: Any) -> str:
    return str(owner.__name__).rpartition(".")[2]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.function is test_the_training_goes_on:
        every = metafunc.config.getoption("--every-combination")
        metafunc.parametrize(("mode", "owner", "name"), list(places(every)))


class Gate(keras.layers.Layer):  # type: ignore[misc]
    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=shape[-1:], initializer="ones", name="gain")

    def call(self, x: Any) -> Any:
        return tf.where(x > 0, tf.math.log(self.gain * x), 0.0)


def data() -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).uniform(0.1, 1, (STEPS * BATCH, 6)).astype(np.float32)
    x[BAD_STEP * BATCH + 2, 1] = 0
    return x, x.sum(axis=1, keepdims=True)


def compiled(**options: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [
        keras.Input((6,)),
        Gate(name="gate"),
        keras.layers.Dropout(0.2),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(1),
    ]
    model = keras.Sequential(layers, name="net")
    model.compile(keras.optimizers.RMSprop(0.01), "mse", **options)
    return model


def trained(mode: str, *callbacks: Any) -> list[np.ndarray]:
    model = compiled(**MODES[mode])
    history = model.fit(
        *data(), batch_size=BATCH, shuffle=False, verbose=0, callbacks=list(callbacks)
    )
    state = [*model.variables, *model.optimizer.variables]
    return [*map(np.asarray, history.history.values()), *map(np.asarray, state)]


def fail(*args: Any, **kwargs: Any) -> Any:
    raise KeyError("ours")


def assert_same(mode: str, watched: list[np.ndarray], plain: list[np.ndarray]) -> None:
    for mine, theirs in zip(watched, plain, strict=True):
        if mode == "xla":  # What is looked at may round differently there.
            np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)
        else:
            np.testing.assert_array_equal(mine, theirs)


@pytest.fixture(scope="module")
def plain() -> dict[str, list[np.ndarray]]:
    return {mode: trained(mode) for mode in MODES}


def test_the_training_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    plain: dict[str, list[np.ndarray]],
    mode: str,
    owner: Any,
    name: str,
) -> None:
    monkeypatch.setattr(owner, name, fail)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        watched = trained(mode, nanwatch.Callback(tmp_path, every=1))
    assert_same(mode, watched, plain[mode])
    ours = [str(each.message) for each in said if "NaNWatch" in str(each.message)]
    assert len(ours) <= 2, ours


def test_the_training_goes_on_under_each_strategy_on_one_device_and_two(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    script = Path(__file__).with_name("faults_under_strategies.py")
    options = ["--every-combination"] if request.config.getoption("--every-combination") else []
    path = os.pathsep.join(filter(None, sys.path))
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"}
    ended = subprocess.run(
        [sys.executable, str(script), str(tmp_path), *options],
        env=environment,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-1000:]


@pytest.mark.parametrize("place", [(StepTensors, "add_gradients"), (Recorder, "add")])
@pytest.mark.parametrize("policy", ["stop", "raise"])
def test_a_policy_goes_on_by_the_logs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: Any, place: tuple[Any, str]
) -> None:
    monkeypatch.setattr(*place, fail)
    callback = nanwatch.Callback(tmp_path, every=1, on_nonfinite=policy)
    model = compiled()

    def fit() -> None:
        model.fit(*data(), batch_size=BATCH, shuffle=False, verbose=0, callbacks=[callback])

    def fit_to_the_end_of_the_policy() -> None:
        if policy == "stop":
            fit()
            return
        with pytest.raises(FloatingPointError, match="logs of batch 4: loss is nan"):
            fit()

    with pytest.warns(nanwatch.NaNWatchWarning, match="not recorded from here on.* logs"):
        fit_to_the_end_of_the_policy()
    assert int(model.optimizer.iterations) == BAD_STEP + 2


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_steps_are_skipped_that_are_not_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(StepTensors, "add_gradients", fail)
    model = compiled(**MODES[mode])
    callback = nanwatch.Callback(tmp_path, on_nonfinite="skip")
    with pytest.warns(nanwatch.NaNWatchWarning, match="Non-finite steps are still skipped"):
        model.fit(*data(), batch_size=BATCH, shuffle=False, verbose=0, callbacks=[callback])
    assert all(np.isfinite(each).all() for each in model.get_weights())
    assert int(model.optimizer.iterations) == STEPS - 1


def test_a_policy_that_is_off_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StepGuard, "check", fail)
    callback = nanwatch.Callback(tmp_path, on_nonfinite="skip")
    with pytest.warns(nanwatch.NaNWatchWarning, match='on_nonfinite="skip" is off'):
        compiled().fit(*data(), batch_size=BATCH, verbose=0, callbacks=[callback])


RECORDING = [
    (tensors, "name_tensor"),
    (Recorder, "add"),
    (Recorder, "step_end"),
    (Recorder, "close"),
    (RecordWriter, "write"),
    (LiveDiagnosis, "add_record"),
]
LOOP = {
    "graph": [(LoopStep, "add_gradients"), (LoopStep, "end"), *INTO, *LIVE, *GRAPH],
    "eager": [(LoopStep, "add_gradients"), (LoopStep, "end"), *INTO, *LIVE, *RECORDING],
}


@pytest.mark.parametrize(
    ("mode", "owner", "name", "update"),
    [
        (mode, *place, ("keras", "own")[number % 2])
        for mode, places in LOOP.items()
        for number, place in enumerate(places)
    ],
    ids=lambda each: getattr(each, "__name__", each).rpartition(".")[2],
)
def test_a_loop_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    owner: Any,
    name: str,
    update: str,
) -> None:
    def run(watched: bool) -> list[np.ndarray]:
        model = compiled()
        watcher = nanwatch.Watcher(tmp_path / str(watched), every=1)

        def step(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
            variables = model.trainable_variables
            gradients = tape.gradient(loss, variables)
            if update == "keras":
                model.optimizer.apply(gradients, variables)
            else:
                for gradient, variable in zip(gradients, variables, strict=True):
                    variable.assign_sub(0.1 * gradient)
            watcher.observe(loss=loss, gradient=list(zip(gradients, variables, strict=True)))
            return loss

        function = tf.function(step) if mode == "graph" else step
        function = watcher.step(function) if watched else function
        x, y = data()
        for first in range(0, len(x), BATCH):
            rows = slice(first, first + BATCH)
            function(tf.constant(x[rows]), tf.constant(y[rows]))
            watcher.step_end()
        watcher.close()
        return [np.asarray(each) for each in (*model.variables, *model.optimizer.variables)]

    plain = run(False)
    monkeypatch.setattr(owner, name, fail)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        watched = run(True)
    assert_same(mode, watched, plain)
