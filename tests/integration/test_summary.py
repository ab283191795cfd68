"""`nanwatch.summary` as users call it: eagerly, in functions, and with what it must refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from recorded import Recorded, read_recorded

import tb_nanwatch as nanwatch
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.reference import exponent_histogram, statistics


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[tf.summary.SummaryWriter]:
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        yield writer
    writer.close()


def recorded(writer: tf.summary.SummaryWriter, path: Path) -> Recorded:
    writer.flush()
    return read_recorded(path)


def test_a_tensor_is_recorded_whole(writer: tf.summary.SummaryWriter, tmp_path: Path) -> None:
    values = np.array([[1.5, np.nan, 0.0], [np.inf, -2.0, 1e-40]], "float32")
    assert nanwatch.summary("x", tf.constant(values), step=7, role="activation")
    found = recorded(writer, tmp_path)
    (record,) = found.records
    np.testing.assert_allclose(record.columns[0], statistics(values, 7), rtol=1e-6, equal_nan=True)
    assert record.histograms is not None
    np.testing.assert_array_equal(record.histograms.counts, exponent_histogram(values).counts)
    assert found.windows() == [(7, 7)]
    assert found.names("activation") == ["x"]


@pytest.mark.parametrize("values", [np.zeros(4), np.full(4, 1e30), np.zeros(0)])
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_tensorflows_check_numerics_finds_nothing_of_ours(
    writer: tf.summary.SummaryWriter, tmp_path: Path, mode: str, values: np.ndarray
) -> None:
    def record() -> tf.Tensor:
        return nanwatch.summary("gradients", tf.constant(values, tf.float32), step=0)

    tf.debugging.enable_check_numerics()
    try:
        assert (record if mode == "eager" else tf.function(record))()
    finally:
        tf.debugging.disable_check_numerics()
    assert recorded(writer, tmp_path).series("gradient", "gradients", "elements") == [len(values)]


def test_pairs_take_none_and_slices(writer: tf.summary.SummaryWriter, tmp_path: Path) -> None:
    table = tf.Variable(np.zeros((10, 2), "float32"), name="embedding/table")
    kernel = tf.Variable([1.0, 2.0], name="dense/kernel")
    slices = tf.IndexedSlices(tf.constant([[1.0, np.nan]]), tf.constant([3]))
    pairs = [(slices, table), (None, kernel), (tf.constant([3.0, 4.0]), kernel)]
    assert nanwatch.summary("gradients", zip(*zip(*pairs, strict=True), strict=True), step=0)
    found = recorded(writer, tmp_path)
    assert found.names("gradient") == ["gradients/embedding/table", "gradients/dense/kernel"]
    tensors = next(iter(found.manifests.values())).tensors
    assert [tensor.layer for tensor in tensors] == ["embedding", "dense"]
    assert tensors[0].shape == (10, 2)
    assert found.series("gradient", "gradients/embedding/table", "elements") == [2]
    assert found.series("gradient", "gradients/embedding/table", "nan") == [1]
    assert found.series("gradient", "gradients/dense/kernel", "largest_norm") == [5]


def test_a_mapping_may_nest(writer: tf.summary.SummaryWriter, tmp_path: Path) -> None:
    data = {"a": tf.zeros([2]), "b": {"c": tf.ones([]), "d": [tf.ones([1]), None]}}
    assert nanwatch.summary("state", data, step=1, role="weight", description="all of it")
    found = recorded(writer, tmp_path)
    assert found.names("weight") == ["state/a", "state/b/c", "state/b/d/0"]
    assert next(iter(found.manifests.values())).description == "all of it"


@pytest.mark.parametrize("listed", [list, iter], ids=["list", "iterator"])
def test_a_list_of_tensors_is_numbered(
    writer: tf.summary.SummaryWriter, tmp_path: Path, listed: Callable[[Any], Any]
) -> None:
    assert nanwatch.summary("weights", listed([tf.ones([3]), tf.zeros([2])]), step=1)
    found = recorded(writer, tmp_path)
    assert found.names("weight") == ["weights/0", "weights/1"]
    assert found.series("weight", "weights/1", "zero") == [2]


def test_numbers_are_one_tensor(writer: tf.summary.SummaryWriter, tmp_path: Path) -> None:
    assert nanwatch.summary("gradients", [1.0, -2.0, 0.0], step=1)
    assert recorded(writer, tmp_path).series("gradient", "gradients", "elements") == [3]


def test_a_function_records_each_step_once(
    writer: tf.summary.SummaryWriter, tmp_path: Path
) -> None:
    @tf.function
    def train(x: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        with tf.summary.record_if(lambda: tf.equal(step % 2, 0)):
            return nanwatch.summary("gradients", x, step=step)

    written = [
        bool(train(tf.constant([float(step), np.nan]), tf.constant(step, tf.int64)))
        for step in range(200)
    ]
    assert written == [step % 2 == 0 for step in range(200)]
    found = recorded(writer, tmp_path)
    steps = list(range(0, 200, 2))
    assert found.series("gradient", "gradients", "max") == [float(step) for step in steps]
    assert found.series("gradient", "gradients", "first_nonfinite_step") == steps
    assert [int(record.field("sequence")) for record in found.records] == list(range(100))


def test_the_default_step_and_name_scopes_are_obeyed(
    writer: tf.summary.SummaryWriter, tmp_path: Path
) -> None:
    tf.summary.experimental.set_step(41)
    try:
        with tf.name_scope("encoder"):
            assert nanwatch.summary("gradients", tf.ones([2]))
    finally:
        tf.summary.experimental.set_step(None)
    found = recorded(writer, tmp_path)
    assert found.windows() == [(41, 41)]
    assert found.names("gradient") == ["encoder/gradients"]


def test_without_a_writer_or_tensors_nothing_is_written() -> None:
    assert not nanwatch.summary("gradients", tf.ones([2]))
    assert not nanwatch.summary("gradients", None, step=0)


def test_two_writers_each_have_a_manifest(tmp_path: Path) -> None:
    for name in ("train", "validation"):
        writer = tf.summary.create_file_writer(str(tmp_path / name))
        with writer.as_default():
            nanwatch.summary("gradients", tf.ones([2]), step=0)
            nanwatch.summary("gradients", tf.ones([2]), step=1)
        writer.close()
    for name in ("train", "validation"):
        found = read_recorded(tmp_path / name)
        assert len(found.manifests) == 1
        assert [int(record.field("sequence")) for record in found.records] == [0, 1]


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "a b/c\n\td", "x" * 10_000, "", "日本語 ✓"]
)
def test_any_name_is_recorded(writer: tf.summary.SummaryWriter, tmp_path: Path, name: str) -> None:
    assert nanwatch.summary(name, tf.ones([2]), step=0, role="gradient")
    assert recorded(writer, tmp_path).names("gradient") == [name or "unnamed"]


def test_duplicate_names_are_told_apart(writer: tf.summary.SummaryWriter, tmp_path: Path) -> None:
    variable = tf.Variable([1.0], name="same")
    nanwatch.summary("g", [(tf.ones([1]), variable), (tf.zeros([1]), variable)], step=0)
    found = recorded(writer, tmp_path)
    assert found.names("gradient") == ["g/same", "g/same#2"]
    assert found.series("gradient", "g/same#2", "zero") == [1]


@pytest.mark.parametrize("data", [tf.constant([1, 2]), tf.constant(["text"])])
def test_what_holds_no_nan_is_a_type_error(
    writer: tf.summary.SummaryWriter, data: tf.Tensor
) -> None:
    with pytest.raises(TypeError, match=f"dtype {data.dtype.name}: expected one of float16"):
        nanwatch.summary("gradients", data, step=0)


def test_an_unknown_role_lists_the_known(writer: tf.summary.SummaryWriter) -> None:
    with pytest.raises(ValueError, match=r"Unknown role 'grad'\. Known roles: input, target"):
        nanwatch.summary("x", tf.ones([1]), step=0, role="grad")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("loss", "loss"),
        ("losses", "loss"),
        ("critic_loss", "loss"),
        ("critic/total-loss", "loss"),
        ("Loss/policy", "loss"),
        ("gradients/critic_loss", "gradient"),
        ("encoder/activations", "activation"),
        ("activation_gradient", "activation_gradient"),
    ],
)
def test_the_name_says_what_it_is(
    writer: tf.summary.SummaryWriter, tmp_path: Path, name: str, role: str
) -> None:
    assert nanwatch.summary(name, tf.constant(1.5), step=0)
    assert recorded(writer, tmp_path).names(role) == [name]


@pytest.mark.parametrize("name", ["policy", "gradient_penalty", "loss_scale", "x", ""])
def test_a_name_that_says_nothing_is_asked_for_a_role_once(
    writer: tf.summary.SummaryWriter,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tb_nanwatch.adapters.tensorflow.summary._asked", set())
    with pytest.warns(nanwatch.NaNWatchWarning, match=r"as activations\. Pass role="):
        nanwatch.summary(name, tf.ones([2]), step=0)
    assert nanwatch.summary(name, tf.ones([2]), step=1)  # A second warning would be an error.
    assert recorded(writer, tmp_path).names("activation") == [name or "unnamed"]


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("sign", [1, -1])
def test_extremes_may_be_subnormal(
    writer: tf.summary.SummaryWriter, tmp_path: Path, mode: str, dtype: str, sign: int
) -> None:
    """A function of a graph runs in a thread in which arithmetic makes them zero."""
    bits = np.array([3, 9], {"float64": "u8", "float32": "u4"}.get(dtype, "u2"))
    values = sign * bits.view(tf.dtypes.as_dtype(dtype).as_numpy_dtype)

    def record(step: tf.Tensor) -> tf.Tensor:
        return nanwatch.summary("weights", tf.constant(values), step=step)

    assert (record if mode == "eager" else tf.function(record))(tf.constant(0, tf.int64))
    found = recorded(writer, tmp_path)
    smallest, largest = sorted(float(value) for value in values)
    assert found.series("weight", "weights", "min") == [smallest] != [0.0]
    assert found.series("weight", "weights", "max") == [largest] != [0.0]


def test_a_missing_step_says_what_to_do(writer: tf.summary.SummaryWriter) -> None:
    with pytest.raises(ValueError, match=r"no step\. Pass step="):
        nanwatch.summary("gradients", tf.ones([1]))


def test_under_xla_the_error_names_the_watcher(writer: tf.summary.SummaryWriter) -> None:
    @tf.function(jit_compile=True)
    def train(x: tf.Tensor) -> tf.Tensor:
        nanwatch.summary("gradients", x, step=0)
        return x

    with pytest.raises(RuntimeError, match=r"nanwatch\.Watcher"):
        train(tf.ones([2]))


def test_gradients_of_a_real_loop_match_numpy(
    writer: tf.summary.SummaryWriter, tmp_path: Path
) -> None:
    kernel = tf.Variable(np.linspace(-1, 1, 12).reshape(4, 3), dtype=tf.float32, name="kernel")
    x = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")

    @tf.function
    def train(x: tf.Tensor, step: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(tf.matmul(x, kernel) ** 2)
        gradients = tape.gradient(loss, [kernel])
        nanwatch.summary("g", zip(gradients, [kernel], strict=True), step=step)

    train(tf.constant(x), tf.constant(0, tf.int64))
    gradient = 2 * x.T @ (x @ kernel.numpy())
    record = recorded(writer, tmp_path).records[0]
    np.testing.assert_allclose(
        record.columns[0, COLUMN["largest_norm"]], np.linalg.norm(gradient), rtol=1e-5
    )
    np.testing.assert_allclose(record.columns[0, COLUMN["min"]], gradient.min(), rtol=1e-5)
