"""`nanwatch.Callback` in real trainings, checked against the same training done by hand."""

from __future__ import annotations

from itertools import pairwise
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

modes = pytest.mark.parametrize("mode", MODES)


def data(steps: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return (
        rng.normal(size=(steps * BATCH, 6)).astype("float32"),
        rng.normal(size=(steps * BATCH, 1)).astype("float32"),
    )


def linear(mode: str, optimizer: Any = None) -> keras.Model:
    """A model whose training NumPy can do as well."""
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(1, name="out")])
    model.compile(optimizer or keras.optimizers.SGD(0.05), "mse", **MODES[mode])
    model.layers[0].set_weights([np.linspace(-1, 1, 6).reshape(6, 1), np.zeros(1)])
    return model


def relu(mode: str, **compiled: Any) -> keras.Model:
    keras.utils.set_random_seed(1)
    layers = [
        keras.layers.Dense(16, "relu", name="hidden"),
        keras.layers.BatchNormalization(name="norm"),
        keras.layers.Dropout(0.1),
        keras.layers.Dense(1, name="out"),
    ]
    model = keras.Sequential([keras.Input((6,)), *layers], name="net")
    model.compile("adam", "mse", **{**MODES[mode], **compiled})
    return model


def fit(
    model: keras.Model, x: Any, y: Any, *callbacks: keras.callbacks.Callback, **options: Any
) -> Any:
    return model.fit(
        x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=list(callbacks), **options
    )


def path(model: keras.Model, variable: str) -> str:
    return next(each.path for each in model.weights if each.path.endswith(variable))


@modes
def test_each_step_matches_a_training_done_in_numpy(tmp_path: Path, mode: str) -> None:
    x, y = data(6)
    model = linear(mode)
    fit(model, x, y, nanwatch.Callback(tmp_path, every=1))

    kernel, bias = np.linspace(-1, 1, 6).reshape(6, 1), np.zeros(1)
    truth: dict[str, list[float]] = {"loss": [], "gradient": [], "weight": [], "prediction": []}
    for step in range(6):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        prediction = x[rows] @ kernel + bias
        error = prediction - y[rows]
        gradient = 2 * x[rows].T @ error / BATCH
        kernel, bias = kernel - 0.05 * gradient, bias - 0.05 * 2 * error.mean(0)
        truth["prediction"].append(float(np.linalg.norm(prediction)))
        truth["loss"].append(float((error**2).mean()))
        truth["gradient"].append(float(np.linalg.norm(gradient)))
        truth["weight"].append(float(np.linalg.norm(kernel)))

    found = read_recorded(tmp_path / "nanwatch")
    assert found.windows() == [(step, step) for step in range(6)]
    names = {"loss": "loss", "prediction": "prediction"}
    for role, norms in truth.items():
        name = names.get(role) or path(model, "out/kernel")
        np.testing.assert_allclose(found.series(role, name, "largest_norm"), norms, rtol=1e-4)
    np.testing.assert_allclose(
        found.series("input", "input", "sum"), x.reshape(6, -1).sum(1), rtol=1e-3
    )
    assert found.series("target", "target", "elements") == [BATCH] * 6
    (initial,) = found.initial
    row = found.row(initial, "weight", path(model, "out/kernel"))
    np.testing.assert_allclose(initial.columns[row][-3:], [-1, 1, 0], atol=1e-6)
    tensors = found.manifests[int(found.records[0].field("manifest"))].tensors
    assert {tensor.layer for tensor in tensors if tensor.role == "gradient"} == {"out"}


@modes
@pytest.mark.parametrize("bad_step", [0, 5])
def test_the_first_nonfinite_step_is_exact(tmp_path: Path, mode: str, bad_step: int) -> None:
    x, y = data(40)
    x[bad_step * BATCH + 3, 2] = np.nan
    model = relu(mode)
    fit(model, x, y, nanwatch.Callback(tmp_path))
    first = read_recorded(tmp_path / "nanwatch").nonfinite()
    assert first["input", "input"] == bad_step
    assert first["gradient", path(model, "hidden/kernel")] == bad_step
    assert first["weight", path(model, "hidden/kernel")] == bad_step
    assert min(first.values()) == bad_step
    assert ("target", "target") not in first


