"""An event file of our own, written by TensorFlow's C++ writer of records."""

from __future__ import annotations

import itertools
import os
import re
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary

from tb_nanwatch.training.session import ForwardClock

_FILE_VERSION = "brain.Event:2"
"""What TensorBoard expects an event file to begin with."""

_FILE_NAME = re.compile(r"events\.out\.tfevents\.([0-9]{1,11})\.")

_WORKER = re.compile(r"[a-z_]+-[0-9]+/?")
"""A worker's directory, by its name (`graph.replicas.worker_name`)."""

_numbers = itertools.count()


def clock_for(directory: str) -> ForwardClock:
    """A clock for what is written to a directory next: no earlier than what is there, whatever the
    system's clock says by now."""
    last = _last_written(directory)
    # A file system may have whole seconds.
    return ForwardClock(last + 1 if time.time() < last else 0.0)


def _last_written(directory: str) -> float:
    """When an event file in the directory, or of a worker, was last written, as far as is known.

    Seconds since the epoch; 0.0 for none. On other than local file systems, which take long to ask
    about each file, when the last one was begun.
    """
    times = [0.0]
    with suppress(tf.errors.OpError, OSError):
        names = tf.io.gfile.listdir(directory)
        workers = [name for name in names if _WORKER.fullmatch(name)]
        for folder in (directory, *(os.path.join(directory, name) for name in workers)):
            for name in tf.io.gfile.listdir(folder):
                begun = _FILE_NAME.match(name)
                if begun is not None:
                    is_local = "://" not in directory
                    path = os.path.join(folder, name)
                    times.append(os.path.getmtime(path) if is_local else float(begun[1]))
    return max(times)


class TensorFlowSink:
    """Writes to a new event file in `directory`, on any file system that `tf.io.gfile` knows.

    An event file is a file of records, each an `Event`. TensorFlow's record writer raises where the
    disk is full, which its summary writer does not, and takes a tenth of the time. Neither notices
    that the file was removed: on a local file system `flush` checks that the file has grown, and
    raises OSError if it has not.

    Args:
      directory: of the file.
      clock: seconds since the epoch, for the times of events and for the name of the file.
    """

    def __init__(self, directory: str, clock: Callable[[], float] = time.time):
        tf.io.gfile.makedirs(directory)
        self._clock = clock
        # The name that TensorFlow uses, too; numbered, as several may be created at once, and of a
        # fixed width, because TensorBoard sorts by it.
        process = f"{socket.gethostname()}.{os.getpid()}.{next(_numbers):06d}"
        name = f"events.out.tfevents.{int(clock()):010d}.{process}.v2"
        self._path = os.path.join(directory, name)
        self._is_local = "://" not in directory
        self._expected = 0
        self._writer = tf.io.TFRecordWriter(self._path)
        self._put(Event(wall_time=clock(), file_version=_FILE_VERSION))
        self.flush()

    def write(self, values: Sequence[Summary.Value], step: int) -> None:
        self._put(Event(wall_time=self._clock(), step=step, summary=Summary(value=values)))

    def _put(self, event: Event) -> None:
        content = event.SerializeToString()
        self._writer.write(content)
        self._expected += len(content)

    def flush(self) -> None:
        self._writer.flush()
        if self._is_local and os.path.getsize(self._path) < self._expected:
            raise OSError(f"{self._path} did not grow: it was replaced by another")

    def close(self) -> None:
        self._writer.close()
