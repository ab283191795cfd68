"""Merging records: the laws that windows, levels, replicas and cells rely on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tb_nanwatch.stats.columns import COLUMNS, WINDOW_FIELDS, Column
from tb_nanwatch.stats.record import (
    Record,
    empty_columns,
    empty_window,
    merge,
    merge_columns,
    merge_windows,
)
from tb_nanwatch.stats.reference import exponent_histogram, statistics

Matrix = npt.NDArray[np.float64]
# Integers, so that sums are exact in any order.
NUMBERS = st.integers(-(2**40), 2**40).map(float)


def _values(columns: tuple[Column, ...]) -> st.SearchStrategy[list[float]]:
    # NaN stands only where it means that nothing was seen.
    each = [NUMBERS | st.just(column.empty) for column in columns]
    return st.tuples(*each).map(list)


ROWS = st.lists(_values(COLUMNS), min_size=2, max_size=2).map(np.array)
WINDOWS = _values(WINDOW_FIELDS).map(np.array).map(np.abs)  # Nothing in a window is negative.


def _same(one: Matrix, other: Matrix) -> bool:
    return np.array_equal(one, other, equal_nan=True)


@given(ROWS, ROWS, ROWS)
def test_merging_columns_is_associative_and_commutative(a: Matrix, b: Matrix, c: Matrix) -> None:
    whole = merge_columns([a, b, c])
    assert _same(whole, merge_columns([c, a, b]))
    assert _same(whole, merge_columns([merge_columns([a, b]), c]))
    assert _same(whole, merge_columns([a, merge_columns([b, c])]))


@given(WINDOWS, WINDOWS, WINDOWS)
def test_merging_windows_is_associative_and_commutative(a: Matrix, b: Matrix, c: Matrix) -> None:
    whole = merge_windows([a, b, c])
    assert _same(whole, merge_windows([b, c, a]))
    assert _same(whole, merge_windows([merge_windows([a, b]), c]))


@given(ROWS, WINDOWS)
def test_merging_nothing_in_changes_nothing(rows: Matrix, window: Matrix) -> None:
    assert _same(merge_columns([rows, empty_columns(len(rows))]), rows)
    assert _same(merge_windows([window, empty_window()]), window)


@given(st.lists(st.floats(width=16), min_size=1, max_size=20), st.integers(0, 20))
def test_two_halves_merge_to_the_statistics_of_the_whole(values: list[float], cut: int) -> None:
    def record(part: list[float]) -> Record:
        array = np.array(part, np.float16)
        return Record(empty_window(), statistics(array)[np.newaxis], exponent_histogram(array))

    merged = merge([record(values[:cut]), record(values[cut:])])
    whole = record(values)
    # What counts steps, or looks at one step at a time, sees two.
    per_element = [
        index
        for index, column in enumerate(COLUMNS)
        if column.unit != "steps" and column.name != "largest_norm"
    ]
    assert merged.columns[0, per_element] == pytest.approx(
        whole.columns[0, per_element], nan_ok=True
    )
    assert merged.histograms is not None
    assert whole.histograms is not None
    assert merged.histograms.codes.tolist() == whole.histograms.codes.tolist()
    assert merged.histograms.counts.tolist() == whole.histograms.counts.tolist()


def test_records_of_different_tensors_do_not_merge() -> None:
    records = [Record(empty_window(), empty_columns(size)) for size in (1, 2)]
    with pytest.raises(ValueError, match=r"\[1, 2\] tensors"):
        merge(records)


def test_records_without_histograms_merge_to_one_without() -> None:
    assert merge([Record(empty_window(), empty_columns(1))] * 2).histograms is None