@modes
def test_counts_are_exact_over_every_step_of_a_window(tmp_path: Path, mode: str) -> None:
    x, y = data(32)
    bad = {3: 2, 9: 1, 10: 4}
    for step, count in bad.items():
        y[step * BATCH : step * BATCH + count] = np.inf
    model = linear(mode, keras.optimizers.SGD(0.0))  # 0 * inf: weights go NaN at step 3
    fit(model, x, y, nanwatch.Callback(tmp_path, every=16))
    found = read_recorded(tmp_path / "nanwatch")
    assert sum(found.series("target", "target", "pos_inf")) == 7
    assert sum(found.series("target", "target", "nonfinite_steps")) == 3
    assert sum(found.series("target", "target", "steps")) == 32


def test_a_change_is_on_disk_before_the_next_step(tmp_path: Path) -> None:
    x, y = data(12)
    x[4 * BATCH, 0] = np.inf
    seen: dict[int, dict[tuple[str, str], int]] = {}

    class Look(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            seen[batch] = read_recorded(tmp_path / "nanwatch").nonfinite()

    # In the list before and after ours: a record is there whatever comes between two steps.
    fit(linear("graph"), x, y, Look(), nanwatch.Callback(tmp_path, every=1000))
    assert seen[4] == {}
    assert seen[5]["input", "input"] == 4


def test_a_recovery_is_recorded_and_the_run_goes_on_in_windows(tmp_path: Path) -> None:
    x, y = data(60)
    x[20 * BATCH, 0] = np.nan
    fit(linear("graph", keras.optimizers.SGD(1e-3)), x, y, nanwatch.Callback(tmp_path, every=16))
    found = read_recorded(tmp_path / "nanwatch")
    # A full window, the change at 20, three more early steps, then windows as before.
    assert found.windows()[:6] == [(0, 15), (16, 20), (21, 21), (22, 22), (23, 23), (24, 39)]
    assert found.series("input", "input", "nan")[:3] == [0, 1, 0]


def test_steps_per_execution_keeps_the_exact_step(tmp_path: Path) -> None:
    x, y = data(20)
    x[7 * BATCH, 0] = np.nan
    fit(relu("graph", steps_per_execution=6), x, y, nanwatch.Callback(tmp_path))
    found = read_recorded(tmp_path / "nanwatch")
    assert found.nonfinite()["input", "input"] == 7
    assert found.windows()[-1][1] == 19
    assert sum(found.series("input", "input", "steps")) == 20


def test_steps_go_on_over_fits_and_begin_at_the_optimizers(tmp_path: Path) -> None:
    x, y = data(10)
    model = relu("graph")
    fit(model, x, y)
    callback = nanwatch.Callback(tmp_path)
    fit(model, x, y, callback)
    fit(model, x, y, callback, initial_epoch=1, epochs=2)
    windows = read_recorded(tmp_path / "nanwatch").windows()
    assert windows[0][0] == 10
    assert windows[-1][1] == 29
    assert all(this[0] == before[1] + 1 for before, this in pairwise(windows))


def test_a_short_training_has_histograms(tmp_path: Path) -> None:
    x, y = data(3)
    callback = nanwatch.Callback(tmp_path, every=100)
    for _ in range(2):
        fit(relu("graph"), x, y, nanwatch.Callback(tmp_path, every=100))
    fit(relu("graph"), x, y, callback)
    for record in read_recorded(tmp_path / "nanwatch").records:
        assert record.histograms is not None


def test_a_million_steps_fit_a_small_budget(tmp_path: Path) -> None:
    x, y = data(1)
    training = tf.data.Dataset.from_tensors((x, y)).repeat(20_000)
    model = linear("graph")
    model.compile("sgd", "mse", steps_per_execution=500)
    model.fit(
        training,
        shuffle=False,
        verbose=0,
        callbacks=[nanwatch.Callback(tmp_path, max_bytes=20_000, every=1)],
    )
    (file,) = (tmp_path / "nanwatch").iterdir()
    assert file.stat().st_size < 25_000
    assert read_recorded(tmp_path / "nanwatch").windows()[-1][1] == 19_999


@modes
def test_a_refused_step_is_marked_and_no_policy_reacts(tmp_path: Path, mode: str) -> None:
    x, y = data(30)
    model = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dense(4, dtype="mixed_float16", name="half")]
    )
    inner = keras.optimizers.SGD(1e-3)
    model.compile(
        keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**26), "mse", **MODES[mode]
    )
    fit(model, x, y, nanwatch.Callback(tmp_path, on_nonfinite="raise", every=10))
    found = read_recorded(tmp_path / "nanwatch")
    refused = sum(record.field("scale_skipped_steps") for record in found.records)
    assert refused == 30 - int(model.optimizer.iterations) > 0
    assert found.nonfinite() == {}
    kernel = path(model, "half/kernel")
    assert sum(found.series("gradient", kernel, "scale_skipped_steps")) == refused
    assert found.records[-1].field("loss_scale") == float(model.optimizer.dynamic_scale)
    # Unscaled: of the size that a gradient has without a loss scale.
    assert found.series("gradient", kernel, "largest_norm")[-1] < 100


