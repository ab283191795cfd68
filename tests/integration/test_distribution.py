"""Several replicas and several workers: the one with the bad shard is named."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from random_networks import findings
from recorded import Recorded, read_recorded

from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.histogram import bin_code
from tb_nanwatch.stats.record import merge_columns

REPOSITORY = Path(__file__).resolve().parents[2]
GLOBAL_BATCH, BATCHES, FEATURES, BAD_BATCH, BAD_ROW = 8, 4, 3, 2, 5

DATA = f"""
import numpy as np
x = np.random.default_rng(0).normal(size=({GLOBAL_BATCH * BATCHES}, {FEATURES})).astype("float32")
y = np.ones((len(x), 1), "float32")
x[{BAD_BATCH * GLOBAL_BATCH + BAD_ROW}, 1] = np.nan
"""

MIRRORED = """
import sys
import keras
import tensorflow as tf
import tb_nanwatch as nanwatch

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="dense")
    model = keras.Sequential([keras.Input((x.shape[1],)), dense])
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")

def fit(rows, **options):
    watch = nanwatch.Callback(sys.argv[1], every=1, **options)
    model.fit(x[:rows], y[:rows], batch_size=8, shuffle=False, verbose=0, callbacks=[watch])

try:
    fit(8, on_nonfinite="skip")
except ValueError as error:
    assert "one replica" in str(error), error
else:
    raise AssertionError("skip with two replicas")
fit(len(x), watch=["default", "slot", "update", "activation"])
"""

BITS = """
import sys
import keras
import tensorflow as tf
import tb_nanwatch as nanwatch

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
x = np.where(np.isnan(x), 0, np.abs(x) + 0.1).astype("float32")
y = np.abs(x).sum(1, keepdims=True)
make, log_dir, *kinds = sys.argv[1:]
strategy = eval(make)

class Gate(keras.layers.Layer):
    def call(self, x):
        return tf.math.log(x)

class Far(keras.layers.Dense):
    def build(self, shape):
        with tf.device("CPU:1"):
            super().build(shape)

def made():
    keras.utils.set_random_seed(1)
    with strategy.scope():
        layers = [Gate(name="gate"), keras.layers.Dropout(0.2), keras.layers.Dense(4)]
        layers += [keras.layers.BatchNormalization()]
        layers += [Far(1) if kind == "far" else keras.layers.Dense(1)]
        model = keras.Sequential([keras.Input((x.shape[1],)), *layers])
        rmsprop = keras.optimizers.RMSprop(0.01)
        model.compile(rmsprop, "mse", metrics=["mae"], jit_compile=kind == "compiled")
        model.optimizer.build(model.trainable_variables)
    return model

def state(model):
    variables = [*model.variables, *model.metrics_variables, *model.optimizer.variables]
    return [each.numpy() for each in variables]

def fit(watched):
    model = made()
    model.steps_per_execution = 3 if kind == "several" else 1
    callbacks = [nanwatch.Callback(f"{log_dir}/{kind}", blackbox="batch")] if watched else []
    history = model.fit(x, y, batch_size=8, shuffle=False, verbose=0, callbacks=callbacks)
    return [*history.history.values(), *state(model)]

def loop(watched):
    model = made()
    watcher = nanwatch.Watcher(f"{log_dir}/{kind}", every=1) if watched else None

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        model.optimizer.apply(gradients, variables)
        if watched:
            watcher.observe(input=x, loss=loss, gradient=zip(gradients, variables))

    run = tf.function(lambda *batch: strategy.run(step, args=batch))
    run = watcher.step(run) if watched else run
    for first in range(0, len(x), 8):
        run(tf.constant(x[first : first + 8]), tf.constant(y[first : first + 8]))
        if watched:
            watcher.step_end()
    if watched:
        watcher.close()
    return state(model)

for kind in kinds:
    train = loop if kind == "loop" else fit
    for mine, theirs in zip(train(True), train(False), strict=True):
        # What is looked at may round differently under XLA.
        np.testing.assert_allclose(mine, theirs, rtol=1e-4 if kind == "compiled" else 0)
"""

LOOP = """
import sys
import warnings
import keras
import tensorflow as tf
import tb_nanwatch as nanwatch

cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
watcher = nanwatch.Watcher(sys.argv[1], every=1)

def train(watched):
    keras.utils.set_random_seed(1)
    with strategy.scope():
        norm = keras.layers.BatchNormalization()
        model = keras.Sequential([keras.Input((x.shape[1],)), norm, keras.layers.Dense(1)])
        adam = keras.optimizers.Adam(0.1)
        adam.build(model.trainable_variables)

    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2) / 2
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        adam.apply(gradients, variables)
        if watched:
            watcher.observe(input=x, loss=loss, gradient=zip(gradients, variables))

    run = tf.function(lambda *batch: strategy.run(step, args=batch))
    run = watcher.step(run) if watched else run
    dataset = tf.data.Dataset.from_tensor_slices((x, y)).batch(8)
    for batch in strategy.experimental_distribute_dataset(dataset):
        run(*batch)
        if watched:
            watcher.step_end()
    return model.get_weights()

plain = train(False)
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    watched = train(True)
watcher.close()
assert any("not analyzed: it runs in several replicas" in str(each.message) for each in said)
for mine, theirs in zip(watched, plain):
    np.testing.assert_array_equal(mine, theirs)
"""

UNEVEN = """
import sys
import keras
import tensorflow as tf
import tb_nanwatch as nanwatch

log_dir, replicas, every = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
cpu = tf.config.list_physical_devices("CPU")[0]
devices = [tf.config.LogicalDeviceConfiguration()] * replicas
tf.config.set_logical_device_configuration(cpu, devices)
with tf.distribute.MirroredStrategy([f"CPU:{n}" for n in range(replicas)]).scope():
    model = keras.Sequential([keras.Input((x.shape[1],)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
watch = nanwatch.Callback(log_dir, every=every, blackbox="off")
model.fit(x[:27], y[:27], batch_size=12, shuffle=False, verbose=0, callbacks=[watch])
"""

WORKER = """
import sys
import tensorflow as tf
import tb_nanwatch as nanwatch

strategy = tf.distribute.MultiWorkerMirroredStrategy()
watcher = nanwatch.Watcher(sys.argv[1], every=1)
with strategy.scope():
    kernel = tf.Variable(tf.zeros([x.shape[1], 1]), name="dense/kernel")

def batches(context):
    shards = context.num_input_pipelines
    local = 8 // shards
    mine = context.input_pipeline_id
    rows = np.arange(len(x)).reshape(-1, shards, local)[:, mine].reshape(-1)
    return tf.data.Dataset.from_tensor_slices((x[rows], y[rows])).batch(local)

@tf.function
def train_step(batch):
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((x @ kernel - y) ** 2) / strategy.num_replicas_in_sync
        gradient = tape.gradient(loss, kernel)
        context = tf.distribute.get_replica_context()
        total = context.all_reduce("sum", gradient)
        context.merge_call(lambda strategy, total: strategy.extended.update(
            kernel, lambda variable, total: variable.assign_sub(0.1 * total), args=(total,)
        ), args=(total,))
        watcher.observe(input=x, loss=loss, gradient=[(gradient, kernel)], weight=[kernel])
    strategy.run(step, args=batch)

with watcher:
    for batch in strategy.distribute_datasets_from_function(batches):
        train_step(batch)
        watcher.step_end()
"""


ONE = {
    "mirrored": "tf.distribute.MirroredStrategy(['CPU:0'])",
    "workers": "tf.distribute.MultiWorkerMirroredStrategy()",
    "central": "tf.distribute.experimental.CentralStorageStrategy(['CPU:0'])",
    "one": "tf.distribute.OneDeviceStrategy('CPU:1')",
}


@pytest.mark.parametrize("strategy", ONE)
def test_a_training_of_one_device_is_looked_into_and_goes_on_as_without(
    tmp_path: Path, strategy: str
) -> None:
    kinds = ["fit", "several", "loop"]
    if strategy != "one":  # TensorFlow itself compiles no step for a second device.
        kinds.append("compiled")
    finish(start(BITS, ONE[strategy], str(tmp_path), *kinds))
    for kind in kinds:
        (folder,) = tmp_path.glob(f"{kind}/nanwatch*")
        (rerun,) = read_recorded(folder).reruns
        assert rerun.operation is not None
        assert (rerun.step, rerun.operation.type, rerun.examples) == (BAD_BATCH, "Log", (BAD_ROW,))


def test_weights_on_several_devices_are_looked_into_and_go_on_as_without(tmp_path: Path) -> None:
    finish(start(BITS, "tf.distribute.get_strategy()", str(tmp_path), "far"))
    (rerun,) = read_recorded(tmp_path / "far" / "nanwatch").reruns
    assert rerun.operation is not None
    assert (rerun.step, rerun.operation.type, rerun.examples) == (BAD_BATCH, "Log", (BAD_ROW,))


def test_the_step_of_the_replica_that_tripped_is_looked_into(tmp_path: Path) -> None:
    two = "tf.distribute.MirroredStrategy(['CPU:0', 'CPU:1'])"
    finish(start(BITS, two, str(tmp_path), "fit"))
    (finding,) = [each for each in findings(tmp_path / "fit") if each.severity == "error"]
    assert (finding.step, finding.origin.worker) == (BAD_BATCH, "replica-1")
    assert finding.rerun is not None
    operation = finding.rerun.operation
    assert operation is not None
    assert (operation.type, operation.layer) == ("Log", "gate")
    assert finding.rerun.examples == (BAD_ROW - GLOBAL_BATCH // 2,)
    folder = next((tmp_path / "fit" / "nanwatch" / "blackbox").iterdir())
    expected = np.abs(shard(BAD_BATCH, 1)[0]) + 0.1
    np.testing.assert_array_equal(np.load(folder / "batch.npz")["0"], np.nan_to_num(expected))


def start(script: str, *arguments: str, **variables: str) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}
    command = [sys.executable, "-c", textwrap.dedent(DATA + script), *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def finish(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors[-3000:]


def shard(batch: int, number: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows of one of two replicas, as they come: in turn."""
    names: dict[str, Any] = {}
    exec(DATA, names)
    first = batch * GLOBAL_BATCH + number * GLOBAL_BATCH // 2
    rows = slice(first, first + GLOBAL_BATCH // 2)
    return names["x"][rows], names["y"][rows]


def column(found: Recorded, record: int, role: str, replica: str, name: str) -> float:
    manifest = found.manifests[int(found.records[record].field("manifest"))]
    rows = [
        row
        for row, tensor in enumerate(manifest.tensors)
        if (tensor.role, tensor.replica) == (role, replica)
    ]
    return float(found.records[record].columns[rows[0], COLUMN[name]])


def assert_is_of_its_shard(found: Recorded, replica: str, number: int) -> None:
    """Counts and the first step's norm, against NumPy on the rows of that replica."""
    for batch in range(BATCHES):
        x, _ = shard(batch, number)
        assert column(found, batch, "input", replica, "nan") == np.isnan(x).sum()
        assert column(found, batch, "input", replica, "elements") == x.size
    x, y = shard(0, number)
    gradient = 2 * x.T @ (0 - y) / len(x) / 2  # Two replicas share the mean.
    norm = column(found, 0, "gradient", replica, "largest_norm")
    np.testing.assert_allclose(norm, np.linalg.norm(gradient), rtol=1e-5)


def test_replicas_of_a_mirrored_fit_are_recorded_before_their_gradients_are_summed(
    tmp_path: Path,
) -> None:
    finish(start(MIRRORED, str(tmp_path)))
    found = read_recorded(tmp_path / "nanwatch")
    assert found.windows() == [(step, step) for step in range(BATCHES)]
    for number in (0, 1):
        assert_is_of_its_shard(found, f"replica-{number}", number)
    # Row 5 of 8 is the second replica's: its gradient alone is bad, the weight is all replicas'.
    assert column(found, BAD_BATCH, "gradient", "replica-0", "nan") == 0
    assert column(found, BAD_BATCH, "gradient", "replica-1", "nan") == FEATURES
    assert column(found, BAD_BATCH, "activation", "replica-1", "nan") == 1
    assert column(found, BAD_BATCH, "weight", "", "nan") == FEATURES
    tensors = found.manifests[int(found.records[0].field("manifest"))].tensors
    mirrored = {
        (tensor.role, tensor.replica) for tensor in tensors if tensor.role in MIRRORED_ROLES
    }
    assert mirrored == {(role, "") for role in MIRRORED_ROLES}


def test_a_step_function_of_several_replicas_goes_on_as_without(tmp_path: Path) -> None:
    finish(start(LOOP, str(tmp_path)))
    found = read_recorded(tmp_path / "nanwatch")
    assert found.reruns == []
    assert found.windows() == [(step, step) for step in range(BATCHES)]
    assert column(found, BAD_BATCH, "input", "replica-1", "nan") == 1


def test_replicas_of_uneven_batches_merge_to_what_numpy_says_of_all_rows(tmp_path: Path) -> None:
    """27 rows in batches of 12: shares of the last differ. NaN and infinities in a replica each."""
    strange = "x[[3, 14, 25], [0, 1, 2]] = 0, np.inf, -np.inf"
    windows = {2: 16, 4: 1}
    finish(
        *(
            start(strange + UNEVEN, str(tmp_path / str(n)), str(n), str(every))
            for n, every in windows.items()
        )
    )
    names: dict[str, Any] = {}
    exec(DATA + strange, names)
    x = names["x"][:27].astype(float)
    finite = x[np.isfinite(x)]
    expected = {
        **{"elements": x.size, "nan": 1, "pos_inf": 1, "neg_inf": 1, "zero": 1},
        **{"sum_squares": np.sum(finite**2), "sum": finite.sum()},
        **{"min": finite.min(), "max": finite.max(), "sampled_finite": len(finite)},
        **{"first_nonfinite_step": 1, "last_nonfinite_step": 2},
    }
    of_every_step = ("elements", "nan", "pos_inf", "neg_inf", "sum_squares", "first_nonfinite_step")
    for replicas, compared in ((2, of_every_step), (4, tuple(expected))):
        found = read_recorded(tmp_path / str(replicas) / "nanwatch")
        tensors = found.manifests[int(found.records[0].field("manifest"))].tensors
        rows = [row for row, tensor in enumerate(tensors) if tensor.role == "input"]
        for role in ("input", "loss"):
            of_role = [tensor.replica for tensor in tensors if tensor.role == role]
            assert of_role == [f"replica-{number}" for number in range(replicas)]
        of_replica = merge_columns([record.columns[rows] for record in found.records])
        assert len(set(of_replica[:, COLUMN["elements"]])) > 1  # Their shares differ.
        whole = merge_columns(of_replica[:, np.newaxis])[0]
        for name in compared:
            assert whole[COLUMN[name]] == pytest.approx(expected[name], rel=1e-6), (replicas, name)
    counts: Counter[int] = Counter()
    for record in found.records:
        assert record.histograms is not None
        for row in rows:
            codes, of_code = record.histograms.tensor(row)
            counts.update(dict(zip(codes.tolist(), of_code.tolist(), strict=True)))
    nonzero = finite[finite != 0]
    bins = zip(np.sign(nonzero), np.frexp(nonzero)[1] - 1, strict=True)
    assert counts == Counter(bin_code(sign, int(exponent)) for sign, exponent in bins)


MIRRORED_ROLES = ("weight", "slot", "update")


def test_each_of_two_workers_writes_what_it_saw(tmp_path: Path) -> None:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        cluster = {"worker": [f"127.0.0.1:{each.getsockname()[1]}" for each in (one, two)]}
    finish(
        *(
            start(
                WORKER,
                str(tmp_path),
                TF_CONFIG=json.dumps(
                    {"cluster": cluster, "task": {"type": "worker", "index": index}}
                ),
            )
            for index in (0, 1)
        )
    )
    for number in (0, 1):
        found = read_recorded(tmp_path / "nanwatch" / f"worker-{number}")
        assert {manifest.worker for manifest in found.manifests.values()} == {f"worker-{number}"}
        assert_is_of_its_shard(found, "", number)
        assert column(found, BAD_BATCH, "gradient", "", "nan") == FEATURES * number
        assert column(found, BAD_BATCH, "weight", "", "nan") == FEATURES
