"""Cells against a slow and obvious loop, and what must hold however records are pooled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tb_nanwatch.grid import LogScale, Scale, WallScale, aligned_edges, cells, column_edges
from tb_nanwatch.grid.cells import NAN, NEG_INF, POS_INF, RECORDED, SCALE_SKIPPED
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.derived import statistic
from tb_nanwatch.stats.record import empty_columns, merge_columns
from tb_nanwatch.stats.statistics import COLUMN_STATISTICS

Steps = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]


@dataclass
class Records:
    first: Steps
    last: Steps
    valid_until: Steps
    rows: Steps
    columns: Matrix


def set_columns(row: Matrix, **values: float) -> Matrix:
    """`row` with these columns set; gives it back."""
    for name, value in values.items():
        row[COLUMN[name]] = value
    return row


@st.composite
def record_row(draw: st.DrawFn, first: int, last: int) -> Matrix:
    """The columns of one tensor in a record of these steps."""
    row: Matrix = empty_columns(1)[0]
    if draw(st.integers(0, 9)) == 0:
        return row  # Not seen in this record.
    steps = last - first + 1
    set_columns(row, steps=steps, elements=10 * steps)
    set_columns(row, largest_norm=draw(st.sampled_from([0.0, 1e-30, 1.0, 1e30, np.inf, np.nan])))
    if draw(st.booleans()):
        largest = draw(st.sampled_from([0.0, 1.0, np.nan]))
        set_columns(row, sampled_steps=1, sampled_elements=10, zero=draw(st.integers(0, 10)))
        set_columns(row, min=-largest, max=largest)
    trouble = draw(st.sampled_from(["none", "none", "bad", "handled", "both", "vague"]))
    if trouble != "none":
        counts = draw(st.tuples(*[st.integers(0, 2)] * 3).filter(any))
        set_columns(row, **dict(zip(("nan", "pos_inf", "neg_inf"), counts, strict=True)))
    if trouble in ("handled", "both"):
        set_columns(row, scale_skipped_steps=1)
    if trouble in ("bad", "both"):
        begin = draw(st.integers(first, last))
        end = draw(st.integers(begin, last))
        set_columns(row, first_nonfinite_step=begin, last_nonfinite_step=end)
    if trouble in ("bad", "both", "vague"):
        set_columns(row, nonfinite_steps=1)
    return row


@st.composite
def stream(draw: st.DrawFn, tensors: int) -> Records:
    """Disjoint, ascending records of some of the tensors, some of them held."""
    rows = draw(st.lists(st.integers(0, tensors - 1), min_size=1, max_size=3, unique=True))
    first, last, valid_until, columns = [], [], [], []
    step = draw(st.integers(-5, 30))
    for _ in range(draw(st.integers(1, 12))):
        step += draw(st.sampled_from([0, 0, 1, 7]))
        first.append(step)
        step += draw(st.sampled_from([0, 0, 1, 5, 20]))
        last.append(step)
        step += draw(st.sampled_from([0, 0, 3]))
        valid_until.append(step)
        step += 1
        columns.append([draw(record_row(first[-1], last[-1])) for _ in rows])
    return Records(
        np.array(first), np.array(last), np.array(valid_until), np.array(rows), np.array(columns)
    )


def slow_cells(
    chunks: Sequence[Records], tensors: Steps, edges: Steps, name: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Every step of every record, one by one."""
    shape = len(tensors), len(edges) - 1
    value = np.full(shape, np.nan, np.float32)
    flags = np.zeros(shape, np.uint8)
    sampled = np.zeros(shape, bool)
    for row, tensor in enumerate(tensors):
        for column in range(shape[1]):
            found = []
            for chunk in chunks:
                for record, index in np.ndindex(chunk.columns.shape[:2]):
                    steps = range(
                        max(chunk.first[record], edges[column]),
                        min(chunk.valid_until[record] + 1, edges[column + 1]),
                    )
                    if chunk.rows[index] != tensor or not steps:
                        continue
                    found.append(chunk.columns[record, index])
                    for step in steps:
                        flags[row, column] |= slow_flags(chunk, record, found[-1], step)
            if found:
                merged = merge_columns(found)
                value[row, column] = statistic(name, merged)
                sampled[row, column] = merged[COLUMN["sampled_steps"]] > 0
    if name in ("largest_magnitude", "zero_share"):
        hold_slowly(value, sampled, flags)
    return value, flags


