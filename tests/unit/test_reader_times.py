"""When the steps of a run were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tb_nanwatch.reader.times import MOST_TIMES, times


@dataclass
class Written:
    first: np.ndarray
    last: np.ndarray
    wall_times: np.ndarray


def written(*records: tuple[int, int, float]) -> Written:
    first, last, walls = zip(*records, strict=True)
    return Written(np.array(first), np.array(last), np.array(walls, float))


def test_a_step_begins_when_the_one_before_it_was_written() -> None:
    found = times([written((0, 3, 100.0), (4, 7, 102.0), (8, 8, 102.5))])
    assert found is not None
    assert found.steps.tolist() == [0, 4, 8, 9]
    assert found.seconds.tolist() == [98.0, 100.0, 102.0, 102.5]


def test_a_pause_is_given_to_the_step_after_it() -> None:
    found = times([written((0, 3, 4.0), (4, 7, 8.0), (8, 11, 12.0)), written((12, 15, 1000.0))])
    assert found is not None
    assert found.steps.tolist() == [0, 4, 8, 12, 13, 16]
    assert found.seconds.tolist() == [0.0, 4.0, 8.0, 12.0, 997.0, 1000.0]


def test_of_several_workers_the_last_counts_and_time_never_goes_back() -> None:
    found = times([written((0, 0, 1.0), (1, 1, 9.0), (2, 2, 5.0)), written((0, 0, 2.0))])
    assert found is not None
    assert dict(zip(found.steps.tolist(), found.seconds.tolist(), strict=True)) == {
        **{0: -5.0, 1: 2.0, 2: 9.0}
    }


@pytest.mark.parametrize(
    "records", [[], [written((0, 9, 7.0))], [written((0, 3, 7.0), (4, 7, 7.0), (8, 9, np.nan))]]
)
def test_nothing_is_told_where_nothing_is_known(records: list[Written]) -> None:
    assert times(records) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 40), st.floats(0, 1e9)),
        min_size=1,
        max_size=60,
    )
)
def test_times_ascend_from_the_first_step_on(gaps: list[tuple[int, int, float]]) -> None:
    step, records = 0, []
    for gap, more, wall in gaps:
        records.append((step + gap, step + gap + more, wall))
        step += gap + more + 1
    found = times([written(*records)])
    if found is None:
        assert all(wall <= records[0][2] for *_, wall in records)
        return
    assert found.steps[0] == records[0][0]
    assert (np.diff(found.steps) > 0).all()
    assert (np.diff(found.seconds) > 0).all()


def test_a_long_run_has_as_many_times_as_a_page_shows() -> None:
    # A night before step 3,333.
    walls = [step + 30_000.0 * (step >= 3333) for step in range(5000)]
    found = times([written(*((step, step, wall) for step, wall in enumerate(walls)))])
    assert found is not None
    assert MOST_TIMES // 2 < len(found.steps) <= MOST_TIMES
    assert (found.steps[[0, -1]].tolist(), found.seconds[-1]) == ([0, 5000], 34_999.0)
    longest = int(np.argmax(np.diff(found.seconds)))
    assert found.steps[[longest, longest + 1]].tolist() == [3333, 3334]
    assert np.diff(found.seconds)[longest] == 30_001.0
