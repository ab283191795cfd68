"""An event file of our own, written by TensorFlow's C++ writer."""

from __future__ import annotations

import os
from collections.abc import Sequence

import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary


class TensorFlowSink:
    """Writes to a new event file in `directory`, on any file system that `tf.io.gfile` knows.

    TensorFlow's writer reports neither a full disk nor a file that was removed (seen on 2.21: its
    flush succeeds). So on a local file system `flush` looks whether the file has grown, and raises
    OSError where it has not.
    """

    def __init__(self, directory: str):
        with tf.init_scope():
            tf.io.gfile.makedirs(directory)
            before = set(tf.io.gfile.listdir(directory))
            self._writer = tf.summary.create_file_writer(directory)
            self._writer.flush()  # The file is made at the first flush.
            new = sorted(set(tf.io.gfile.listdir(directory)) - before)
        is_local = "://" not in directory and len(new) == 1
        self._file = os.path.join(directory, new[0]) if is_local else None
        self._expected = os.path.getsize(self._file) if self._file else 0

    def write(self, values: Sequence[Summary.Value], step: int) -> None:
        message = Summary(value=values).SerializeToString()
        with tf.init_scope(), self._writer.as_default(), tf.summary.record_if(True):
            tf.summary.experimental.write_raw_pb(message, step=step)
        self._expected += len(message)

    def flush(self) -> None:
        with tf.init_scope():
            self._writer.flush()
        if self._file and os.path.getsize(self._file) < self._expected:
            raise OSError(f"{self._file} did not grow: the disk is full, or the file was replaced")

    def close(self) -> None:
        with tf.init_scope():
            self._writer.close()