def hold_slowly(value: np.ndarray, sampled: np.ndarray, flags: np.ndarray) -> None:
    """Gives cells without samples the value of the nearest one before that has, or else after."""
    for row, column in np.argwhere(~sampled & (flags & RECORDED > 0)):
        columns = np.flatnonzero(sampled[row])
        before = columns[columns < column]
        nearest = [*before[-1:], *columns[columns > column]]
        if nearest:
            value[row, column] = value[row, nearest[0]]


def slow_flags(chunk: Records, record: int, columns: Matrix, step: int) -> int:
    """The flags that one record raises at one step."""

    def of(name: str) -> float:
        return float(columns[COLUMN[name]])

    raised = RECORDED * (of("steps") > 0) | SCALE_SKIPPED * (of("scale_skipped_steps") > 0)
    if of("nonfinite_steps") == 0:
        return raised
    begin, end = of("first_nonfinite_step"), of("last_nonfinite_step")
    begin = chunk.first[record] if np.isnan(begin) else begin
    end = chunk.last[record] if np.isnan(end) else end
    if end == chunk.last[record]:
        end = chunk.valid_until[record]
    if begin <= step <= end:
        raised |= NAN * (of("nan") > 0)
        raised |= POS_INF * (of("pos_inf") > 0)
        raised |= NEG_INF * (of("neg_inf") > 0)
    return raised


@given(
    st.lists(stream(4), max_size=3),
    st.permutations(range(4)).flatmap(lambda order: st.integers(0, 4).map(lambda n: order[:n])),
    st.integers(-10, 60),
    st.integers(0, 80),
    st.integers(1, 40),
    st.sampled_from([each.name for each in COLUMN_STATISTICS]),
)
def test_cells_are_those_of_the_slow_loop(
    chunks: list[Records], tensors: list[int], first: int, span: int, columns: int, name: str
) -> None:
    edges = column_edges(first, first + span, columns)
    wanted = np.array(tensors, np.int64)
    value, flags = cells(chunks, wanted, edges, name)
    slow_value, slow = slow_cells(chunks, wanted, edges, name)
    assert value.dtype == np.float32
    assert flags.dtype == np.uint8
    assert np.array_equal(value, slow_value, equal_nan=True)
    assert np.array_equal(flags, slow)


@given(st.integers(-(2**53), 2**53), st.integers(0, 2**53), st.integers(1, 4096))
def test_edges_cover_the_range_evenly(first: int, span: int, columns: int) -> None:
    edges = column_edges(first, first + span, columns)
    widths = np.diff(edges)
    assert (edges[0], edges[-1]) == (first, first + span + 1)
    assert len(widths) == min(columns, span + 1)
    assert widths.min() >= 1
    assert widths.max() - widths.min() <= 1


def one_record(first: int, last: int, **values: float) -> Records:
    """One record of one tensor."""
    columns = set_columns(empty_columns(1)[0], steps=last - first + 1, **values)
    steps = [np.array([step]) for step in (first, last, last)]
    return Records(*steps, np.array([0]), columns[np.newaxis, np.newaxis])


@pytest.mark.parametrize("columns", [1, 2, 3, 100, 4096])
def test_one_bad_step_in_a_million_does_not_vanish(columns: int) -> None:
    record = one_record(
        0,
        999_999,
        nan=1,
        nonfinite_steps=1,
        first_nonfinite_step=777_777,
        last_nonfinite_step=777_777,
    )
    edges = column_edges(0, 999_999, columns)
    _, flags = cells([record], np.array([0]), edges, "nonfinite")
    column = np.flatnonzero(flags[0] & NAN)
    assert len(column) == 1
    assert edges[column[0]] <= 777_777 < edges[column[0] + 1]
    assert (flags[0] & RECORDED).all()


def test_what_loss_scaling_handled_raises_no_alarm() -> None:
    record = one_record(0, 7, pos_inf=3, scale_skipped_steps=2)
    value, flags = cells([record], np.array([0]), column_edges(0, 7, 8), "nonfinite")
    assert (flags == RECORDED | SCALE_SKIPPED).all()
    assert (value == 3).all()


def test_a_nan_statistic_hides_no_other() -> None:
    records = [one_record(0, 0, largest_norm=np.nan), one_record(1, 1, largest_norm=100.0)]
    value, _ = cells(records, np.array([0]), column_edges(0, 1, 1), "norm")
    assert value.tolist() == [[2.0]]


