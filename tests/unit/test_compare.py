"""The first difference of two runs, against histories whose differences are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from tb_nanwatch.diagnosis import Place
from tb_nanwatch.diagnosis.compare import compare
from tb_nanwatch.format.history import History, Series
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD
from tb_nanwatch.stats.record import empty_columns, empty_window, merge_columns

TENSORS = (
    TensorInfo("loss", "", "loss", (), "float32"),
    TensorInfo("input", "", "input", (8,), "float32"),
    TensorInfo("gradient", "dense", "dense/kernel", (8, 4), "float32"),
)
Norm = Callable[[int, int], float]
"""The norm of a tensor at a step; NaN for one NaN element."""


def steady(tensor: int, step: int) -> float:
    return 1.0 + tensor + step / 100


def series(
    windows: Sequence[tuple[int, int]], norm: Norm, tensors: Sequence[int] = range(3)
) -> Series:
    """Records over these windows, of tensors with one element each."""
    fields, columns = [], []
    for first, last in windows:
        window = empty_window()
        window[WINDOW_FIELD["first_step"]], window[WINDOW_FIELD["last_step"]] = first, last
        fields.append(window)
        steps = []
        for step in range(first, last + 1):
            rows = empty_columns(len(tensors))
            for row, tensor in enumerate(tensors):
                value = norm(tensor, step)
                seen = {"steps": 1, "elements": 1}
                if np.isnan(value):
                    seen |= {"nan": 1, "nonfinite_steps": 1, "largest_norm": 0}
                    seen |= {"first_nonfinite_step": step, "last_nonfinite_step": step}
                else:
                    seen |= {"sum_squares": value**2, "largest_norm": value}
                for name, number in seen.items():
                    rows[row, COLUMN[name]] = number
            steps.append(rows)
        columns.append(merge_columns(steps))
    return Series(np.array(tensors, np.int64), np.array(fields), np.array(columns))


def history(
    parts: Sequence[Series],
    initial: Sequence[Series] = (),
    tensors: Sequence[TensorInfo] = TENSORS,
) -> History:
    return History(tuple(tensors), ("",) * len(tensors), parts, initial, True)


def every(width: int, last: int) -> list[tuple[int, int]]:
    return [(first, first + width - 1) for first in range(0, last, width)]


def test_equal_runs_do_not_diverge() -> None:
    one = history([series(every(4, 32), steady)])
    other = history([series(every(8, 32)[:2], steady), series(every(8, 32)[2:], steady)])
    # But for the last bits of sums that were made in another order.
    found = compare(one, other, tolerance=1e-12)
    assert found.first_difference is None
    assert (found.first_step, found.last_step, found.norm_steps, found.tensors) == (0, 31, 32, 3)


@pytest.mark.parametrize("step", [0, 13, 31])
@pytest.mark.parametrize("widths", [(1, 1), (4, 4), (4, 8), (5, 3)])
def test_a_norm_that_differs_is_found_in_its_records(step: int, widths: tuple[int, int]) -> None:
    def drifts(tensor: int, at: int) -> float:
        return steady(tensor, at) * (1.2 if at >= step and tensor > 0 else 1)

    last = 32 - 32 % (widths[0] * widths[1])
    if step >= last:
        last = 60
    found = compare(
        history([series(every(widths[0], last), steady)]),
        history([series(every(widths[1], last), drifts)]),
        tolerance=0.01,
    )
    difference = found.first_difference
    assert difference is not None
    width = int(np.lcm(*widths))
    assert (difference.step, difference.last_step) == (
        step // width * width,
        step // width * width + width - 1,
    )
    # The input comes before the gradient in a step, and the loss does not differ.
    assert (difference.place, difference.kind) == (Place("input", "", "input"), "norm")
    assert difference.tensors == 2
    assert difference.relative_difference == pytest.approx(1 - 1 / 1.2, rel=0.3)
    assert not difference.is_initial


def test_the_tolerance_is_relative() -> None:
    one = history([series(every(4, 8), lambda tensor, step: 1e-6)])
    other = history([series(every(4, 8), lambda tensor, step: 1.05e-6)])
    assert compare(one, other, tolerance=0.06).first_difference is None
    difference = compare(one, other, tolerance=0.04).first_difference
    assert difference is not None
    assert difference.relative_difference == pytest.approx(1 - 1 / 1.05)
    assert difference.values == pytest.approx((1e-6, 1.05e-6))


@pytest.mark.parametrize("widths", [(4, 4), (4, 7)])
def test_a_nan_in_one_alone_has_its_exact_step(widths: tuple[int, int]) -> None:
    def breaks(tensor: int, step: int) -> float:
        return np.nan if (tensor, step) in {(2, 17), (0, 18), (1, 19)} else steady(tensor, step)

    one = history([series(every(widths[0], 28), steady)])
    other = history([series(every(widths[1], 28), breaks)])
    for sides, values in (((one, other), (0.0, 1.0)), ((other, one), (1.0, 0.0))):
        difference = compare(*sides, tolerance=0.5).first_difference
        assert difference is not None
        assert (difference.step, difference.last_step, difference.kind) == (17, 17, "nonfinite")
        assert difference.place.tensor == "dense/kernel"
        assert (difference.values, difference.relative_difference) == (values, 1.0)


def test_a_nan_in_both_at_one_step_is_no_difference() -> None:
    def breaks(tensor: int, step: int) -> float:
        return np.nan if step >= 5 else steady(tensor, step)

    one = history([series(every(4, 12), breaks)])
    assert compare(one, one, tolerance=0.0).first_difference is None


def test_a_norm_that_differs_before_a_nan_comes_first() -> None:
    def breaks(tensor: int, step: int) -> float:
        return np.nan if step >= 9 else steady(tensor, step) * (1.1 if step >= 6 else 1)

    one, other = (history([series(every(4, 12), norm)]) for norm in (steady, breaks))
    difference = compare(one, other, tolerance=0.01).first_difference
    assert difference is not None
    assert (difference.step, difference.last_step, difference.kind) == (4, 7, "norm")


def test_the_state_before_the_first_step_comes_first() -> None:
    def elsewhere(tensor: int, step: int) -> float:
        return 2 * steady(tensor, step)

    later = series(every(4, 8), steady)
    one = history([later], [series([(0, 0)], steady, [2])])
    other = history([later], [series([(0, 0)], elsewhere, [2])])
    difference = compare(one, other, tolerance=0.01).first_difference
    assert difference is not None
    assert (difference.is_initial, difference.step) == (True, 0)
    assert difference.place.tensor == "dense/kernel"


def test_tensors_of_one_run_alone_are_counted() -> None:
    one = history([series(every(4, 8), steady)])
    other = history([series(every(4, 8), steady, [0, 1])], tensors=TENSORS[:2])
    found = compare(one, other, tolerance=0.01)
    assert (found.tensors, found.only, found.first_difference) == (2, (1, 0), None)


def test_runs_without_a_step_in_common_cannot_be_compared() -> None:
    one = history([series(every(4, 8), steady)])
    for other in (history([]), history([series([(8, 11)], steady)])):
        found = compare(one, other, tolerance=0.01)
        assert (found.first_step, found.norm_steps, found.first_difference) == (None, 0, None)


def test_gaps_are_no_reason_to_compare_other_steps() -> None:
    one = history([series([(0, 3), (4, 7), (12, 15), (16, 19)], steady)])
    other = history([series([(0, 7), (8, 15), (16, 19)], steady)])
    found = compare(one, other, tolerance=1e-12)
    assert (found.first_difference, found.norm_steps) == (None, 12)