def test_stop_ends_the_training_after_the_step(tmp_path: Path, capsys: Any) -> None:
    x, y = data(20)
    y[6 * BATCH] = np.nan
    model = linear("graph")
    fit(model, x, y, nanwatch.Callback(tmp_path, on_nonfinite="stop"), epochs=3)
    assert int(model.optimizer.iterations) == 7
    said = capsys.readouterr().out
    # On a slow machine the re-run shows its progress, too.
    assert said.count("NaNWatch: ") - said.count("operations so far") == 1
    assert "NaN in the targets at step 6" in said
    assert "1 NaN" in said


def test_what_goes_wrong_is_said_at_once_and_once(tmp_path: Path, capsys: Any) -> None:
    said: list[str] = []

    class Listen(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            said.append(capsys.readouterr().out)

    x, y = data(20)
    x[6 * BATCH] = np.nan
    fit(relu("graph"), x, y, nanwatch.Callback(tmp_path), Listen(), epochs=2)
    assert [step for step, text in enumerate(said) if "NaNWatch" in text] == [6]
    assert "NaN in the input data at step 6" in said[6]
    assert str(tmp_path) in said[6]


def test_a_healthy_training_says_nothing(tmp_path: Path, capsys: Any) -> None:
    fit(relu("graph"), *data(20), nanwatch.Callback(tmp_path), epochs=2)
    assert capsys.readouterr().out == ""


def test_a_rule_that_fails_is_one_warning_and_the_recording_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(history: Any) -> Any:
        raise ZeroDivisionError("a rule")

    monkeypatch.setattr("tb_nanwatch.training.live_diagnosis.diagnose", fail)
    x, y = data(5)
    x[0] = np.nan
    with pytest.warns(nanwatch.NaNWatchWarning, match="could not diagnose .*a rule"):
        fit(linear("graph"), x, y, nanwatch.Callback(tmp_path))
    assert read_recorded(tmp_path / "nanwatch").windows()[-1][1] == 4


def test_raise_says_what_where_and_when(tmp_path: Path) -> None:
    x, y = data(20)
    x[6 * BATCH, :2] = np.inf
    model = linear("graph")
    expected = r"\+Inf in the input data at step 6 .*\n.* contains 2 \+Inf"
    with pytest.raises(FloatingPointError, match=expected):
        fit(model, x, y, nanwatch.Callback(tmp_path, on_nonfinite="raise"))
    assert read_recorded(tmp_path / "nanwatch").nonfinite()["input", "input"] == 6


def test_a_policy_reacts_again_in_the_next_fit(tmp_path: Path) -> None:
    x, y = data(5)
    y[0] = np.nan
    model = linear("graph")
    callback = nanwatch.Callback(tmp_path, on_nonfinite="stop")
    fit(model, x, y, callback)
    fit(model, *data(5), callback)
    assert int(model.optimizer.iterations) == 2


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("graph", {}),
        ("graph", {"watch": "all"}),
        ("eager", {"watch": "all"}),
    ],
)
def test_training_is_bit_for_bit_what_it_is_without(
    tmp_path: Path, mode: str, options: dict[str, Any]
) -> None:
    _, y = data(12)
    x = np.random.default_rng(0).normal(size=(len(y), 4, 4, 6)).astype("float32")

    def train(*callbacks: keras.callbacks.Callback) -> list[np.ndarray]:
        keras.utils.set_random_seed(1)
        layers = keras.layers
        inputs = keras.Input((4, 4, 6))
        hidden = layers.BatchNormalization()(layers.Conv2D(6, 1, activation="relu")(inputs))
        # Ends in an addition, as this does: grappler makes one of the two, if nobody looks.
        block = layers.BatchNormalization()(layers.Conv2D(6, 1)(hidden))
        hidden = layers.Dropout(0.1)(layers.Add()([hidden, block]))
        model = keras.Model(inputs, layers.Dense(1)(layers.GlobalAveragePooling2D()(hidden)))
        model.compile("adam", "mse", **MODES[mode])
        history = fit(model, x, y, *callbacks, epochs=2)
        variables = [*model.variables, *model.optimizer.variables]
        paths.append([each.path.partition("/")[2] for each in model.optimizer.variables])
        return [np.array(history.history["loss"]), *(each.numpy() for each in variables)]

    paths: list[list[str]] = []
    plain, watched = train(), train(nanwatch.Callback(tmp_path, every=3, **options))
    for before, after in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(before, after)
    assert [path.count("/") for path in paths[0]] == [path.count("/") for path in paths[1]]