def test_windows_without_samples_show_those_before() -> None:
    samples = {"sampled_steps": 1, "sampled_elements": 10}
    records = [
        one_record(0, 0),
        one_record(1, 1, zero=3, **samples),
        one_record(2, 2),
        one_record(3, 3, zero=5, **samples),
        one_record(5, 5),
    ]
    value, _ = cells(records, np.array([0]), column_edges(0, 5, 6), "zero_share")
    expected = np.array([[0.3, 0.3, 0.3, 0.5, np.nan, 0.5]], np.float32)
    np.testing.assert_array_equal(value, expected)


def test_counts_are_exact_up_to_float32() -> None:
    record = one_record(0, 0, nan=2**24)
    value, _ = cells([record], np.array([0]), column_edges(0, 0, 1), "nonfinite")
    assert value[0, 0] == 2**24


def test_no_record_gives_empty_cells() -> None:
    value, flags = cells([], np.array([3, 1]), column_edges(0, 9, 5), "norm")
    assert np.isnan(value).all()
    assert flags.tolist() == [[0] * 5] * 2


def runs_of(widths: Sequence[int], first: int = 0) -> Records:
    """Consecutive records of these widths, of one tensor."""
    begins = first + np.cumsum([0, *widths])
    columns = np.stack([empty_columns(1)] * len(widths))
    return Records(begins[:-1], begins[1:] - 1, begins[1:] - 1, np.array([0]), columns)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=40),
    st.integers(1, 60),
    st.integers(0, 5),
)
def test_aligned_edges_divide_no_record(widths: list[int], columns: int, before: int) -> None:
    records = runs_of(widths, before)
    last = int(records.last[-1])
    edges = column_edges(0, last, columns)
    aligned = aligned_edges(edges, [records])
    assert (aligned[0], aligned[-1]) == (0, last + 1)
    assert (np.diff(aligned) > 0).all()
    assert len(aligned) <= len(edges)
    for edge in aligned[1:-1]:
        assert not ((records.first < edge) & (records.last >= edge)).any()
    # None is further off than a record is wide.
    assert np.diff(aligned).max() <= np.diff(edges).max() + max(widths)


def test_edges_stay_where_streams_do_not_begin_together() -> None:
    edges = column_edges(0, 999, 10)
    streams = [runs_of([10] * 100), runs_of([37] * 28, -1)]
    assert aligned_edges(edges, streams[:1]).tolist() == edges.tolist()
    assert aligned_edges(edges, streams).tolist() == edges.tolist()
    assert len(aligned_edges(edges, [streams[0], runs_of([20] * 50)])) == 11


WALL = WallScale(np.array([0, 10, 20]), np.array([0.0, 1.0, 101.0]))


@pytest.mark.parametrize("scale", [LogScale(), WALL])
@given(st.lists(st.integers(-1000, 10**9), min_size=2, unique=True))
def test_a_scale_ascends_and_goes_back(scale: Scale, steps: list[int]) -> None:
    at = np.array(sorted(steps), np.int64)
    places = scale.place(at)
    assert (np.diff(places) > 0).all()
    np.testing.assert_allclose(scale.step(places), at, rtol=1e-9, atol=1e-9)


def test_the_logarithmic_scale_has_a_place_for_each_step() -> None:
    assert LogScale().place(np.array([-9, 0, 9, 99])).tolist() == [-1, 0, 1, 2]


def test_wall_time_goes_on_beyond_what_is_known() -> None:
    assert WALL.place(np.array([-20, 5, 15, 40])).tolist() == [-101.0, 0.5, 51.0, 202.0]


@pytest.mark.parametrize("scale", [LogScale(), WALL])
@given(st.integers(-5, 400), st.integers(0, 10**6), st.integers(1, 64))
def test_columns_on_a_scale_cover_the_range_and_are_no_more_than_wanted(
    scale: Scale, first: int, more: int, columns: int
) -> None:
    edges = column_edges(first, first + more, columns, scale)
    assert (edges[0], edges[-1]) == (first, first + more + 1)
    assert (np.diff(edges) >= 1).all()
    assert len(edges) - 1 <= columns
    begin, end = scale.place(edges[[0, -1]])
    ideal = scale.step(np.linspace(begin, end, columns + 1))
    apart = np.abs(ideal[:, np.newaxis] - edges)
    assert (apart.min(axis=0) <= 0.5 + 1e-6).all()
    assert (apart.min(axis=1) <= 0.5 + 1e-6).all()
