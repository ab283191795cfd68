"""The device's statistics are the NumPy reference's, eagerly, in graphs and under XLA."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tb_nanwatch.adapters.tensorflow.statistics import chunks, kernels
from tb_nanwatch.adapters.tensorflow.statistics.accumulator import Accumulator
from tb_nanwatch.adapters.tensorflow.statistics.device_state import DeviceStepState, LossScale
from tb_nanwatch.stats.columns import COLUMN, COLUMN_NAMES
from tb_nanwatch.stats.record import merge_columns
from tb_nanwatch.stats.reference import exponent_histogram, statistics
from tb_nanwatch.training.host_schedule import HostStep

DTYPES = (tf.float16, tf.bfloat16, tf.float32, tf.float64, tf.complex64, tf.complex128)
MODES = ("eager", "graph", "xla")
ROUNDED = ("sum_squares", "largest_norm", "sum")
"""Columns that are sums of the values themselves: float32 arithmetic, and subnormals flushed."""


def nasty(dtype: tf.DType) -> Iterator[np.ndarray]:
    rng = np.random.default_rng(7)
    for values in (
        rng.normal(size=(7, 9)),
        -np.abs(rng.normal(size=50)),
        np.zeros((0, 3)),
        np.float64(3.5),
        np.float64(np.nan),
        np.full(5, np.nan),
        [1e-5, 6e-8, 0.0, -0.0],
        [1e-40, -1e-41, 1.0],
        [1e-40, -1e-41, 1.0, np.nan],
        [3e4, -6e4, 1, np.inf, -np.inf, np.nan],
        [-np.inf, -np.inf, -2.0, -3.0],
        [1e-310, 1e300, -1e30, np.inf],
        [1e25, 3e38],
        [-1e-25, 1e-25, np.inf],
        rng.normal(size=5000) * 10.0 ** rng.integers(-4, 4, size=5000),
    ):
        with np.errstate(all="ignore"):
            array = np.asarray(values).astype(dtype.as_numpy_dtype)
            if dtype.is_complex:
                array = array + 1j * np.flip(array)
            yield np.asarray(array, dtype.as_numpy_dtype)


def accumulate(
    steps: Sequence[Sequence[np.ndarray]], mode: str
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Columns and histograms of these steps of arrays, each one sampled."""
    step_state = DeviceStepState()
    accumulator = Accumulator(
        step_state,
        [tf.as_dtype(array.dtype) for array in steps[0]],
        scaled=[False] * len(steps[0]),
        handled=[False] * len(steps[0]),
    )

    def step(*tensors: tf.Tensor) -> None:
        accumulator.add(tensors)

    add = step if mode == "eager" else tf.function(step, jit_compile=mode == "xla")
    for number, arrays in enumerate(steps):
        step_state.schedule_host_step(HostStep(number, True))
        add(*[tf.constant(array) for array in arrays])
    columns, histograms = accumulator.read_and_reset(step_state.counters())
    assert histograms is not None
    return columns, [histograms.tensor(row) for row in range(len(histograms))]


def assert_matches(
    columns: np.ndarray, expected: np.ndarray, scale: float, norm_floor: float = 0.0
) -> None:
    """`norm_floor`: below it a norm may be 0, as the squares of its elements are."""
    for name in COLUMN_NAMES:
        got, want = columns[COLUMN[name]], expected[COLUMN[name]]
        if name in ROUNDED:
            # 1e-37: subnormal float32 are flushed to zero in arithmetic, though not in counts.
            floor = norm_floor if name == "largest_norm" else 1e-37
            np.testing.assert_allclose(
                got, want, rtol=1e-5, atol=1e-6 * scale + max(floor, 1e-37), err_msg=name
            )
        else:
            np.testing.assert_array_equal(got, want, err_msg=name)


def magnitude(array: np.ndarray) -> float:
    parts = np.asarray(array).reshape(-1).astype(np.complex128).view(np.float64)
    return float(np.max(np.abs(parts[np.isfinite(parts)]), initial=0.0))


