"""Numbers records, lays them out in blocks, and never lets a failing sink reach the training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from tensorboard.compat.proto.summary_pb2 import Summary

from tb_nanwatch.schema.columns import WINDOW_FIELD
from tb_nanwatch.schema.tags import RECORDS_PER_BLOCK, Stream
from tb_nanwatch.stats.record import Record, merge
from tb_nanwatch.wire.events import initial_value, manifest_value, record_values
from tb_nanwatch.wire.manifest import Manifest
from tb_nanwatch.writer.warnings import warn

_MOST_SKIPPED = 32
"""Records that wait, at the most, before a failed sink is tried again."""


class Sink(Protocol):
    """Where events go. Any of its methods may raise OSError or its backend's own error."""

    def write(self, values: Sequence[Summary.Value], step: int) -> None:
        """Adds one event."""

    def flush(self) -> None:
        """Returns when everything written is in the file."""

    def close(self) -> None:
        """Flushes and closes."""


class RecordWriter:
    """Writes one stream of records to one sink.

    Args:
      open_sink: makes the sink, when there is something to write for the first time.
      stream: the identity of the stream.
      where: what a warning calls the sink.

    No method raises because of the sink. The first failure is a warning; a record that could not be
    written is merged into the next one, so that neither a count nor a first step is lost, only
    where exactly in the wider window the rest was.
    """

    def __init__(self, open_sink: Callable[[], Sink], stream: Stream, where: str):
        self._open_sink = open_sink
        self._stream = stream
        self._where = where
        self._sink: Sink | None = None
        self._sequence = 0
        self._unwritten: tuple[Manifest, Record] | None = None
        self._lost = 0
        self._manifests: set[int] = set()
        self._failures = 0
        self._skip = 0
        self._warned = False

    def write(self, manifest: Manifest, record: Record, *, urgent: bool = False) -> int:
        """Writes the record and returns its size in bytes once it is in the file; 0 if it waits.

        Fills in the window's manifest, sequence and lost_records. An `urgent` record is tried even
        where the sink has just failed.
        """
        if self._unwritten is not None:
            unwritten_manifest, unwritten = self._unwritten
            if unwritten_manifest == manifest:
                record = merge([unwritten, record])
            else:
                self._lost += 1
                self._sequence += 1
        record.window[WINDOW_FIELD["manifest"]] = manifest.hash()
        record.window[WINDOW_FIELD["sequence"]] = self._sequence
        record.window[WINDOW_FIELD["lost_records"]] = self._lost
        values = record_values(self._stream, 0, self._sequence // RECORDS_PER_BLOCK, record)
        if urgent:
            self._skip = 0
        written = self._write(manifest, values, int(record.field("last_step")))
        self._unwritten = None if written else (manifest, record)
        self._sequence += written > 0
        return written

    def write_initial(self, manifest: Manifest, record: Record) -> int:
        """Writes the state before the first step, as `write` does; it has no sequence number."""
        record.window[WINDOW_FIELD["manifest"]] = manifest.hash()
        value = initial_value(self._stream, record)
        return self._write(manifest, [value], int(record.field("last_step")))

    def close(self) -> None:
        """Closes the sink; a later write opens it again."""
        sink, self._sink = self._sink, None
        if sink is not None:
            self._attempt(sink.close)

    def _write(self, manifest: Manifest, values: list[Summary.Value], step: int) -> int:
        digest = manifest.hash()
        if digest not in self._manifests:
            values = [manifest_value(self._stream, manifest), *values]

        def write() -> None:
            if self._sink is None:
                self._sink = self._open_sink()
            self._sink.write(values, step)
            self._sink.flush()
            self._failures = 0

        if self._skip:
            self._skip -= 1
            return 0
        if not self._attempt(write):
            # Part of an event may stand in the file, or the file may be gone: go on in a new one,
            # complete in itself. And ever more rarely, as each try that fails prints lines of
            # TensorFlow's own.
            self._sink = None
            self._manifests.clear()
            self._skip = min(2**self._failures, _MOST_SKIPPED)
            return 0
        self._manifests.add(digest)
        return sum(value.ByteSize() for value in values)

    def _attempt(self, act: Callable[[], None]) -> bool:
        try:
            act()
        # Backends have errors of their own (TensorFlow's OpError is no OSError), and whatever it
        # is, the training that is watched must go on.
        except Exception as error:
            self._failures += 1
            if not self._warned:
                self._warned = True
                warn(
                    f"cannot write to {self._where} ({type(error).__name__}: {error}). Training "
                    "goes on; records are merged until writing works again. Free space or choose "
                    "another log_dir."
                )
            return False
        return True
