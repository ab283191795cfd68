"""Records are numbered and laid out in blocks; a failing sink costs records, not the training."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pytest
from tensorboard.compat.proto.summary_pb2 import Summary

from tb_nanwatch.schema.columns import WINDOW_FIELD
from tb_nanwatch.schema.tags import RECORDS_PER_BLOCK, Stream, parse_tag
from tb_nanwatch.stats.record import Record, empty_columns
from tb_nanwatch.wire.manifest import Manifest, TensorInfo
from tb_nanwatch.wire.records import new_window
from tb_nanwatch.writer.record_writer import RecordWriter

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

    def windows(self) -> list[np.ndarray]:
        packed = [
            np.frombuffer(value.tensor.tensor_content).reshape(2, -1)
            for _, values in self.events
            for value in values
            if "/stats/" in value.tag
        ]
        return [record[0] for record in packed]


def record(step: int) -> Record:
    return Record(new_window(0, 0, step, step), empty_columns(1))


def test_records_are_numbered_and_the_manifest_comes_once() -> None:
    sink = MemorySink()
    writer = RecordWriter(sink.open, Stream("ab"), "memory")
    for step in range(RECORDS_PER_BLOCK + 1):
        assert writer.write(MANIFEST, record(step)) > 0
    tags = [parse_tag(value.tag) for _, values in sink.events for value in values]
    assert [tag.kind for tag in tags if tag][:3] == ["manifest", "stats", "stats"]
    assert [tag.kind for tag in tags if tag].count("manifest") == 1
    assert {tag.block for tag in tags if tag and tag.kind == "stats"} == {0, 1}
    numbers = [window[WINDOW_FIELD["sequence"]] for window in sink.windows()]
    assert numbers == list(range(RECORDS_PER_BLOCK + 1))


def test_a_full_disk_is_one_warning_and_counted() -> None:
    sink = MemorySink()
    writer = RecordWriter(sink.open, Stream("ab"), "/logs/nanwatch")
    writer.write(MANIFEST, record(0))
    sink.full = True
    with pytest.warns(RuntimeWarning, match="cannot write to /logs/nanwatch .*No space left"):
        assert writer.write(MANIFEST, record(1)) == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for step in range(2, 10):
            assert writer.write(MANIFEST, record(step)) == 0
        writer.close()
        sink.full = False
        written = [writer.write(MANIFEST, record(step)) for step in range(10, 60)]
    assert any(written)
    first = sink.windows()[1]
    assert first[WINDOW_FIELD["lost_records"]] == first[WINDOW_FIELD["sequence"]] - 1
    assert writer.lost_records == written.count(0) + 9
    # What was written after the failure went to a sink opened anew.
    assert sink.opened >= 2


def test_a_warning_that_is_an_error_is_logged_instead(caplog: pytest.LogCaptureFixture) -> None:
    sink = MemorySink()
    sink.full = True
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert RecordWriter(sink.open, Stream("ab"), "memory").write(MANIFEST, record(0)) == 0
    assert "cannot write to memory" in caplog.text
