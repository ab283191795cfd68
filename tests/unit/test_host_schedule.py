"""At which steps the host looks, and with what it ends a window."""

from __future__ import annotations

from tb_nanwatch.training.host_schedule import HostSchedule
from tb_nanwatch.training.schedule import Schedule
from tb_nanwatch.training.step_counters import StepCounters, largest


def counters(next_step: int, *, flush: int = 0) -> StepCounters:
    return StepCounters(next_step, flush, 0, -1, 0, 0, 0, 0)


def test_the_first_step_is_looked_at_and_then_the_end_of_each_window() -> None:
    host = HostSchedule(Schedule(every=8))
    assert host.begin_run(100) == (100, True)
    assert not host.is_record_due(counters(101))
    assert host.reschedule(counters(101)) == (107, True)
    assert host.reschedule(counters(102)) is None
    assert host.is_record_due(counters(108))
    host.end_window(counters(108), 1000, by_change=False)
    assert host.begin_window(108) == (115, True)
    assert host.first_step == 108


def test_a_change_ends_a_window_early() -> None:
    host = HostSchedule(Schedule(every=8))
    host.begin_run(0)
    assert host.is_change_due(counters(3, flush=1))
    assert not host.is_change_due(counters(3))


def test_of_several_replicas_the_largest_counters_hold() -> None:
    one, other = StepCounters(5, 0, 2, 4, 0, 1, 0, 0), StepCounters(5, 1, 0, -1, 3, 0, 2, 1)
    assert largest([one, other]) == StepCounters(5, 1, 2, 4, 3, 1, 2, 1)
    assert largest([one]) is one
