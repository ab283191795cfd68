"""A step that goes non-finite is run again: the operation is named, and the training goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from random_networks import findings
from recorded import read_recorded

import tb_nanwatch as nanwatch
from tb_nanwatch.adapters.keras_common.failing_step.step_guard import StepGuard
from tb_nanwatch.diagnosis import explanation
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.training.failing_step.step_dump import StepDump, pack_dump, unpack_dump

STEPS, BATCH = 10, 16
BAD_STEP, BAD_ROWS = 4, (3, 11)

MODES: dict[str, dict[str, Any]] = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
    "several": {"steps_per_execution": 4},
}


class Gate(keras.layers.Layer):  # type: ignore[misc]
    """Does `function` with its input times a gain."""

    def __init__(self, function: Callable[[Any], Any]):
        super().__init__(name="gate")
        self._function = function

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(shape=shape[-1:], initializer="ones", name="gain")

    def call(self, x: Any) -> Any:
        return self._function(self.gain * x)


def where_log(x: Any) -> Any:
    return tf.where(x > 0, tf.math.log(x), 0.0)


def log(x: Any) -> Any:
    return tf.math.log(x)


def root(x: Any) -> Any:
    return tf.sqrt(x)


def quotient(x: Any) -> Any:
    return 1 / x


def softmax(x: Any) -> Any:
    return tf.nn.softmax(tf.where(x > 0, x, -np.inf)) + x


def mask(x: Any) -> Any:
    return tf.nn.softmax(tf.where(x > 0.2, x, -np.inf)) + x


def line_of(function: Callable[[Any], Any]) -> int:
    return function.__code__.co_firstlineno + 1


def data(row: Callable[[np.ndarray], Any] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Positive rows; at the bad step those of `BAD_ROWS` hold a 0, or what `row` makes of them."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0.1, 1, (STEPS * BATCH, 6)).astype(np.float32)
    y = x.sum(axis=1, keepdims=True)
    for number in BAD_ROWS:
        place = BAD_STEP * BATCH + number
        if row is None:
            x[place, 2] = 0
        else:
            row(x[place])
    return x, y


def compiled(function: Callable[[Any], Any], **options: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((6,)),
            Gate(function),
            keras.layers.Dropout(0.2),
            keras.layers.BatchNormalization(name="normalized"),
            keras.layers.Dense(4, "tanh", name="hidden"),
            keras.layers.Dense(1, name="output"),
        ],
        name="net",
    )
    optimizer = options.pop("optimizer", None) or keras.optimizers.Adam(0.01)
    model.compile(optimizer, "mse", **options)
    return model


def fit(model: keras.Model, x: Any, y: Any, *callbacks: keras.callbacks.Callback) -> Any:
    return model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=list(callbacks))


def rerun_of(log_dir: Path) -> Rerun:
    (rerun,) = read_recorded(log_dir / "nanwatch").reruns
    return rerun


@pytest.mark.parametrize("mode", MODES)
def test_names_operation_line_layer_and_rows_in_every_mode(tmp_path: Path, mode: str) -> None:
    fit(compiled(where_log, **MODES[mode]), *data(), nanwatch.Callback(tmp_path, every=1))
    rerun = rerun_of(tmp_path)
    assert (rerun.step, rerun.reproduced, rerun.mode) == (BAD_STEP, True, "eager")
    assert rerun.examples == BAD_ROWS
    operation = rerun.operation
    assert operation is not None
    assert (operation.type, operation.direction, operation.layer) == ("Log", "backward", "gate")
    assert operation.file.endswith("test_black_box.py")
    assert (operation.line, operation.function) == (line_of(where_log), "where_log")
    assert operation.code == "return tf.where(x > 0, tf.math.log(x), 0.0)"
    assert [(e.index, e.value) for e in operation.operands[0].elements] == [
        ((row, 2), "0.0") for row in BAD_ROWS
    ]


@pytest.mark.parametrize(
    ("function", "row", "expected", "rows"),
    [
        (log, None, ("Log", "forward"), BAD_ROWS),
        # In the other row dropout leaves no gradient, and 0 at that slope is 0.
        (root, None, ("Sqrt", "backward"), BAD_ROWS[:1]),
        (quotient, None, ("RealDiv", "forward"), BAD_ROWS),
        (softmax, lambda row: row.fill(0), ("Softmax", "forward"), BAD_ROWS),
    ],
)
def test_tells_the_pass_and_the_operation(
    tmp_path: Path,
    function: Callable[[Any], Any],
    row: Callable[[np.ndarray], Any] | None,
    expected: tuple[str, str],
    rows: tuple[int, ...],
) -> None:
    fit(compiled(function), *data(row), nanwatch.Callback(tmp_path, every=1))
    rerun = rerun_of(tmp_path)
    operation = rerun.operation
    assert operation is not None
    assert (operation.type, operation.direction) == expected
    assert (operation.line, operation.layer) == (line_of(function), "gate")
    assert rerun.examples == rows


def test_a_mask_of_infinities_is_no_origin_and_starts_nothing(tmp_path: Path) -> None:
    fit(compiled(mask), *data(lambda row: None), nanwatch.Callback(tmp_path, every=1))
    assert read_recorded(tmp_path / "nanwatch").reruns == []


def test_of_bad_data_the_rows_are_told_and_no_operation(tmp_path: Path) -> None:
    def spoil(row: np.ndarray) -> None:
        row[1] = np.nan

    fit(compiled(root), *data(spoil), nanwatch.Callback(tmp_path, every=1))
    rerun = rerun_of(tmp_path)
    assert rerun.operation is None
    assert rerun.examples == BAD_ROWS


def assert_same(watched: keras.Model, plain: keras.Model) -> None:
    """That all variables hold the same, bit for bit."""
    for mine, theirs in zip(
        [*watched.variables, *watched.optimizer.variables],
        [*plain.variables, *plain.optimizer.variables],
        strict=True,
    ):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs), err_msg=mine.path)


@pytest.mark.parametrize("mode", ["graph", "eager", "several"])
@pytest.mark.parametrize("function", [where_log, log])
def test_the_training_goes_on_bit_for_bit_as_without(
    tmp_path: Path, mode: str, function: Callable[[Any], Any]
) -> None:
    plain, watched = compiled(function, **MODES[mode]), compiled(function, **MODES[mode])
    one = fit(plain, *data())
    other = fit(watched, *data(), nanwatch.Callback(tmp_path, every=1))
    assert rerun_of(tmp_path).step == BAD_STEP
    np.testing.assert_equal(other.history, one.history)
    assert_same(watched, plain)


@pytest.mark.parametrize("mode", MODES)
def test_an_analysis_that_is_interrupted_leaves_its_step_to_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    place = "tb_nanwatch.adapters.keras_common.failing_step.rerun.find_origin"
    monkeypatch.setattr(place, interrupt)
    x, y = data()
    model = compiled(where_log, **MODES[mode])
    with pytest.raises(KeyboardInterrupt):
        fit(model, x, y, nanwatch.Callback(tmp_path, every=1))
    assert min(read_recorded(tmp_path / "nanwatch").nonfinite().values()) == BAD_STEP
    plain, call = compiled(where_log, **MODES[mode]), MODES[mode].get("steps_per_execution", 1)
    rows = slice((BAD_STEP // call + 1) * call * BATCH)
    fit(plain, x[rows], y[rows])
    assert int(model.optimizer.iterations) == int(plain.optimizer.iterations)
    for mine, theirs in zip(model.variables, plain.variables, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("mode", ["graph", "eager"])
@pytest.mark.parametrize("place", ["__init__", "_to_check", "check", "_before", "end"])
def test_a_fault_of_its_own_does_not_reach_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, mode: str
) -> None:
    def fail(*args: Any) -> None:
        raise KeyError("ours")

    plain, watched = compiled(where_log, **MODES[mode]), compiled(where_log, **MODES[mode])
    one = fit(plain, *data())
    monkeypatch.setattr(StepGuard, place, fail)
    with pytest.warns(nanwatch.NaNWatchWarning, match=r"could not .*ours.*Training continues"):
        other = fit(watched, *data(), nanwatch.Callback(tmp_path, every=1))
    np.testing.assert_equal(other.history, one.history)
    assert_same(watched, plain)


def test_an_error_of_the_update_is_the_trainings_own(tmp_path: Path) -> None:
    class Broken(keras.optimizers.SGD):  # type: ignore[misc]
        def update_step(self, *args: Any) -> None:
            raise ArithmeticError("theirs")

    with pytest.raises(ArithmeticError, match="theirs"):
        fit(compiled(log, optimizer=Broken()), *data(), nanwatch.Callback(tmp_path))


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_a_step_that_raises_because_of_its_nan_is_looked_into(tmp_path: Path, mode: str) -> None:
    class Careful(keras.Sequential):  # type: ignore[misc]
        def train_step(self, data: Any) -> Any:
            logs = super().train_step(data)
            tf.debugging.assert_all_finite(self.layers[0].gain, "lost")
            return logs

    models = []
    for callbacks in ([], [nanwatch.Callback(tmp_path)]):
        keras.utils.set_random_seed(1)
        model = Careful([keras.Input((6,)), Gate(where_log), keras.layers.Dense(1)], name="net")
        model.compile("adam", "mse", **MODES[mode])
        with pytest.raises(tf.errors.InvalidArgumentError, match="lost"):
            fit(model, *data(), *callbacks)
        models.append(model)
    assert_same(*models)
    (finding,) = findings(tmp_path)
    assert (finding.cause, finding.step, finding.last_step) == (
        "layer-backward",
        BAD_STEP,
        BAD_STEP,
    )
    assert finding.operation is not None
    assert finding.operation.line == line_of(where_log)
    assert finding.rerun is not None
    assert finding.rerun.examples == BAD_ROWS


@pytest.mark.parametrize("mode", MODES)
def test_every_step_is_recorded_once_and_as_without(tmp_path: Path, mode: str) -> None:
    for kept in ("off", "result"):
        model = compiled(where_log, **MODES[mode])
        fit(model, *data(), nanwatch.Callback(tmp_path / kept, every=1, blackbox=kept))
    off, on = (read_recorded(tmp_path / kept / "nanwatch") for kept in ("off", "result"))
    assert off.reruns == []
    assert on.windows() == off.windows()
    assert on.nonfinite() == off.nonfinite()
    assert on.nonfinite()["gradient", "net/gate/gain"] == BAD_STEP
    for name in on.names("gradient"):
        for column in ("steps", "elements", "nan", "pos_inf"):
            assert on.series("gradient", name, column) == off.series("gradient", name, column)


@pytest.mark.parametrize("copies", [False, True])
def test_with_skip_the_held_step_is_skipped_afterwards(tmp_path: Path, copies: bool) -> None:
    model = compiled(where_log)
    options: dict[str, Any] = {"on_nonfinite": "skip", "check_updates": copies}
    fit(model, *data(), nanwatch.Callback(tmp_path, every=1, **options))
    assert rerun_of(tmp_path).step == BAD_STEP
    recorded = read_recorded(tmp_path / "nanwatch")
    assert sum(record.field("skipped_steps") for record in recorded.records) == 1
    assert all(np.isfinite(np.asarray(each)).all() for each in model.weights)
    assert int(model.optimizer.iterations) == STEPS - 1


def test_after_all_was_finite_another_step_is_run_again_up_to_a_limit(tmp_path: Path) -> None:
    x, y = data()
    for step in (1, 6, 8):
        x[step * BATCH] = 0
    fit(compiled(where_log), x, y, nanwatch.Callback(tmp_path, every=1, on_nonfinite="skip"))
    reruns = read_recorded(tmp_path / "nanwatch").reruns
    assert [rerun.step for rerun in reruns] == [1, 4, 6]


def test_a_loss_scale_is_left_to_find_its_place(tmp_path: Path) -> None:
    def trained(*callbacks: keras.callbacks.Callback) -> keras.Model:
        inner = keras.optimizers.SGD(0.1)
        scaling = keras.optimizers.LossScaleOptimizer(inner, initial_scale=4.0)
        model = compiled(where_log, optimizer=scaling)
        fit(model, *data(), *callbacks)
        return model

    plain, watched = trained(), trained(nanwatch.Callback(tmp_path, every=1))
    assert read_recorded(tmp_path / "nanwatch").reruns == []
    for mine, theirs in zip(watched.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs), err_msg=mine.path)


def test_below_a_scale_of_one_it_is_not_the_scale(tmp_path: Path) -> None:
    scaling = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(0.1), initial_scale=1.0)
    model = compiled(where_log, optimizer=scaling)
    fit(model, *data(), nanwatch.Callback(tmp_path, every=1))
    operation = rerun_of(tmp_path).operation
    assert operation is not None
    assert operation.type == "Log"


def test_under_gradient_accumulation(tmp_path: Path) -> None:
    models = []
    for callbacks in ([], [nanwatch.Callback(tmp_path, every=1)]):
        adam = keras.optimizers.Adam(0.01, gradient_accumulation_steps=2)
        models.append(compiled(where_log, optimizer=adam))
        fit(models[-1], *data(), *callbacks)
    assert rerun_of(tmp_path).step == BAD_STEP
    plain, watched = models
    for mine, theirs in zip(watched.optimizer.variables, plain.optimizer.variables, strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs), err_msg=mine.path)
    (finding,) = findings(tmp_path)
    assert finding.step == BAD_STEP


def test_says_where_the_step_cannot_be_run_eagerly(tmp_path: Path) -> None:
    def only_in_a_graph(x: Any) -> Any:
        if tf.executing_eagerly():
            raise RuntimeError("not here")
        return tf.math.log(x)

    fit(compiled(only_in_a_graph), *data(), nanwatch.Callback(tmp_path, every=1))
    rerun = rerun_of(tmp_path)
    assert (rerun.reproduced, rerun.mode, rerun.operation) == (True, "graph", None)
    assert rerun.failure.startswith("RuntimeError: ")
    assert "not here" in rerun.failure


@pytest.mark.parametrize("draws", [True, False])
def test_says_that_what_cannot_be_put_back_is_not_reproducible(tmp_path: Path, draws: bool) -> None:
    calls: list[bool] = []

    def sometimes(x: Any) -> Any:
        calls.append(len(calls) == BAD_STEP)
        noise = tf.random.uniform([]) if draws else 1.0
        return tf.math.log(x + noise * 0 + 1 - 4 * float(calls[-1]))

    model = compiled(sometimes, run_eagerly=True)
    fit(model, *data(lambda row: None), nanwatch.Callback(tmp_path, every=1))
    rerun = rerun_of(tmp_path)
    assert not rerun.reproduced
    assert rerun.draws_random == draws
    # Once when the model is made, and once more: operation by operation.
    assert len(calls) == 1 + STEPS + 1


@pytest.mark.parametrize("bad_step", [0, BAD_STEP])
@pytest.mark.parametrize("eagerly", [False, True])
def test_a_step_with_two_updates_goes_on_as_without(
    tmp_path: Path, eagerly: bool, bad_step: int
) -> None:
    class Twice(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name="net")
            self.gate, self.dense = Gate(where_log), keras.layers.Dense(1)
            self.dropout = keras.layers.Dropout(0.2)

        def call(self, x: Any, training: bool = False) -> Any:
            return self.dense(self.dropout(self.gate(x), training=training))

        def train_step(self, batch: Any) -> dict[str, Any]:
            x, y = batch
            for _ in range(2):
                with tf.GradientTape() as tape:
                    loss = self.compute_loss(x, y, self(x, training=True))
                variables = self.trainable_variables
                self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    x, y = data()
    first = (BAD_STEP - bad_step) * BATCH
    models = []
    for callbacks in ([], [nanwatch.Callback(tmp_path, every=1)]):
        keras.utils.set_random_seed(1)
        models.append(Twice())
        models[-1].compile("sgd", "mse", run_eagerly=eagerly)
        fit(models[-1], x[first:], y[first:], *callbacks)
    recorded = read_recorded(tmp_path / "nanwatch")
    rerun = rerun_of(tmp_path)
    assert rerun.operation is not None
    assert (rerun.step, rerun.operation.type, rerun.examples) == (bad_step, "Log", BAD_ROWS)
    assert recorded.nonfinite()["gradient", "net/gate/gain"] == bad_step
    assert recorded.windows()[0] == (0, 0)
    for mine, theirs in zip(models[1].variables, models[0].variables, strict=True):
        np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs), err_msg=mine.path)


def test_a_second_training_keeps_the_failing_step_of_the_first(tmp_path: Path) -> None:
    x, y = data()
    for scale in (1, 2):
        fit(compiled(where_log), scale * x, y, nanwatch.Callback(tmp_path, blackbox="batch"))
    folders = sorted((tmp_path / "nanwatch" / "blackbox").iterdir())
    assert [each.name for each in folders] == [f"step-{BAD_STEP:09d}", f"step-{BAD_STEP:09d}-2"]
    fed = x[BAD_STEP * BATCH : (BAD_STEP + 1) * BATCH]
    for scale, folder in zip((1, 2), folders, strict=True):
        case = unpack_dump({each.name: each.read_bytes() for each in folder.iterdir()})
        np.testing.assert_array_equal(case.batch["0"], scale * fed)


@pytest.mark.parametrize("kept", ["off", "result", "batch", "state"])
def test_keeps_what_is_asked_for_on_disk(tmp_path: Path, kept: str) -> None:
    x, y = data()
    model = compiled(where_log)
    fit(model, x, y, nanwatch.Callback(tmp_path, every=1, blackbox=kept))
    folder = tmp_path / "nanwatch" / "blackbox" / f"step-{BAD_STEP:09d}"
    files = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    expected = ["result.json", "batch.npz", "state.npz"]
    assert files == set(expected[: ["off", "result", "batch", "state"].index(kept)])
    if kept == "state":
        case = unpack_dump({name: (folder / name).read_bytes() for name in files})
        fed = slice(BAD_STEP * BATCH, (BAD_STEP + 1) * BATCH)
        np.testing.assert_array_equal(case.batch["0"], x[fed])
        np.testing.assert_array_equal(case.batch["1"], y[fed])
        assert all(np.isfinite(each).all() for each in case.state.values())


def test_a_case_survives_the_disk() -> None:
    bits = np.array([1.5, -2.0], tf.bfloat16.as_numpy_dtype)
    case = StepDump(Rerun(3, True, "eager"), {"numpy": "2"}, {"0": bits}, {"a/b": np.arange(3)})
    read = unpack_dump(pack_dump(case), lambda name: tf.as_dtype(name).as_numpy_dtype)
    assert (read.rerun, read.versions) == (case.rerun, case.versions)
    np.testing.assert_array_equal(read.batch["0"], bits)
    np.testing.assert_array_equal(read.state["a/b"], np.arange(3))
    newer = {"result.json": json.dumps({"version": 2}).encode()}
    with pytest.raises(ValueError, match="version 2 where 1 was expected"):
        unpack_dump(newer)


def test_unknown_ways_to_keep_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'off', 'result', 'batch', 'state', got 'all'"):
        nanwatch.Callback(tmp_path, blackbox="all")


class Normalized(keras.optimizers.SGD):  # type: ignore[misc]
    """Divides a gradient by its largest element."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        largest = tf.reduce_max(tf.abs(gradient))
        self.assign_sub(variable, learning_rate * gradient / largest)  # the update