def assert_as_the_reference(arrays: Sequence[np.ndarray], mode: str) -> None:
    """Columns and histograms of one step of these arrays, each against the reference's."""
    columns, histograms = accumulate([arrays], mode)
    for row, array in enumerate(arrays):
        assert_matches(columns[row], statistics(array), magnitude(array) * max(1, array.size**0.5))
        reference = exponent_histogram(array)
        np.testing.assert_array_equal(histograms[row][0], reference.codes)
        np.testing.assert_array_equal(histograms[row][1], reference.counts)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES, ids=lambda dtype: dtype.name)
def test_every_dtype_matches_the_reference(dtype: tf.DType, mode: str) -> None:
    assert_as_the_reference(list(nasty(dtype)), mode)


@pytest.mark.parametrize(
    ("dtype", "mode"),
    [(tf.bfloat16, "graph"), (tf.float32, "eager"), (tf.float64, "graph"), (tf.complex64, "graph")],
    ids=lambda value: getattr(value, "name", value),
)
def test_chunks_of_a_long_tensor_add_up(
    dtype: tf.DType, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernels, "_MAX_STACKED", 0)
    monkeypatch.setattr(kernels, "_MAX_CAST", 3)
    monkeypatch.setattr(chunks, "CHUNK", 3)
    long = np.random.default_rng(11).normal(size=20).astype(dtype.as_numpy_dtype)
    broken, subnormal = long.copy(), np.float64([1e-40, -1e-41, 1, np.nan, np.inf, -np.inf, 1e30])
    broken[-1] = np.inf
    assert_as_the_reference([long, broken, subnormal.astype(dtype.as_numpy_dtype)], mode)
    assert_as_the_reference([long], mode)  # All finite: without masks.


@pytest.mark.parametrize("mode", MODES)
def test_finite_tensors_match_where_nothing_else_is_non_finite(mode: str) -> None:
    rng = np.random.default_rng(3)
    arrays = [
        rng.normal(size=(33, 5)).astype("float32"),
        -np.abs(rng.normal(size=9)).astype("float16"),
        np.array([0.0, -0.0, 3.0], "float64"),
        np.array([1e-40, -1e-39], "float32"),
        np.zeros(0, "float32"),
    ]
    columns, _ = accumulate([arrays], mode)
    for row, array in enumerate(arrays):
        assert_matches(columns[row], statistics(array), magnitude(array) * 10)


@pytest.mark.parametrize("mode", MODES)
def test_tensors_of_one_size_are_told_apart(mode: str) -> None:
    rng = np.random.default_rng(5)
    shapes = [(3, 4), (12,), (20_000,), (), (4, 3), (100, 200), (12,), (1,)]
    dtypes = ["float32", "float16", "float64"]
    arrays = [
        (rng.normal(size=shape) * 2.0 ** (number % 7)).astype(dtype)
        for number, (shape, dtype) in enumerate((s, d) for s in shapes for d in dtypes)
    ]
    for number in (1, 6, 7, 15):
        arrays[number].flat[0] = np.nan
    assert_as_the_reference(arrays, mode)


@pytest.mark.parametrize("mode", MODES)
def test_steps_accumulate_as_records_merge(mode: str) -> None:
    steps = [
        [np.array([1.0, np.nan, 0.0], "float32"), np.array([2.0], "float64")],
        [np.array([-5.0, 2.0, np.inf], "float32"), np.array([-3.0], "float64")],
        [np.array([7.0, 0.0, 0.0], "float32"), np.array([np.nan], "float64")],
    ]
    columns, _ = accumulate(steps, mode)
    for row in range(2):
        expected = merge_columns([statistics(arrays[row], n) for n, arrays in enumerate(steps)])
        assert_matches(columns[row], expected, 10.0)


