"""Windows widen so that any run fits its budget."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tb_nanwatch.training.schedule import AUTO_WINDOW, CHANGE_RECORDS, Every, Schedule


def run(schedule: Schedule, steps: int, size: int) -> tuple[list[int], int]:
    """Windows of a healthy run of so many steps, and the bytes of its records."""
    windows: list[int] = []
    done = total = 0
    while done < steps:
        window = min(schedule.window(), steps - done)
        last = done + window == steps
        if last and size > schedule.budget.left:
            break  # As whoever writes sees to it.
        if not last and not schedule.takes_record():
            break
        windows.append(window)
        schedule.budget.spend(size)
        schedule.written(size, window, by_change=False)
        done += window
        total += size
    return windows, total


def test_auto_begins_with_short_windows_and_reaches_sixteen() -> None:
    windows, _ = run(Schedule("auto"), 1000, 1000)
    assert windows[:7] == [1, 2, 4, 8, 16, 16, 16]
    assert max(windows) == AUTO_WINDOW


def test_auto_takes_histograms_of_the_first_windows_and_then_of_one_in_four() -> None:
    schedule, sampled = Schedule("auto"), []
    for _ in range(16):
        sampled.append(schedule.samples())
        schedule.written(1000, schedule.window(), by_change=False)
    assert [window for window, took in enumerate(sampled) if took] == [0, 1, 2, 3, 4, 8, 12]


def test_a_number_of_steps_takes_them_of_each_window() -> None:
    schedule = Schedule(16)
    for _ in range(16):
        assert schedule.samples()
        schedule.written(1000, 16, by_change=False)


def test_a_million_steps_make_low_thousands_of_records() -> None:
    windows, _ = run(Schedule("auto"), 1_000_000, 30_000)
    assert sum(windows) == 1_000_000
    assert 500 < len(windows) < 3000


def test_a_number_is_kept_until_the_budget_is_half_used() -> None:
    windows, _ = run(Schedule(7), 7 * 50, 1000)
    assert windows == [7] * 50


@given(
    every=st.one_of(st.just("auto"), st.integers(1, 100)),
    steps=st.integers(1, 10**6),
    size=st.integers(100, 100_000),
    max_bytes=st.integers(10**6, 10**8),
)
def test_no_run_outgrows_its_budget(every: Every, steps: int, size: int, max_bytes: int) -> None:
    windows, total = run(Schedule(every, max_bytes), steps, size)
    assert total <= max_bytes
    assert windows


def test_a_long_run_in_a_small_budget_is_recorded_to_its_end() -> None:
    windows, total = run(Schedule("auto", 2**20), 100_000, 9000)
    assert sum(windows) == 100_000
    assert total <= 2**20


def test_changes_cut_windows_short_until_there_are_too_many() -> None:
    schedule = Schedule("auto")
    taken = 0
    while schedule.takes_change():
        schedule.written(100, 1, by_change=True)
        taken += 1
    assert taken == CHANGE_RECORDS
    assert schedule.takes_record()


def test_the_first_change_is_taken_even_where_nothing_fits() -> None:
    assert Schedule("auto", max_bytes=1).takes_change()


@pytest.mark.parametrize("every", [0, -3, 1.5, "sometimes", True, None])
def test_an_every_that_is_no_number_of_steps_is_refused(every: object) -> None:
    with pytest.raises(ValueError, match='every="auto" or a number of steps'):
        Schedule(every)  # type: ignore[arg-type]


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="max_bytes"):
        Schedule("auto", 0)


def test_numpys_integers_are_numbers_too() -> None:
    schedule = Schedule(np.int64(4), np.uint32(2**20))
    assert schedule.window() == 4
    assert schedule.budget.max_bytes == 2**20
    with pytest.raises(ValueError, match="got array"):
        Schedule(np.array([1, 2]))  # type: ignore[arg-type]