def constant(x: Any) -> Any:
    return 0 * x


@pytest.mark.parametrize("mode", MODES)
def test_an_update_that_is_at_fault_itself_is_named_where_copies_are_kept(
    tmp_path: Path, mode: str
) -> None:
    models = []
    for callbacks in ([], [nanwatch.Callback(tmp_path, every=1, check_updates=True)]):
        optimizer = Normalized(0.01)
        models.append(compiled(constant, optimizer=optimizer, **MODES[mode]))
        fit(models[-1], *data(), *callbacks)
    rerun = rerun_of(tmp_path)
    operation = rerun.operation
    assert (rerun.step, rerun.reproduced) == (0, True)
    assert operation is not None
    assert (operation.type, operation.direction) == ("RealDiv", "update")
    assert operation.optimizer == "Normalized"
    assert "# the update" in operation.code
    if mode != "xla":
        for mine, theirs in zip(models[1].variables, models[0].variables, strict=True):
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs), err_msg=mine.path)


def test_an_update_of_keras_is_named_by_its_optimizer(tmp_path: Path) -> None:
    adam = keras.optimizers.Adam(0.01, epsilon=0.0)
    callback = nanwatch.Callback(tmp_path, every=1, check_updates=True)
    fit(compiled(constant, optimizer=adam), *data(), callback)
    operation = rerun_of(tmp_path).operation
    assert operation is not None
    assert (operation.type, operation.direction) == ("RealDiv", "update")
    assert (operation.optimizer, operation.file) == ("keras.optimizers.Adam", "")
    (finding, *_) = findings(tmp_path)
    assert finding.cause == "optimizer-overflow"
    assert "`RealDiv` in `keras.optimizers.Adam`, update" in explanation(finding)


