"""Restarts, missing records and how long a record stands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tb_nanwatch.format.tags import Stream
from tb_nanwatch.reader.runs import shown_run
from tb_nanwatch.reader.steps import extend_to_next_record, missing, survivors

SPANS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=25)


def _arrays(spans: list[tuple[int, int]]) -> tuple[np.ndarray, np.ndarray]:
    first = np.array([first for first, _ in spans], np.int64)
    return first, first + np.array([length for _, length in spans], np.int64)


@given(SPANS)
def test_a_record_is_replaced_by_a_surviving_one_that_begins_at_or_before_its_end(
    spans: list[tuple[int, int]],
) -> None:
    first, last = _arrays(spans)
    alive = survivors(first, last)
    for record in range(len(spans)):
        later = alive.copy()
        later[: record + 1] = False
        assert alive[record] == (first[later] > last[record]).all()


@given(SPANS, st.integers(-5, 70))
def test_what_a_later_recording_replaces_is_as_if_it_were_one_record_more(
    spans: list[tuple[int, int]], before: int
) -> None:
    first, last = _arrays(spans)
    alone, together = survivors(first, last, before), survivors(*_arrays([*spans, (before, 99)]))
    assert alone.tolist() == together[:-1].tolist()


@given(SPANS)
def test_survivors_are_disjoint_and_ascending(spans: list[tuple[int, int]]) -> None:
    first, last = _arrays(spans)
    alive = survivors(first, last)
    assert (first[alive][1:] > last[alive][:-1]).all()


@given(SPANS, st.data())
def test_what_the_data_server_drops_itself_changes_nothing(
    spans: list[tuple[int, int]], data: st.DataObject
) -> None:
    """It drops, within some consecutive records, those that end where a later one ends or after."""
    first, last = _arrays(spans)
    cut = data.draw(st.integers(0, len(spans)))
    there = np.ones(len(spans), bool)
    for block in (range(cut), range(cut, len(spans))):
        for i in block:
            there[i] = all(last[later] > last[i] for later in block if later > i)
    sequence = np.arange(len(spans))
    alive = survivors(first, last)
    left = sequence[there][survivors(first[there], last[there])]
    assert left.tolist() == sequence[alive].tolist()
    assert missing(sequence[alive], first[alive], last[alive]) == missing(
        left, first[left], last[left]
    )


def count_missing(sequence: list[int], spans: list[tuple[int, int]]) -> int:
    first, last = np.array(spans).T
    return missing(np.array(sequence), first, last)


@pytest.mark.parametrize(
    ("sequence", "spans", "expected"),
    [
        ([0, 1, 2], [(0, 15), (16, 31), (32, 47)], 0),
        ([0, 2, 6], [(0, 15), (32, 47), (96, 111)], 4),
        ([3, 4], [(48, 63), (64, 79)], 3),
        ([0, 5, 6], [(0, 15), (16, 31), (32, 47)], 0),
        ([10, 11], [(0, 0), (10, 10)], 0),
        ([0, 4], [(0, 0), (3, 3)], 2),
        ([0, 0, 1], [(0, 1), (2, 3), (4, 5)], 0),
    ],
    ids=[
        "none",
        "sampled away",
        "the beginning",
        "replaced by a restart within the stream",
        "all of a first pass replaced by a second",
        "no more than there is room for",
        "two writers of one stream",
    ],
)
def test_missing_records(sequence: list[int], spans: list[tuple[int, int]], expected: int) -> None:
    assert count_missing(sequence, spans) == expected


def test_no_record_misses_none() -> None:
    none = np.zeros(0, np.int64)
    assert missing(none, none, none) == 0
    assert extend_to_next_record(none, none).tolist() == []


def _extended(*spans: tuple[int, int]) -> list[int]:
    first, last = np.array(spans).T
    return extend_to_next_record(first, last).tolist()


def test_records_at_every_thousandth_step_are_held() -> None:
    assert _extended((0, 0), (1000, 1000), (2000, 2000), (3000, 3000)) == [999, 1999, 2999, 3000]


def test_a_long_gap_stays_one() -> None:
    assert _extended((0, 0), (10, 10), (20, 20), (41, 41), (50, 50)) == [9, 19, 20, 49, 50]


def test_consecutive_windows_stand_for_themselves() -> None:
    assert _extended((0, 15), (16, 31), (40, 55), (56, 71)) == [15, 31, 55, 71]


@pytest.mark.parametrize(
    ("run", "shown"),
    [
        ("nanwatch", "."),
        ("exp/nanwatch", "exp"),
        ("a/b/nanwatch", "a/b"),
        ("nanwatch/worker0", "."),
        ("exp/nanwatch/worker0", "exp"),
        ("nanwatch/nanwatch", "nanwatch"),
        ("nanwatch/nanwatch/worker0", "nanwatch"),
        ("nanwatch/exp/nanwatch", "nanwatch/exp"),
        (".", "."),
        ("worker0", "worker0"),
        ("exp", "exp"),
    ],
)
def test_a_watcher_is_shown_under_its_log_directory(run: str, shown: str) -> None:
    assert shown_run(run, Stream("0a")) == shown


@pytest.mark.parametrize("run", ["nanwatch", "exp/nanwatch", ".", "nanwatch/nanwatch"])
def test_a_summary_is_shown_where_the_user_wrote_it(run: str) -> None:
    assert shown_run(run, Stream("0a", "loss", "loss")) == run