def test_inputs_of_any_structure(tmp_path: Path) -> None:
    number = keras.Input((3,), name="number")
    word = keras.Input((4,), dtype="int32", name="word")
    embedded = keras.layers.Flatten()(keras.layers.Embedding(10, 5, name="table")(word))
    out = keras.layers.Dense(2, name="out")(keras.layers.Concatenate()([number, embedded]))
    model = keras.Model({"number": number, "word": word}, {"out": out})
    model.compile("sgd", "mse")
    rng = np.random.default_rng(0)
    x = {"number": rng.normal(size=(20, 3)), "word": rng.integers(0, 10, (20, 4))}
    model.fit(
        x,
        {"out": rng.normal(size=(20, 2))},
        batch_size=8,
        verbose=0,
        epochs=2,
        callbacks=[nanwatch.Callback(tmp_path)],
    )
    found = read_recorded(tmp_path / "nanwatch")
    assert found.names("input") == ["input/number", "input/word"]
    assert found.names("prediction") == ["prediction/out"]
    # Of a sparse gradient its values: 8 rows of 4 words, each of 5 numbers; 4 rows in a last batch.
    table = found.series("gradient", "table/embeddings", "elements")
    assert sum(table) == 2 * 20 * 4 * 5


def test_a_subclassed_model_with_its_own_train_step(tmp_path: Path) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.inner = keras.layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.inner(x)

        def train_step(self, batch: Any) -> Any:
            x, y = batch
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((self(x, training=True) - y) ** 2)
            gradients = tape.gradient(loss, self.trainable_variables)
            pairs = zip(gradients, self.trainable_variables, strict=True)
            self.optimizer.apply_gradients(pairs)
            return {"loss": loss}

    x, y = data(10)
    x[3 * BATCH] = np.nan
    model = Own()
    model.compile("sgd")
    fit(model, x, y, nanwatch.Callback(tmp_path))
    found = read_recorded(tmp_path / "nanwatch")
    assert found.nonfinite()["input", "input/0"] == 3
    assert len(found.names("gradient")) == 2