def test_of_finite_gradients_nothing_is_run_again_without_copies(tmp_path: Path) -> None:
    adam = keras.optimizers.Adam(0.01, epsilon=0.0)
    fit(compiled(constant, optimizer=adam), *data(), nanwatch.Callback(tmp_path, every=1))
    assert read_recorded(tmp_path / "nanwatch").reruns == []


@pytest.mark.parametrize("mode", MODES)
def test_of_several_updates_the_state_before_the_first_is_kept(tmp_path: Path, mode: str) -> None:
    class Twice(keras.Model):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(name="net")
            self.gate, self.dense = Gate(where_log), keras.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.dense(self.gate(x))

        def train_step(self, batch: Any) -> dict[str, Any]:
            x, y = batch
            for factor in (1.0, 0.0):  # The update that comes first is finite.
                with tf.GradientTape() as tape:
                    loss = self.compute_loss(x, y, self(x + factor, training=True))
                variables = self.trainable_variables
                self.optimizer.apply(tape.gradient(loss, variables), variables)
            return {"loss": loss}

    models = []
    for callbacks in ([], [nanwatch.Callback(tmp_path, every=1, blackbox="state")]):
        keras.utils.set_random_seed(1)
        models.append(Twice())
        models[-1].compile(keras.optimizers.Adam(0.01), "mse", **MODES[mode])
        fit(models[-1], *data(), *callbacks)
    operation = rerun_of(tmp_path).operation
    assert operation is not None
    assert (operation.type, operation.direction, operation.layer) == ("Log", "backward", "gate")
    assert rerun_of(tmp_path).step == BAD_STEP
    folder = tmp_path / "nanwatch" / "blackbox" / f"step-{BAD_STEP:09d}"
    with np.load(folder / "state.npz") as state:
        iterations = [state[name] for name in state.files if name.endswith("iteration")]
    assert iterations == [2 * BAD_STEP]
    if mode != "xla":
        for mine, theirs in zip(models[1].variables, models[0].variables, strict=True):
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(theirs), err_msg=mine.path)


