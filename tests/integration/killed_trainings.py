"""Trainings that are there to be killed; `test_killed.py` runs this and kills.

Each line of the standard input, `LOG_DIR REPORT FIRST_STEP`, forks a training that goes on until it
is killed, and is answered by its process id; a line `PROCESS_ID` by how that process ended. So
TensorFlow is imported once.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tb_nanwatch as nanwatch

BATCH, STEPS = 4, 4000


def is_bad(step: int) -> bool:
    """Whether the batch of this step holds a NaN: alone, in pairs, and never for long."""
    return step in (2, 3, 19) or step % 37 in (30, 31, 33)


class Model(keras.Model):  # type: ignore[misc]  # Keras has no types
    """Makes nothing of the tensor that holds the NaN: all else stays finite."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = keras.layers.Dense(1)

    def call(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        return self.dense(inputs["x"])


class Report(keras.callbacks.Callback):  # type: ignore[misc]
    """Puts the number of each step on disk before it begins."""

    def __init__(self, path: str, first_step: int):
        super().__init__()
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        self._first_step = first_step

    def on_train_batch_begin(self, batch: int, logs: object = None) -> None:
        os.pwrite(self._file, b"%8d" % (self._first_step + batch), 0)
        os.fsync(self._file)


def train(log_dir: str, report: str, first_step: int) -> None:
    random = np.random.default_rng(0)
    aux = np.ones((STEPS, BATCH, 2), np.float32)
    aux[[is_bad(first_step + step) for step in range(STEPS)], 1, 1] = np.nan
    x = random.normal(size=(STEPS * BATCH, 3)).astype("float32")
    model = Model()
    model.compile(keras.optimizers.SGD(1e-3), "mse", run_eagerly=True)
    model.optimizer.iterations.assign(first_step)
    model.fit(
        {"x": x, "aux": aux.reshape(-1, 2)},
        x.sum(axis=1, keepdims=True),
        batch_size=BATCH,
        shuffle=False,
        verbose=0,
        callbacks=[Report(report, first_step), nanwatch.Callback(log_dir)],
    )


def main() -> None:
    for line in sys.stdin:
        if line.strip().isdigit():
            status = os.waitpid(int(line), 0)[1]
            print(os.waitstatus_to_exitcode(status), flush=True)
            continue
        log_dir, report, first_step = line.split()
        child = os.fork()
        if child == 0:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # What the Callback says is no answer.
            try:
                train(log_dir, report, int(first_step))
            except BaseException as error:
                Path(report + ".error").write_text(repr(error))
            os._exit(0)
        print(child, flush=True)


if __name__ == "__main__":
    main()
