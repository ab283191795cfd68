"""Trainings that end in the middle; `test_ended.py` runs this.

Each argument, `CASE=LOG_DIR`, is forked into a process of its own, so that TensorFlow is imported
once. For each its wait status is printed.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tb_nanwatch as nanwatch
from tb_nanwatch.training.record_writer import RecordWriter

END = 30
"""The step after whose update the training ends."""


class At(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Does something once that many steps are done."""

    def __init__(self, act: Callable[[], object]):
        super().__init__()
        self._act = act

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == END:
            self._act()


class Data(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches, one of which cannot be made."""

    def __len__(self) -> int:
        return 100

    def __getitem__(self, batch: int) -> Any:
        if batch > END:
            raise ValueError("no such file")
        return np.ones((4, 2), np.float32), np.ones((4, 1), np.float32)


def fit(log_dir: str, *callbacks: Any, data: Any = None, **options: Any) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    watch = nanwatch.Callback(log_dir, every=1000, **options)
    x, y = (data, None) if data else (np.ones((400, 2)), np.ones((400, 1)))
    batch_size = None if data else 4
    model.fit(x, y, batch_size=batch_size, shuffle=False, verbose=0, callbacks=[watch, *callbacks])


def raised(error: type[BaseException]) -> At:
    def act() -> None:
        raise error

    return At(act)


def loop(log_dir: str) -> Iterator[nanwatch.Watcher]:
    watcher = nanwatch.Watcher(log_dir, every=1000)
    for step in range(100):
        watcher.observe(loss=tf.constant(1.0))
        watcher.step_end()
        if step == END:
            yield watcher


def caught(error: type[BaseException], run: Callable[[], None]) -> None:
    """Ends at once afterwards, as a notebook does that is killed later on."""
    try:
        run()
    except error:
        pass
    else:
        raise AssertionError("nothing was raised")
    os._exit(0)


def terminate() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def terminate_while_writing(log_dir: str) -> None:
    write = RecordWriter.write

    def write_and_terminate(self: Any, *args: Any, **kwargs: Any) -> Any:
        terminate()
        return write(self, *args, **kwargs)

    RecordWriter.write = write_and_terminate  # type: ignore[method-assign]
    for watcher in loop(log_dir):
        watcher.close()
        os._exit(9)  # Not reached.


def own_handler(log_dir: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    fit(log_dir, At(terminate))


def dropped_watcher(log_dir: str) -> None:
    next(loop(log_dir))
    gc.collect()
    os._exit(0)


def watcher_at_exit(log_dir: str) -> None:
    for watcher in loop(log_dir):
        globals()["watcher"] = watcher
        return


def watcher_terminated(log_dir: str) -> None:
    for _ in loop(log_dir):
        terminate()


CASES: dict[str, Callable[[str], object]] = {
    "error_caught": lambda logs: caught(ValueError, lambda: fit(logs, raised(ValueError))),
    "data": lambda logs: caught(Exception, lambda: fit(logs, data=Data())),
    "interrupt_caught": lambda logs: caught(
        KeyboardInterrupt, lambda: fit(logs, raised(KeyboardInterrupt))
    ),
    "sys_exit": lambda logs: fit(logs, At(lambda: sys.exit(3))),
    "terminated": lambda logs: fit(logs, At(terminate)),
    "terminated_while_writing": terminate_while_writing,
    "own_handler": own_handler,
    "dropped_watcher": dropped_watcher,
    "watcher_at_exit": watcher_at_exit,
    "watcher_terminated": watcher_terminated,
}


def main() -> None:
    for word in sys.argv[1:]:
        case, _, log_dir = word.partition("=")
        child = os.fork()
        if not child:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            CASES[case](log_dir)
            return
        print(case, os.waitpid(child, 0)[1], flush=True)


if __name__ == "__main__":
    main()