@pytest.mark.parametrize("mode", MODES)
def test_variables_that_no_model_knows_are_put_back_too(tmp_path: Path, mode: str) -> None:
    counters = []
    for callbacks in ([], [nanwatch.Callback(tmp_path, every=1)]):
        counter = tf.Variable(0, trainable=False)

        def counted(x: Any, counter: Any = counter) -> Any:
            counter.assign_add(1)
            return where_log(x)

        fit(compiled(counted, **MODES[mode]), *data(), *callbacks)
        counters.append(int(counter))
    assert rerun_of(tmp_path).step == BAD_STEP
    assert counters == [STEPS, STEPS]


def test_a_batch_above_the_limit_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tb_nanwatch.adapters.keras_common.failing_step.black_box.MAX_DUMP_BYTES", 100
    )
    callback = nanwatch.Callback(tmp_path, every=1, blackbox="batch")
    with pytest.warns(
        nanwatch.NaNWatchWarning, match=r"batch of step 4 is not written .* it takes 448 bytes"
    ):
        fit(compiled(where_log), *data(), callback)
    files = [each.name for each in (tmp_path / "nanwatch" / "blackbox").glob("*/*")]
    assert files == ["result.json"]
    assert rerun_of(tmp_path).operation is not None


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_where_two_record_each_looks_into_the_step(tmp_path: Path, mode: str) -> None:
    plain, watched = compiled(where_log, **MODES[mode]), compiled(where_log, **MODES[mode])
    fit(plain, *data())
    folders = [tmp_path / "one", tmp_path / "two"]
    fit(watched, *data(), *(nanwatch.Callback(each, every=1) for each in folders))
    for folder in folders:
        recorded = read_recorded(folder / "nanwatch")
        assert [(each.step, each.examples) for each in recorded.reruns] == [(BAD_STEP, BAD_ROWS)]
        assert recorded.nonfinite()["gradient", "net/gate/gain"] == BAD_STEP
    assert_same(watched, plain)


