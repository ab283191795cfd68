"""Tensors in blocks, as XLA gets them, against the NumPy reference."""

from __future__ import annotations

import re

import numpy as np
import pytest
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.statistics import blocks, kernels
from tb_nanwatch.adapters.tensorflow.statistics.accumulator import Accumulator
from tb_nanwatch.adapters.tensorflow.statistics.device_state import DeviceStepState, LossScale
from tb_nanwatch.adapters.tensorflow.statistics.finite import all_finite
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.reference import exponent_histogram, statistics

RNG = np.random.default_rng(11)
EXACT = (
    *("steps", "elements", "nan", "pos_inf", "neg_inf", "nonfinite_steps"),
    *("sampled_elements", "sampled_finite", "zero", "subnormal", "min", "max"),
)


def values(dtype: str, *shape: int) -> np.ndarray:
    """Of many magnitudes, with zeros of both signs and a subnormal number."""
    array = RNG.normal(size=shape) * 2.0 ** RNG.integers(-12, 12, size=shape)
    array = np.asarray(array).astype(tf.as_dtype(dtype).as_numpy_dtype)
    array.flat[:: max(1, array.size // 5)] = -0.0
    if array.size > 2:
        array.flat[2] = np.finfo("float32").tiny / 4 if dtype == "float32" else 6e-8
    return array


def assert_as_the_reference(
    accumulator: Accumulator, step_state: DeviceStepState, arrays: list
) -> None:
    columns, histograms = accumulator.read_and_reset(step_state.counters())
    assert histograms is not None
    for row, array in enumerate(arrays):
        expected = statistics(array)
        for name in EXACT:
            np.testing.assert_array_equal(columns[row, COLUMN[name]], expected[COLUMN[name]], name)
        norm = expected[COLUMN["largest_norm"]]
        np.testing.assert_allclose(columns[row, COLUMN["largest_norm"]], norm, rtol=2e-6)
        np.testing.assert_allclose(
            columns[row, COLUMN["sum"]], expected[COLUMN["sum"]], rtol=1e-6, atol=1e-6 * norm
        )
        got, reference = histograms.tensor(row), exponent_histogram(array)
        np.testing.assert_array_equal(got[0], reference.codes)
        np.testing.assert_array_equal(got[1], reference.counts)


def accumulator_of(
    step_state: DeviceStepState, arrays: list, scaled: list[bool] | None = None
) -> Accumulator:
    none = [False] * len(arrays)
    return Accumulator(
        step_state, [tf.as_dtype(each.dtype) for each in arrays], scaled or none, none
    )


@pytest.mark.parametrize("is_finite", [True, False])
def test_sizes_around_a_block_and_a_fold_match_the_reference(is_finite: bool) -> None:
    sizes = (0, 1, 127, 128, 129, 255, 4095, 4096, 4097, 4351, 4352, 70_001)
    arrays = [values(dtype, size) for size in sizes for dtype in ("float32", "bfloat16", "float16")]
    if not is_finite:
        for array, bad in zip(arrays[3::4], [np.nan, np.inf, -np.inf] * 9, strict=False):
            array[-1] = bad  # In a block that is not full: next to what is no element.
    step_state = DeviceStepState()
    accumulator = accumulator_of(step_state, arrays)
    add = tf.function(lambda *tensors: accumulator.add(tensors), jit_compile=True, autograph=False)
    add(*map(tf.constant, arrays))
    assert_as_the_reference(accumulator, step_state, arrays)


def test_longer_blocks_and_tensors_apart_match_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blocks, "_MAX_BLOCKS", 16)
    monkeypatch.setattr(kernels, "_MAX_BLOCKED", 10_000)
    arrays = [
        values("float32", *shape) for shape in [(9000,), (30,), (120, 100), (700,), (10_001,)]
    ]
    arrays[0][8999] = np.nan
    arrays[2][5, 5] = np.inf
    step_state = DeviceStepState()
    accumulator = accumulator_of(step_state, arrays)
    add = tf.function(lambda *tensors: accumulator.add(tensors), jit_compile=True, autograph=False)
    add(*map(tf.constant, arrays))
    assert_as_the_reference(accumulator, step_state, arrays)


def test_sizes_that_the_trace_does_not_know_match_the_reference() -> None:
    arrays = [values("float32", 50, 3), values("float32", 50), values("float16", 50)]
    arrays[1][4] = np.nan
    step_state = DeviceStepState()
    accumulator = accumulator_of(step_state, arrays)
    signature = [
        tf.TensorSpec([None, 3], tf.float32),
        tf.TensorSpec([50], tf.float32),
        tf.TensorSpec([None], tf.float16),
    ]

    @tf.function(jit_compile=True, autograph=False, input_signature=signature)
    def add(*tensors: tf.Tensor) -> None:
        accumulator.add(tensors)

    add(*map(tf.constant, arrays))
    assert_as_the_reference(accumulator, step_state, arrays)


def test_only_scaled_tensors_are_unscaled() -> None:
    gradient, weight = values("float32", 300), values("float32", 300)
    step_state = DeviceStepState()
    accumulator = accumulator_of(step_state, [gradient, weight], [True, False])

    @tf.function(jit_compile=True, autograph=False)
    def add(scaled: tf.Tensor, other: tf.Tensor) -> None:
        accumulator.add([scaled, other], LossScale(tf.constant(0.5), dynamic=False))

    add(tf.constant(gradient / 2), tf.constant(weight))
    columns, histograms = accumulator.read_and_reset(step_state.counters())
    assert histograms is not None
    assert columns[0, COLUMN["max"]] == gradient.max()
    # The weight's subnormal number is still there.
    assert columns[1, COLUMN["subnormal"]] == 1
    np.testing.assert_array_equal(histograms.tensor(1)[1], exponent_histogram(weight).counts)


def test_a_sum_of_many_squares_is_exact_to_float32() -> None:
    # One after another in float32, the sum of 4 million ones and more stops growing.
    array = np.full(2**22 + 77, 3.0, "float32")
    summed = tf.function(kernels.sums_of_squares, jit_compile=True, autograph=False)
    total = summed([tf.constant(array)])
    np.testing.assert_allclose(total, [9.0 * array.size], rtol=1e-7)


def test_a_sum_is_computed_once_in_whatever_company() -> None:
    arrays = [values("float32", size) for size in (5, 5000, 7, 9000)]

    @tf.function(jit_compile=True, autograph=False)
    def sums(*tensors: tf.Tensor) -> tuple[tf.Tensor, ...]:
        first = kernels.sums_of_squares([tensors[3], tensors[0]])
        multiplied = tf.compat.v1.get_default_graph().get_operations()
        second = kernels.sums_of_squares([tensors[0], tensors[3]])
        added = tf.compat.v1.get_default_graph().get_operations()[len(multiplied) :]
        assert not [op for op in added if op.type == "Square"]
        return first, second, kernels.sums_of_squares(tensors)

    first, second, every = sums(*map(tf.constant, arrays))
    expected = [np.sum(np.square(each, dtype="float64")) for each in arrays]
    np.testing.assert_allclose(every, expected, rtol=1e-6, atol=1e-37)
    np.testing.assert_array_equal(first, second[::-1])


@pytest.mark.parametrize(("value", "squared", "fine"), [(1e30, False, True), (1e30, True, False)])
def test_all_finite_looks_at_each_and_at_squares(value: float, squared: bool, fine: bool) -> None:
    arrays = [values("float32", 300), values("float32", 7)]
    arrays[0][299] = value

    @tf.function(jit_compile=True, autograph=False)
    def look(*tensors: tf.Tensor) -> tf.Tensor:
        return all_finite([(tensor, squared) for tensor in tensors])

    assert bool(look(*map(tf.constant, arrays))) is fine
    arrays[1][6] = np.nan
    assert not look(*map(tf.constant, arrays))


def test_more_sizes_are_hardly_more_kernels() -> None:
    def kernels_for(sizes: range) -> int:
        tensors = [tf.zeros([size]) for size in sizes]
        accumulator = Accumulator(
            DeviceStepState(), [tf.float32] * len(sizes), *([[False] * len(sizes)] * 2)
        )
        add = tf.function(lambda *each: accumulator.add(each), jit_compile=True, autograph=False)
        compiled = add.experimental_get_compiler_ir(*tensors)(stage="optimized_hlo")
        return len(re.findall(r" fusion\(", compiled))

    # Of a size each took 17 kernels.
    assert kernels_for(range(10, 70)) - kernels_for(range(10, 20)) < 60
