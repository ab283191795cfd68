"""The reference statistics, against plain NumPy in float64."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tb_nanwatch.stats import derived
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.floats import FORMATS
from tb_nanwatch.stats.record import empty_columns
from tb_nanwatch.stats.reference import exponent_histogram, l2_norm, statistics

FLOATS = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
Array = npt.NDArray[np.generic]


@st.composite
def arrays(draw: st.DrawFn) -> Array:
    """Arrays of any bits, so of any values: NaN payloads, subnormals, both zeros, infinities."""
    dtype = FLOATS[draw(st.sampled_from(sorted(FLOATS)))]
    bits = draw(st.lists(st.integers(0, 2 ** (8 * dtype.itemsize) - 1), max_size=40))
    special = [0, 1, FORMATS[dtype.name].infinity, FORMATS[dtype.name].infinity + 1]
    bits += draw(st.lists(st.sampled_from(special), max_size=5))
    return np.array(bits, f"u{dtype.itemsize}").view(dtype)


def _column(row: npt.NDArray[np.float64], name: str) -> float:
    return float(row[COLUMN[name]])


@given(arrays(), st.integers(0, 10**9))
def test_statistics_are_those_of_plain_numpy(array: Array, step: int) -> None:
    row = statistics(array, step)
    with np.errstate(invalid="ignore"):  # Signalling NaNs.
        wide = array.astype(np.float64)  # Exact for each of the dtypes.
    finite = wide[np.isfinite(wide)]
    smallest_normal = float(ml_dtypes.finfo(array.dtype).smallest_normal)
    expected = {
        "steps": 1,
        "elements": wide.size,
        "nan": np.isnan(wide).sum(),
        "pos_inf": np.isposinf(wide).sum(),
        "neg_inf": np.isneginf(wide).sum(),
        "nonfinite_steps": int(finite.size < wide.size),
        "scale_skipped_steps": 0,
        "first_nonfinite_step": step if finite.size < wide.size else np.nan,
        "last_nonfinite_step": step if finite.size < wide.size else np.nan,
        "sampled_steps": 1,
        "sampled_elements": wide.size,
        "sampled_finite": finite.size,
        "zero": (wide == 0).sum(),
        "subnormal": ((wide != 0) & (np.abs(wide) < smallest_normal)).sum(),
        "min": finite.min() if finite.size else np.nan,
        "max": finite.max() if finite.size else np.nan,
    }
    for name, value in expected.items():
        assert _column(row, name) == pytest.approx(value, rel=0, abs=0, nan_ok=True), name
    with np.errstate(over="ignore"):
        total = finite.sum()
    assert _column(row, "sum") == pytest.approx(total, nan_ok=True)


@given(arrays())
def test_bins_and_special_columns_add_up_to_the_elements(array: Array) -> None:
    row = statistics(array)
    specials = ("zero", "subnormal", "nan", "pos_inf", "neg_inf")
    bins = int(exponent_histogram(array).counts.sum())
    assert bins + sum(_column(row, name) for name in specials) == array.size


@pytest.mark.parametrize("dtype", FLOATS.values(), ids=FLOATS)
def test_norm_neither_overflows_nor_underflows(dtype: np.dtype[np.generic]) -> None:
    info = ml_dtypes.finfo(dtype)
    for scale in (info.max, info.smallest_normal, info.smallest_subnormal):
        array = np.full(4, scale, dtype)
        expected = 2 * float(scale)
        assert _column(statistics(array), "largest_norm") == expected


def test_norm_beyond_float64_is_infinite() -> None:
    assert l2_norm(np.full(4, 1e308)) == np.inf
    assert l2_norm(np.zeros(0)) == 0


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_a_complex_number_is_two_elements(dtype: type[np.complexfloating]) -> None:
    array = np.array([complex(1, np.nan), complex(-np.inf, 0)], dtype)
    row = statistics(array)
    counts = [_column(row, name) for name in ("elements", "nan", "pos_inf", "neg_inf", "zero")]
    assert counts == [4, 1, 0, 1, 1]
    assert exponent_histogram(array).codes.tolist() == [0]


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_empty_tensors_have_no_minimum(shape: tuple[int, ...]) -> None:
    row = statistics(np.zeros(shape, np.float32))
    assert _column(row, "elements") == 0
    assert np.isnan(_column(row, "min"))
    assert _column(row, "sum") == 0


def test_scalars_and_strides_do_not_matter() -> None:
    assert _column(statistics(np.float16(-2)), "min") == -2
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert np.array_equal(statistics(array.T[::2]), statistics(array.T[::2].copy()), equal_nan=True)


@pytest.mark.parametrize("values", [np.arange(3), np.array(["a"]), np.array([True])])
def test_other_dtypes_name_the_known_ones(values: Array) -> None:
    with pytest.raises(TypeError, match="float16, bfloat16, float32, float64, complex64"):
        statistics(values)


def test_derived_statistics_of_a_known_tensor() -> None:
    row = statistics(np.array([3.0, -4.0, 0.0, np.nan], np.float32))
    assert derived.statistic("nonfinite", row) == 1
    assert derived.statistic("norm", row) == pytest.approx(np.log10(5))
    assert derived.statistic("largest_magnitude", row) == pytest.approx(np.log10(4))
    assert derived.statistic("zero_share", row) == 0.25
    assert derived.mean(row) == pytest.approx(-1 / 3)
    assert derived.rms(row) == pytest.approx(np.sqrt(25 / 3))


def test_derived_statistics_of_nothing_are_nan() -> None:
    nothing = empty_columns(2)
    for name in ("nonfinite", "norm", "largest_magnitude", "zero_share"):
        assert np.isnan(derived.statistic(name, nothing)).all(), name
    assert np.isnan(derived.mean(nothing)).all()
    assert np.isnan(derived.rms(nothing)).all()


def test_the_logarithm_of_zero_is_minus_infinity() -> None:
    assert derived.statistic("norm", statistics(np.zeros(3, np.float32))) == -np.inf


@pytest.mark.parametrize("name", list(FORMATS))
def test_limits_of_a_format_are_those_of_its_dtype(name: str) -> None:
    layout, limits = FORMATS[name], ml_dtypes.finfo(name)
    assert layout.largest == float(limits.max)
    assert layout.smallest_normal == float(limits.smallest_normal)
    assert layout.smallest_subnormal == float(limits.smallest_subnormal)