def test_rows_of_targets_are_their_own(tmp_path: Path) -> None:
    x, y = data(lambda row: None)
    x[BAD_STEP * BATCH + 3, 2] = np.nan
    y[BAD_STEP * BATCH + 11] = np.nan
    fit(compiled(root), x, y, nanwatch.Callback(tmp_path, every=1))
    found = {each.cause: each.rerun for each in findings(tmp_path) if each.rerun is not None}
    assert {cause: rerun.examples for cause, rerun in found.items()} == {
        "nonfinite-input": (3,),
        "nonfinite-target": (11,),
    }


@pytest.mark.parametrize("mode", ["graph", "eager"])
def test_the_first_operation_that_takes_a_nan_constant_in_is_named(
    tmp_path: Path, mode: str
) -> None:
    with np.errstate(invalid="ignore"):
        table = np.array([1, 1, 1, 1, 1, 0], np.float32) / np.array([1, 1, 1, 1, 1, 0], np.float32)

    def weighted(x: Any) -> Any:
        return tf.square(x) * tf.square(tf.constant(table))  # takes it in

    fit(compiled(weighted, **MODES[mode]), *data(), nanwatch.Callback(tmp_path, every=1))
    operation = rerun_of(tmp_path).operation
    assert operation is not None
    assert (operation.type, operation.layer) == ("Mul", "gate")
    assert "# takes it in" in operation.code
