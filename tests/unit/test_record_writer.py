"""Records are numbered and laid out in blocks; a failing sink costs records, not the training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from tensorboard.compat.proto.summary_pb2 import Summary

from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.records import new_window
from tb_nanwatch.format.tags import RECORDS_PER_BLOCK, Stream, parse_tag
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD
from tb_nanwatch.stats.record import Record, empty_columns
from tb_nanwatch.training.budget import Budget
from tb_nanwatch.training.record_writer import RecordWriter
from tb_nanwatch.training.warnings import NaNWatchWarning

MANIFEST = Manifest(
    (TensorInfo("gradient", "dense", "dense/kernel", (2, 3), "float32"),), "Watcher"
)


class MemorySink:
    """Keeps what it is given; raises while `full`."""

    def __init__(self) -> None:
        self.events: list[tuple[int, list[Summary.Value]]] = []
        self.full = False
        self.opened = 0

    def open(self) -> MemorySink:
        self.opened += 1
        return self

    def write(self, values: Sequence[Summary.Value], step: int) -> None:
        self.events.append((step, list(values)))

    def flush(self) -> None:
        if self.full:
            self.events.pop()
            raise OSError("No space left on device")

    def close(self) -> None:
        if self.full:
            raise OSError("No space left on device")

    def packed(self) -> list[np.ndarray]:
        return [
            np.frombuffer(value.tensor.tensor_content).reshape(2, -1)
            for _, values in self.events
            for value in values
            if "/stats/" in value.tag
        ]

    def windows(self) -> list[np.ndarray]:
        return [record[0] for record in self.packed()]

    def columns(self) -> list[np.ndarray]:
        return [record[1] for record in self.packed()]


def record(step: int, nan: int = 0) -> Record:
    columns = empty_columns(1)
    columns[0, COLUMN["nan"]] = nan
    return Record(new_window(0, 0, step, step), columns)


def test_records_are_numbered_and_the_manifest_comes_once() -> None:
    sink = MemorySink()
    writer = RecordWriter(sink.open, Stream("ab"), "memory", Budget())
    for step in range(RECORDS_PER_BLOCK + 1):
        assert writer.write(MANIFEST, record(step)) > 0
    tags = [parse_tag(value.tag) for _, values in sink.events for value in values]
    assert [tag.kind for tag in tags if tag][:3] == ["manifest", "stats", "stats"]
    assert [tag.kind for tag in tags if tag].count("manifest") == 1
    blocks = {tag.block for tag in tags if tag and tag.kind == "stats"}
    assert blocks == {0, 1}
    numbers = [window[WINDOW_FIELD["sequence"]] for window in sink.windows()]
    assert numbers == list(range(RECORDS_PER_BLOCK + 1))


def test_a_full_disk_is_one_warning_and_loses_no_count() -> None:
    sink = MemorySink()
    writer = RecordWriter(sink.open, Stream("ab"), "/logs/nanwatch", Budget())
    writer.write(MANIFEST, record(0))
    sink.full = True
    with pytest.warns(NaNWatchWarning, match="cannot write to /logs/nanwatch .*No space left"):
        assert writer.write(MANIFEST, record(1)) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(2, 10):
            assert writer.write(MANIFEST, record(step, nan=step)) == 0
        writer.close()
        sink.full = False
        assert writer.write(MANIFEST, record(10, nan=1), urgent=True) > 0
        writer.write(MANIFEST, record(11))
    # What could not be written is in the record that could, and no number is missing.
    windows = sink.windows()
    assert [window[WINDOW_FIELD["sequence"]] for window in windows] == [0, 1, 2]
    assert [window[WINDOW_FIELD["first_step"]] for window in windows] == [0, 1, 11]
    assert [window[WINDOW_FIELD["last_step"]] for window in windows] == [0, 10, 11]
    assert sink.columns()[1][COLUMN["nan"]] == sum(range(2, 10)) + 1
    # It went to a sink opened anew, complete in itself.
    assert sink.opened >= 2
    assert ["/manifest/" in values[0].tag for _, values in sink.events] == [True, True, False]


def test_a_failed_sink_is_tried_again_ever_more_rarely_but_not_for_ever() -> None:
    sink = MemorySink()
    writer = RecordWriter(sink.open, Stream("ab"), "memory", Budget())
    sink.full = True
    with pytest.warns(NaNWatchWarning, match="cannot write"):
        writer.write(MANIFEST, record(0))
    for step in range(1, 200):
        writer.write(MANIFEST, record(step))
    assert 6 < sink.opened < 20
    sink.full = False
    assert any(writer.write(MANIFEST, record(step)) for step in range(200, 240))


def test_what_cannot_be_merged_is_counted_as_lost() -> None:
    sink = MemorySink()
    writer = RecordWriter(sink.open, Stream("ab"), "memory", Budget())
    sink.full = True
    with pytest.warns(NaNWatchWarning, match="cannot write"):
        writer.write(MANIFEST, record(0))
    sink.full = False
    other = Manifest(MANIFEST.tensors, "Callback")
    assert writer.write(other, record(1), urgent=True) > 0
    (window,) = sink.windows()
    assert window[WINDOW_FIELD["lost_records"]] == 1
    assert window[WINDOW_FIELD["sequence"]] == 1


def test_a_warning_that_is_an_error_is_logged_instead(caplog: pytest.LogCaptureFixture) -> None:
    sink = MemorySink()
    sink.full = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        writer = RecordWriter(sink.open, Stream("ab"), "memory", Budget())
        assert writer.write(MANIFEST, record(0)) == 0
    assert "cannot write to memory" in caplog.text
