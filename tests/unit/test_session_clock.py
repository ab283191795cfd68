"""Clocks that are put back, and the names and times that recordings get all the same."""

from __future__ import annotations

from tb_nanwatch.training.session import ForwardClock, new_session


def test_a_clock_that_goes_forward_is_the_systems() -> None:
    times = iter([10.0, 10.5, 12.0])
    clock = ForwardClock(system=lambda: next(times))
    assert [clock() for _ in range(3)] == [10.0, 10.5, 12.0]


def test_a_clock_that_is_put_back_goes_on() -> None:
    """At the pace of the system's from there on: durations stay right."""
    times = iter([100.0, 101.0, 41.0, 43.0, 42.0, 50.0])
    clock = ForwardClock(system=lambda: next(times))
    assert [clock() for _ in range(6)] == [100, 101, 101, 103, 103, 111]


def test_a_clock_begins_no_earlier_than_it_was() -> None:
    times = iter([30.0, 35.0])
    clock = ForwardClock(100.0, lambda: next(times))
    assert [clock(), clock()] == [100.0, 105.0]


def test_sessions_sort_by_the_time_that_they_are_given() -> None:
    names = [new_session(1.7e9 + seconds) for seconds in (0, 0.001, 3600)]
    assert names == sorted(names)
    assert len(set(names) | {new_session(1.7e9)}) == 4
    assert names[-1] < new_session() < new_session(2.5e9)
