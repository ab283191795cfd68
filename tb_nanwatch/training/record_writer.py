"""Numbers records, lays them out in blocks, and survives a failing sink."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tensorboard.compat.proto.summary_pb2 import Summary

from tb_nanwatch.format.events import (
    FILE_BYTES,
    event_bytes,
    initial_value,
    logs_value,
    manifest_value,
    record_values,
    rerun_value,
)
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.nonfinite_logs import NonfiniteLogs
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.format.tags import RECORDS_PER_BLOCK, Stream
from tb_nanwatch.format.tensorboard_histograms import tensorboard_histograms
from tb_nanwatch.stats.columns import WINDOW_FIELD
from tb_nanwatch.stats.record import Record, merge
from tb_nanwatch.training.budget import Budget
from tb_nanwatch.training.protocols import Sink
from tb_nanwatch.training.warnings import warn

_MOST_SKIPPED = 32
"""Records that wait, at the most, before a failed sink is tried again."""

_RESERVED = 2
"""Bare records, without histograms, that ordinary ones leave room for: one for the first change of
what is non-finite, one for the end of the run."""


class RecordWriter:
    """Writes one stream of records to one sink.

    Args:
      open_sink: makes the sink, when there is something to write for the first time.
      stream: the identity of the stream.
      where: what a warning calls the sink.
      budget: of all that is written, exactly kept. Near its end a record is written without
        TensorBoard's histograms, and then without its own.
      tensorboard_histograms: whether to write histograms for TensorBoard's own tabs, too.

    No method raises because of the sink. The first failure is a warning; a record that could not be
    written is merged into the next one, so that neither a count nor a first step is lost, only
    where exactly in the wider window the rest was.
    """

    def __init__(
        self,
        open_sink: Callable[[], Sink],
        stream: Stream,
        where: str,
        budget: Budget,
        *,
        tensorboard_histograms: bool = False,
    ):
        self._open_sink = open_sink
        self._stream = stream
        self._where = where
        self._budget = budget
        self._tensorboard_histograms = tensorboard_histograms
        self._sink: Sink | None = None
        self._sequence = 0
        self._unwritten: tuple[Manifest, Record] | None = None
        self._lost = 0
        self._manifests: set[int] = set()
        self._failures = 0
        self._skip = 0
        self._has_failed = False
        self._is_full = False

    def write(self, manifest: Manifest, record: Record, *, urgent: bool = False) -> int:
        """Writes the record as one event.

        Fills in the window's manifest, sequence and lost_records. An `urgent` record is tried even
        where the sink has just failed, and takes what ordinary ones leave of the budget.

        Returns:
          Its size in bytes, once it is in the file; 0 if it waits.
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
        block = self._sequence // RECORDS_PER_BLOCK
        # The statistics, then the histograms.
        values = record_values(self._stream, block, record)
        mirrored = tensorboard_histograms(manifest, record) if self._tensorboard_histograms else []
        forms = ([*values, *mirrored], values, values[:1])
        if urgent:
            self._skip = 0
        bare = event_bytes(values[:1])
        # An urgent record leaves room for a bare one, unless it is bare itself.
        reserves = (bare, bare, 0) if urgent else (_RESERVED * bare,) * 3
        step = int(record.field("last_step"))
        if not self._write(manifest, zip(forms, reserves, strict=True), step):
            self._unwritten = manifest, record
            return 0
        self._unwritten = None
        self._sequence += 1
        return sum(int(value.ByteSize()) for value in values)

    def write_initial(self, manifest: Manifest, record: Record) -> None:
        """Writes the state before the first step; it has no sequence number, and never waits."""
        record.window[WINDOW_FIELD["manifest"]] = manifest.hash()
        values = [initial_value(self._stream, record)]
        reserve = _RESERVED * event_bytes(values)
        self._write(manifest, [(values, reserve)], int(record.field("last_step")))

    def write_rerun(self, rerun: Rerun) -> None:
        """Writes what re-running a step found; it never waits."""
        self._write_facts(rerun_value(self._stream, rerun), rerun.step)

    def write_logs(self, logs: NonfiniteLogs) -> None:
        """Writes logs of an epoch; it never waits."""
        self._write_facts(logs_value(self._stream, logs), logs.step)

    def _write_facts(self, value: Summary.Value, step: int) -> None:
        reserve = _RESERVED * event_bytes([value])
        self._write(None, [([value], reserve)], step)

    def close(self) -> None:
        """Closes the sink; a later write opens it again."""
        sink, self._sink = self._sink, None
        if sink is not None:
            self._attempt(sink.close)

    def _write(
        self, manifest: Manifest | None, forms: Iterable[tuple[list[Summary.Value], int]], step: int
    ) -> bool:
        """Writes the first of the forms, given with a reserve of bytes, that leaves its reserve.

        The manifest, if there is one, goes before it where it is not in the file yet.
        """
        if self._skip:
            self._skip -= 1
            return False
        is_known = manifest is None or manifest.hash() in self._manifests
        head = [] if manifest is None or is_known else [manifest_value(self._stream, manifest)]
        size = 0
        for form, reserve in forms:
            values = [*head, *form]
            size = event_bytes(values) + (FILE_BYTES if self._sink is None else 0)
            if size + reserve <= self._budget.left:
                break
        else:
            self._warn_full(size)
            return False

        def write() -> None:
            if self._sink is None:
                self._sink = self._open_sink()
            self._sink.write(values, step)
            self._sink.flush()
            self._failures = 0

        self._budget.spend(size)  # Where it fails, part of it may stand in the file all the same.
        if not self._attempt(write):
            # Or the file may be gone: go on in a new one, complete in itself. And ever more rarely,
            # as each try that fails prints lines of TensorFlow's own.
            self._sink = None
            self._manifests.clear()
            self._skip = min(2**self._failures, _MOST_SKIPPED)
            return False
        if manifest is not None:
            self._manifests.add(manifest.hash())
        return True

    def _warn_full(self, size: int) -> None:
        if not self._is_full:
            self._is_full = True
            warn(
                f"max_bytes={self._budget.max_bytes:,} leaves no room for {size:,} more bytes. "
                "Training goes on, but later steps may not be recorded. Increase max_bytes, or "
                "watch fewer tensors."
            )

    def _attempt(self, act: Callable[[], None]) -> bool:
        try:
            act()
        # Backends have errors of their own (TensorFlow's OpError is no OSError), and whatever it
        # is, the watched training must continue.
        except Exception as error:
            self._failures += 1
            if not self._has_failed:
                self._has_failed = True
                warn(
                    f"cannot write to {self._where} ({type(error).__name__}: {error}). Training "
                    "goes on; records are merged until writing works again. Free disk space or "
                    "choose another log_dir."
                )
            return False
        return True