def test_a_train_step_that_hides_its_gradients_is_recorded_without(tmp_path: Path) -> None:
    class Own(keras.Sequential):
        @tf.function
        def update(self, x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, y, self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_variables)
            pairs = zip(gradients, self.trainable_variables, strict=True)
            self.optimizer.apply_gradients(pairs)
            return loss

        def train_step(self, data: Any) -> Any:
            x, y, _, _ = data
            return {"loss": self.update(x, y)}

    x, y = data(10)
    x[3 * BATCH] = np.nan
    model = Own([keras.Input((6,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    batches = tf.data.Dataset.from_tensor_slices((x, y, y, y)).batch(BATCH)
    with (
        pytest.warns(nanwatch.NaNWatchWarning, match="no prediction, loss or gradient found"),
        pytest.warns(
            nanwatch.NaNWatchWarning,
            match="not analyzed: it updates weights inside",
        ),
    ):
        model.fit(batches, shuffle=False, verbose=0, callbacks=[nanwatch.Callback(tmp_path)])
    found = read_recorded(tmp_path / "nanwatch")
    assert found.nonfinite()["input", "input/0"] == 3
    assert found.nonfinite()["weight", path(model, "kernel")] == 3
    assert sum(found.series("input", "input/1", "steps")) == 10


def test_a_compile_with_other_metrics_is_a_new_trace(tmp_path: Path) -> None:
    x, y = data(4)
    model = linear("graph")
    optimizer = model.optimizer
    callback = nanwatch.Callback(tmp_path)
    fit(model, x, y, callback)
    model.compile(optimizer, "mse", metrics=["mae"])
    assert "mae" in fit(model, x, y, callback).history
    assert read_recorded(tmp_path / "nanwatch").windows()[-1][1] == 7


def test_a_callback_that_raises_before_ours_loses_no_step(tmp_path: Path) -> None:
    class Raise(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if batch == 4:
                raise KeyError("seen it")

    x, y = data(10)
    y[4 * BATCH] = np.nan
    with pytest.raises(KeyError):
        fit(linear("graph"), x, y, Raise(), nanwatch.Callback(tmp_path))
    assert read_recorded(tmp_path / "nanwatch").nonfinite()["target", "target"] == 4


def test_another_callbacks_training_does_not_end_the_recording(tmp_path: Path) -> None:
    x, y = data(4)

    class Nested(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.model.train_on_batch(x[:BATCH], y[:BATCH])

    fit(linear("graph"), x, y, Nested(), nanwatch.Callback(tmp_path), epochs=3)
    found = read_recorded(tmp_path / "nanwatch")
    assert sum(found.series("loss", "loss", "steps")) == 12


def test_micro_batches_are_steps(tmp_path: Path) -> None:
    x, y = data(8)
    model = linear("graph", keras.optimizers.SGD(0.1, gradient_accumulation_steps=4))
    for _ in range(2):
        fit(model, x, y, nanwatch.Callback(tmp_path))
    assert read_recorded(tmp_path / "nanwatch").windows()[-1][1] == 15


@pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)  # Keras's, on HDF5
def test_a_restored_training_goes_on_where_it_was(tmp_path: Path) -> None:
    x, y = data(4)

    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            if epoch == 2:
                raise KeyboardInterrupt

    def train(*more: keras.callbacks.Callback) -> None:
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        fit(linear("graph"), x, y, nanwatch.Callback(tmp_path), backup, *more, epochs=3)

    with pytest.raises(KeyboardInterrupt):
        train(Stop())
    train()
    steps = [step for window in read_recorded(tmp_path / "nanwatch").windows() for step in window]
    assert steps == sorted(steps)
    assert steps[-1] == 11


def test_a_layer_is_named_whole_whatever_the_model_is_called(tmp_path: Path) -> None:
    layers = [keras.layers.Dense(2, name="encoder"), keras.layers.Dense(1, name="enc2")]
    model = keras.Sequential([keras.Input((6,)), *layers], name="enc")
    model.compile("sgd", "mse")
    fit(model, *data(1), nanwatch.Callback(tmp_path))
    manifest = next(iter(read_recorded(tmp_path / "nanwatch").manifests.values()))
    assert {tensor.layer for tensor in manifest.tensors} == {"encoder", "enc2"}


def test_sample_weights_are_watched(tmp_path: Path) -> None:
    x, y = data(4)
    weights = np.ones(len(x), "float32")
    weights[BATCH] = np.nan
    fit(linear("graph"), x, y, nanwatch.Callback(tmp_path), sample_weight=weights)
    assert read_recorded(tmp_path / "nanwatch").nonfinite()["target", "sample_weight"] == 1


def test_layers_made_trainable_between_two_fits(tmp_path: Path) -> None:
    x, y = data(4)
    model = relu("graph")
    model.get_layer("hidden").trainable = False
    model.compile("sgd", "mse")
    callback = nanwatch.Callback(tmp_path)
    fit(model, x, y, callback)
    model.get_layer("hidden").trainable = True
    model.compile("sgd", "mse")
    fit(model, x, y, callback)
    found = read_recorded(tmp_path / "nanwatch")
    hidden = path(model, "hidden/kernel")
    manifests = [found.manifests[int(record.field("manifest"))] for record in found.records]
    watched = [
        hidden in [t.name for t in each.tensors if t.role == "gradient"] for each in manifests
    ]
    assert watched[0] is False
    assert watched[-1] is True
    assert found.windows()[-1][1] == 7


def test_the_trace_is_made_once_however_often_fit_is_called(tmp_path: Path) -> None:
    traces = 0

    class Counting(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            nonlocal traces
            traces += 1
            return x

    x, y = data(3)
    model = keras.Sequential([keras.Input((6,)), Counting(), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    callback = nanwatch.Callback(tmp_path, watch="all")
    fit(model, x, y, callback)
    after_first = traces
    for _ in range(3):
        fit(model, x, y, callback)
    assert traces == after_first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"watch": ["gradient", "logits"]}, "Unknown role .logits. in watch=.* Known roles: in"),
        (
            {"on_nonfinite": "explode"},
            "Unknown policy .*'explode'. Known policies: record, skip, stop",
        ),
        ({"every": 0}, 'every="auto" or a number'),
    ],
)
def test_bad_arguments_list_the_known(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nanwatch.Callback("logs", **arguments)


def test_only_the_watched_roles_are_recorded(tmp_path: Path) -> None:
    fit(linear("graph"), *data(2), nanwatch.Callback(tmp_path, watch=["gradient"]))
    found = read_recorded(tmp_path / "nanwatch")
    assert {t.role for m in found.manifests.values() for t in m.tensors} == {"gradient"}


def test_a_log_dir_that_cannot_be_written_is_one_warning(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    model = linear("graph")
    with pytest.warns(
        nanwatch.NaNWatchWarning, match="cannot write to .*Training goes on"
    ) as warned:
        fit(model, *data(40), nanwatch.Callback(tmp_path / "file" / "logs", every=1))
    assert len([each for each in warned if "NaNWatch" in str(each.message)]) == 1
    assert int(model.optimizer.iterations) == 40


def test_a_directory_that_goes_away_is_one_warning_and_no_step_is_lost(tmp_path: Path) -> None:
    log_dir = tmp_path / "logs"

    class Remove(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            if batch == 5:
                for file in (log_dir / "nanwatch").iterdir():
                    file.unlink()

    model = linear("graph")
    with pytest.warns(nanwatch.NaNWatchWarning, match="cannot write to"):
        fit(model, *data(40), nanwatch.Callback(log_dir, every=1), Remove())
    found = read_recorded(log_dir / "nanwatch")
    # The file with steps 0 to 4 is gone; all that comes later is in a new one.
    assert found.windows()[0][0] == 5
    assert found.windows()[-1][1] == 39
    assert sum(found.series("loss", "loss", "steps")) == 35


def test_trouble_of_our_own_ends_the_recording_not_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise AttributeError("a Keras of the year 2030")

    monkeypatch.setattr(
        "tb_nanwatch.adapters.keras_common.instrument.step_tensors.StepTensors.add_loss", broken
    )
    model, callback = linear("graph"), nanwatch.Callback(tmp_path)
    with pytest.warns(
        nanwatch.NaNWatchWarning, match="could not record a loss.*Training continues"
    ) as warned:
        fit(model, *data(10), callback)
    assert len([each for each in warned if "NaNWatch" in str(each.message)]) == 1
    assert int(model.optimizer.iterations) == 10
    assert read_recorded(tmp_path / "nanwatch").records == []
    monkeypatch.undo()
    fit(model, *data(10), callback)
    assert sum(read_recorded(tmp_path / "nanwatch").series("loss", "loss", "steps")) == 10


@pytest.mark.parametrize("mode", ["graph", "eager"])  # XLA does not know its operation.
def test_tensorflows_check_numerics_finds_nothing_of_ours(tmp_path: Path, mode: str) -> None:
    x, y = data(6)
    x *= 1e25  # Finite, and the square of it is not.
    layers = [keras.layers.Rescaling(1e-25), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((6,)), *layers])
    model.compile("sgd", "mse", **MODES[mode])
    tf.debugging.enable_check_numerics()
    try:
        fit(model, x, y, nanwatch.Callback(tmp_path, every=2, watch=["default", "slot"]))
    finally:
        tf.debugging.disable_check_numerics()
    found = read_recorded(tmp_path / "nanwatch")
    assert found.windows() == [(0, 1), (2, 3), (4, 5)]
    assert found.nonfinite() == {}
    expected = np.linalg.norm(x.astype(np.float64).reshape(6, -1), axis=1)
    largest = found.series("input", "input", "largest_norm")
    np.testing.assert_allclose(largest, expected.reshape(3, 2).max(axis=1), rtol=1e-6)
