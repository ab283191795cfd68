"""All that a run writes keeps to its budget, exactly."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from tb_nanwatch.format.histograms import unpack_histograms
from tb_nanwatch.format.manifest import Manifest, unpack_manifest
from tb_nanwatch.format.records import new_window, unpack_record
from tb_nanwatch.format.tags import RECORDS_PER_BLOCK, Stream, parse_tag
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN, COLUMNS
from tb_nanwatch.stats.histogram import Histograms
from tb_nanwatch.stats.record import Record, empty_columns
from tb_nanwatch.training.budget import Budget
from tb_nanwatch.training.record_writer import RecordWriter
from tb_nanwatch.training.schedule import Every, Schedule
from tb_nanwatch.training.warnings import NaNWatchWarning

STREAM = Stream("ab")
FLUSHED = 4
"""First non-finite steps of a run that are each flushed, as a Recorder does."""


def manifest(tensors: int) -> Manifest:
    return Manifest(
        tuple(TensorInfo("gradient", "", f"g{row}", (9,), "float32") for row in range(tensors)),
        "Watcher",
    )


def record(first: int, last: int, bad: Sequence[float], bins: int, seed: int = 0) -> Record:
    """A window whose tensor i has a NaN at step `bad[i]`, or none where that is NaN."""
    random = np.random.default_rng([seed, first])
    columns = empty_columns(len(bad))
    columns[:, COLUMN["steps"]] = last - first + 1
    columns[:, COLUMN["sum_squares"]] = random.integers(0, 1000, len(bad))
    columns[:, COLUMN["min"]] = random.normal(size=len(bad))
    hit = ~np.isnan(bad)
    for name in ("nan", "nonfinite_steps"):
        columns[hit, COLUMN[name]] = 1
    for name in ("first_nonfinite_step", "last_nonfinite_step"):
        columns[:, COLUMN[name]] = bad
    histograms = Histograms(
        np.full(len(bad), bins),
        np.tile(np.arange(bins), len(bad)),
        random.integers(1, 9, bins * len(bad)),
    )
    return Record(new_window(0, 0, first, last), columns, histograms)


class File:
    """Counts what an event file would hold, byte for byte, and keeps the events."""

    def __init__(self) -> None:
        self.events: list[tuple[int, Summary]] = []
        self.bytes = 0

    def open(self) -> File:
        self._add(Event(wall_time=1.7e9, file_version="brain.Event:2"))
        return self

    def write(self, values: Sequence[Summary.Value], step: int) -> None:
        summary = Summary(value=values)
        self.events.append((step, summary))
        self._add(Event(wall_time=1.7e9, step=step, summary=summary))

    def _add(self, event: Event) -> None:
        self.bytes += 16 + event.ByteSize()  # Length, its checksum, and the content's.

    def flush(self) -> None: ...

    def close(self) -> None: ...

    def records(self) -> list[Record]:
        """The records, in order; the tags are as they should be."""
        manifests: dict[int, Manifest] = {}
        found: list[Record] = []
        for step, summary in self.events:
            for value in summary.value:
                tag = parse_tag(value.tag)
                assert tag is not None
                if tag.kind == "manifest":
                    assert tag.manifest is not None
                    content = value.tensor.string_val[0]
                    manifests[int(tag.manifest, 16)] = unpack_manifest(content)
                if tag.block is None:
                    continue  # The manifest, or the initial state.
                number = len(found) - (tag.kind == "hist")
                assert tag.block == number // RECORDS_PER_BLOCK
                if tag.kind == "stats":
                    packed = np.frombuffer(value.tensor.tensor_content, np.float64)
                    packed = packed.reshape(-1, len(COLUMNS))
                    made = unpack_record(packed, manifests[int(packed[0, 1])])
                    assert made.field("sequence") == number
                    assert made.field("last_step") == step
                    found.append(made)
                else:
                    packed = np.frombuffer(value.tensor.tensor_content, np.uint8)
                    made = found[-1]
                    found[-1] = Record(made.window, made.columns, unpack_histograms(packed))
        return found


@st.composite
def health(draw: st.DrawFn) -> list[tuple[int, frozenset[int]]]:
    """Stretches of steps, and which of three tensors are non-finite in each."""
    stretch = st.tuples(
        st.sampled_from([1, 2, 3, 17, 150, 600]), st.frozensets(st.integers(0, 2), max_size=3)
    )
    return draw(st.lists(stretch, min_size=1, max_size=40))


def train(
    schedule: Schedule,
    file: File,
    stretches: Sequence[tuple[int, frozenset[int]]],
    bins: int,
    fits: int,
) -> int:
    """Records a training step by step, as a Recorder does; returns the number of its steps."""
    writer = RecordWriter(file.open, STREAM, "memory", schedule.budget)
    what = manifest(3)
    writer.write_initial(what, record(0, 0, [np.nan] * 3, 0))
    step = window_first = nonfinite = 0
    window_last = schedule.window() - 1
    before: frozenset[int] = frozenset()
    found = [np.nan] * 3

    def write(*, by_change: bool, urgent: bool) -> None:
        nonlocal window_first, window_last, found
        made = record(window_first, step, found, bins)
        size = writer.write(what, made, urgent=urgent)
        schedule.written(size, step + 1 - window_first, by_change=by_change)
        window_first, found = step + 1, [np.nan] * 3
        window_last = step + schedule.window()

    for _ in range(fits):
        for length, bad in stretches:
            for _ in range(length):
                for tensor in bad:
                    found[tensor] = step
                nonfinite += bool(bad)
                flush = bad != before or (bad and nonfinite <= FLUSHED)
                before = bad
                if flush and schedule.takes_change():
                    write(by_change=True, urgent=True)
                elif step >= window_last and schedule.takes_record():
                    write(by_change=False, urgent=False)
                step += 1
        step -= 1
        if step >= window_first:
            write(by_change=False, urgent=True)
        step += 1
    writer.close()
    return step


@settings(max_examples=30)
@given(
    health(),
    st.one_of(st.just("auto"), st.sampled_from([1, 7, 100])),
    st.sampled_from([300, 2_000, 10_000, 40_000, 200_000]),
    st.integers(0, 40),
    st.integers(1, 3),
)
def test_no_run_outgrows_its_budget_by_a_byte(
    stretches: list[tuple[int, frozenset[int]]], every: Every, max_bytes: int, bins: int, fits: int
) -> None:
    file, schedule = File(), Schedule(every, max_bytes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NaNWatchWarning)
        steps = train(schedule, file, stretches, bins, fits)
    assert file.bytes <= schedule.budget.used <= max_bytes
    if max_bytes < 10_000:
        return
    records = file.records()
    edges = [(int(r.field("first_step")), int(r.field("last_step"))) for r in records]
    assert edges[0][0] == 0
    assert all(after[0] == before[1] + 1 for before, after in pairwise(edges))
    if fits == 1:
        assert edges[-1][1] == steps - 1  # Recorded to its end, whatever happened.
    # The first non-finite step of all is exact and ends a record of its own.
    bad_steps = [
        step for step, bad in enumerate(b for length, b in stretches for _ in range(length)) if bad
    ]
    if bad_steps:
        assert bad_steps[0] in [last for _, last in edges]


def test_the_budget_is_used() -> None:
    """It is a limit, and not a promise that next to nothing is recorded."""
    file, schedule = File(), Schedule(1, 300_000)
    train(schedule, file, [(20_000, frozenset())], 20, 1)
    assert 0.75 * 300_000 < file.bytes <= 300_000


def test_a_budget_too_small_for_one_record_is_one_warning() -> None:
    file = File()
    writer = RecordWriter(file.open, STREAM, "memory", Budget(100))
    with pytest.warns(NaNWatchWarning, match="max_bytes=100 leaves no room for"):
        assert writer.write(manifest(1), record(0, 0, [0.0], 3), urgent=True) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert writer.write(manifest(1), record(1, 1, [1.0], 3), urgent=True) == 0
    assert file.bytes == 0
