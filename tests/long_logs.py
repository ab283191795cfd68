"""Long recordings, as the writer lays them out, made without any framework."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.records import new_window
from tb_nanwatch.format.tags import Stream
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.histogram import Histograms
from tb_nanwatch.stats.record import Record, empty_columns
from tb_nanwatch.training.budget import Budget
from tb_nanwatch.training.record_writer import RecordWriter

TENSORS = 3


class Sink:
    """An event file by TensorBoard's own writer."""

    def __init__(self, folder: Path, wall_time: float):
        self._file = EventFileWriter(str(folder), filename_suffix=f".{wall_time}")
        self._wall_time = wall_time

    def write(self, values: Sequence[Summary.Value], step: int) -> None:
        self._wall_time += 0.25
        event = Event(step=step, wall_time=self._wall_time, summary=Summary(value=values))
        self._file.add_event(event)

    def flush(self) -> None: ...  # Not after each of thousands of events.

    def put(self) -> None:
        """Puts all that was written into the file."""
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def manifest(worker: str = "", tensors: int = TENSORS) -> Manifest:
    infos = [TensorInfo("gradient", "", f"g{row}", (9,), "float32") for row in range(tensors)]
    return Manifest(tuple(infos), "Watcher", worker=worker)


def record(
    first: int, last: int, bad: Sequence[int], tensors: int = TENSORS, bins: int = 3
) -> Record:
    """A window whose tensors 1 and 2 are non-finite at the steps `bad`."""
    random = np.random.default_rng(first)
    columns = empty_columns(tensors)
    columns[:, COLUMN["steps"]] = last - first + 1
    columns[:, COLUMN["largest_norm"]] = random.integers(1, 1000, tensors)
    columns[:, COLUMN["sampled_elements"]] = 9
    columns[:, COLUMN["zero"]] = random.integers(0, 9, tensors)
    columns[:, COLUMN["min"]] = -random.integers(1, 9, tensors)
    columns[:, COLUMN["max"]] = random.integers(1, 9, tensors)
    mine = [step for step in bad if first <= step <= last]
    if mine:
        columns[1:3, COLUMN["nan"]] = [len(mine), 2 * len(mine)]
        columns[1, COLUMN["pos_inf"]] = 1
        columns[1:3, COLUMN["nonfinite_steps"]] = len(mine)
        columns[1:3, COLUMN["first_nonfinite_step"]] = mine[0]
        columns[1:3, COLUMN["last_nonfinite_step"]] = mine[-1]
    codes = np.tile(np.arange(bins), tensors)
    histograms = Histograms(np.full(tensors, bins), codes, random.integers(1, 9, len(codes)))
    return Record(new_window(0, 0, first, last), columns, histograms)


def write_session(
    folder: Path,
    session: str,
    records: int,
    *,
    begin: int = 0,
    width: int = 1,
    bad: Sequence[int] = (),
    wall_time: float = 1.7e9,
    max_bytes: int = 2**30,
    worker: str = "",
    tensors: int = TENSORS,
    bins: int = 3,
) -> None:
    """A session of so many records, each of `width` steps, from the step `begin` on."""
    what = manifest(worker, tensors)
    where = Stream(session)
    writer = RecordWriter(lambda: Sink(folder, wall_time), where, "memory", Budget(max_bytes))
    for number in range(records):
        first = begin + number * width
        writer.write(what, record(first, first + width - 1, bad, tensors, bins), urgent=True)
    writer.close()