def test_a_signal_tells_changes_and_recovery() -> None:
    step_state = DeviceStepState(10)
    accumulator = Accumulator(step_state, [tf.float32], [False], [False])
    step_state.schedule_host_step(HostStep(10**9, True))
    flushes = []
    for value in [1.0, np.nan, np.nan, np.nan, np.nan, np.nan, np.nan, 1.0, 1.0, np.inf]:
        before = step_state.counters().flush
        accumulator.add([tf.constant(value, tf.float32)])
        flushes.append(step_state.counters().flush - before)
    # The first four non-finite steps; then only the recovery, and the next change.
    assert flushes == [0, 1, 1, 1, 1, 0, 0, 1, 0, 1]
    counters = step_state.counters()
    assert (counters.next_step, counters.nonfinite_steps) == (20, 7)
    columns, _ = accumulator.read_and_reset(step_state.counters())
    assert columns[0, COLUMN["first_nonfinite_step"]] == 11
    assert columns[0, COLUMN["last_nonfinite_step"]] == 19
    assert columns[0, COLUMN["nonfinite_steps"]] == 7


@pytest.mark.parametrize("mode", MODES)
def test_a_refused_step_is_handled_and_unscaled(mode: str) -> None:
    step_state = DeviceStepState()
    accumulator = Accumulator(
        step_state, [tf.float32] * 2, scaled=[True, False], handled=[True, False]
    )

    def step(gradient: tf.Tensor, data: tf.Tensor) -> None:
        accumulator.add([gradient, data], LossScale(tf.constant(1024.0), dynamic=True))

    add = step if mode == "eager" else tf.function(step, jit_compile=mode == "xla")
    step_state.schedule_host_step(HostStep(0, True))
    add(tf.constant([2048.0, -1024.0]), tf.constant([3.0, 4.0]))
    add(tf.constant([np.inf, 1.0]), tf.constant([1.0, 1.0]))
    counters = step_state.counters()
    assert (counters.scale_skipped_steps, counters.nonfinite_steps, counters.flush) == (1, 0, 0)
    columns, _ = accumulator.read_and_reset(step_state.counters())
    np.testing.assert_allclose(columns[0, COLUMN["largest_norm"]], 5**0.5)
    assert columns[0, COLUMN["max"]] == 2.0
    assert columns[0, COLUMN["pos_inf"]] == 1
    assert columns[0, COLUMN["scale_skipped_steps"]] == 1
    assert columns[0, COLUMN["nonfinite_steps"]] == 0
    assert columns[1, COLUMN["largest_norm"]] == 5.0
    # A smaller loss scale mends no bad batch: that is trouble, in a refused step too.
    add(tf.constant([np.nan, 1.0]), tf.constant([np.nan, 1.0]))
    assert step_state.counters().nonfinite_steps == 0
    assert step_state.counters().flush == 1


FLOATS = hnp.arrays(
    np.float32, hnp.array_shapes(max_dims=2, max_side=6), elements=st.floats(width=32)
)


@settings(max_examples=60)
@given(FLOATS)
def test_any_float32_array_matches_the_reference(array: np.ndarray) -> None:
    columns, histograms = accumulate([[array]], "eager")
    # The square of 1e-19 is the smallest normal float32: smaller ones are flushed to zero.
    floor = 1.1e-19 * array.size**0.5
    assert_matches(columns[0], statistics(array), magnitude(array) * array.size, floor)
    np.testing.assert_array_equal(histograms[0][1], exponent_histogram(array).counts)


def test_tensorflow_does_not_take_the_kernels_for_one_that_is_traced_again_and_again() -> None:
    heard: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())  # type: ignore[method-assign]
    tf.get_logger().addHandler(handler)
    try:
        for dtype in DTYPES[:4] * 2:
            kernel = kernels._float_kernel(lambda values: values + 1, dtype)
            kernel(tf.zeros((2, 3), dtype))
    finally:
        tf.get_logger().removeHandler(handler)
    assert heard == []
