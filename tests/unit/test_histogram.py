"""Exponent histograms: their bins, and that merging adds."""

from __future__ import annotations

from collections import Counter

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tb_nanwatch.stats.floats import float_format
from tb_nanwatch.stats.histogram import Histograms, bin_code, merge_histograms, upper_bounds
from tb_nanwatch.stats.reference import exponent_histogram

BINS = st.dictionaries(st.integers(-2200, 2100), st.integers(1, 2**40), max_size=8)


def histograms(rows: list[dict[int, int]]) -> Histograms:
    """`Histograms` from code to count for each tensor."""
    ordered = [sorted(row.items()) for row in rows]
    flat = [entry for row in ordered for entry in row]
    return Histograms(
        np.array([len(row) for row in ordered], np.int64),
        np.array([code for code, _ in flat], np.int64),
        np.array([count for _, count in flat], np.int64),
    )


def as_rows(parts: Histograms) -> list[dict[int, int]]:
    """Code to count for each tensor."""
    return [
        dict(zip(*(array.tolist() for array in parts.tensor(row)), strict=True))
        for row in range(len(parts))
    ]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_a_bin_holds_one_binade_of_one_sign(dtype: type[np.generic]) -> None:
    array = np.array([1, 1.5, 1.99, -1, 2, -0.25, 0, np.nan, np.inf], dtype)
    rounded_up = float(array[2]) == 2  # bfloat16 has 8 bits.
    expected = {
        bin_code(1, 0): 2 if rounded_up else 3,
        bin_code(-1, 0): 1,
        bin_code(1, 1): 2 if rounded_up else 1,
        bin_code(-1, -2): 1,
    }
    assert as_rows(exponent_histogram(array)) == [expected]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=30))
def test_bins_are_those_of_frexp(values: list[float]) -> None:
    normal = [value for value in values if abs(value) >= 2**-126]
    expected = Counter(
        bin_code(-1 if value < 0 else 1, int(np.frexp(value)[1]) - 1) for value in normal
    )
    assert as_rows(exponent_histogram(np.array(values, np.float32))) == [dict(expected)]


@given(st.data(), st.integers(1, 4), st.integers(1, 4))
def test_merging_adds_counts(data: st.DataObject, tensors: int, parts: int) -> None:
    rows = [data.draw(st.lists(BINS, min_size=tensors, max_size=tensors)) for _ in range(parts)]
    merged = merge_histograms([histograms(part) for part in rows])
    expected = [
        dict(sum((Counter(part[row]) for part in rows), Counter())) for row in range(tensors)
    ]
    assert as_rows(merged) == expected
    for row in range(tensors):
        assert (np.diff(merged.tensor(row)[0]) > 0).all()


def test_merging_different_tensors_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\[1, 2\] tensors"):
        merge_histograms([histograms([{0: 1}]), histograms([{0: 1}, {}])])


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("seed", range(4))
def test_percentiles_to_a_power_of_two(dtype: type[np.generic], seed: int) -> None:
    rng = np.random.default_rng(seed)
    drawn = np.exp2(rng.uniform(-20, 4, 500)) * rng.choice([-1, 1], 500)
    array = drawn.astype(dtype)
    layout = float_format(array.dtype.name)
    codes, counts = exponent_histogram(array).tensor(0)
    shares = (0.01, 0.25, 0.5, 0.99, 1.0)
    magnitudes = np.sort(np.abs(array.astype(np.float64)))
    subnormal = int((magnitudes < layout.smallest_normal).sum())
    bounds = upper_bounds(layout, codes, counts, subnormal, shares)
    for share, bound in zip(shares, bounds, strict=True):
        assert np.mean(magnitudes < bound) >= share
        assert bound == layout.smallest_normal or np.mean(magnitudes < bound / 2) < share
