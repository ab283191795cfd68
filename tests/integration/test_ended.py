"""A training that ends in the middle has its open window written, and ends as it would have."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import read_recorded

import tb_nanwatch as nanwatch

SCRIPT = Path(__file__).with_name("ended_trainings.py")
TERMINATED = -signal.SIGTERM
END = 30
"""As in the trainings: the step after whose update each of them ends."""

STATUS = {
    "error_caught": 0,
    "data": 0,
    "interrupt_caught": 0,
    "sys_exit": 3,
    "terminated": TERMINATED,
    "terminated_while_writing": TERMINATED,
    "own_handler": 7,
    "dropped_watcher": 0,
    "watcher_at_exit": 0,
    "watcher_terminated": TERMINATED,
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    """The log directories of all cases, and how each of them ended."""
    logs = tmp_path_factory.mktemp("ended")
    said = subprocess.run(
        [sys.executable, str(SCRIPT), *(f"{case}={logs / case}" for case in STATUS)],
        env={**os.environ, "PYTHONPATH": str(SCRIPT.parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=300,
    ).stdout
    words = [line.split() for line in said.splitlines() if line.split()[:1] != ["NaNWatch:"]]
    statuses = {each[0]: int(each[1]) for each in words if each and each[0] in STATUS}
    return logs, {case: os.waitstatus_to_exitcode(status) for case, status in statuses.items()}


@pytest.mark.parametrize("case", STATUS)
def test_every_step_is_in_the_file(ended: tuple[Path, dict[str, int]], case: str) -> None:
    logs, statuses = ended
    assert statuses[case] == STATUS[case]
    found = read_recorded(logs / case / "nanwatch")
    assert found.windows() == [(0, END)]
    assert [int(record.field("sequence")) for record in found.records] == [0]


def compiled() -> keras.Model:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def test_the_handler_is_there_while_something_trains(tmp_path: Path) -> None:
    seen = []

    class Looks(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(signal.getsignal(signal.SIGTERM))

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    callbacks = [nanwatch.Callback(tmp_path), Looks()]
    compiled().fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=callbacks)
    assert seen[0] is not signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_handler_of_others_stays(tmp_path: Path) -> None:
    def other(*_: object) -> None:
        pass

    before = signal.signal(signal.SIGTERM, other)
    try:
        with nanwatch.Watcher(tmp_path) as watcher:
            watcher.observe(loss=tf.constant(1.0))
            watcher.step_end()
            assert signal.getsignal(signal.SIGTERM) is other
        assert signal.getsignal(signal.SIGTERM) is other
    finally:
        signal.signal(signal.SIGTERM, before)


def test_nothing_is_kept_alive_and_copies_are_made(tmp_path: Path) -> None:
    model = compiled()
    callback = nanwatch.Callback(tmp_path)
    model.fit(np.ones((4, 2)), np.ones((4, 1)), verbose=0, callbacks=[callback])
    assert pickle.loads(pickle.dumps(callback))._log_dir == str(tmp_path)
    assert copy.deepcopy(callback)._log_dir == str(tmp_path)
    known = [weakref.ref(callback), weakref.ref(callback._recorder), weakref.ref(model)]
    del model, callback
    keras.utils.clear_session()
    gc.collect()
    assert [each() for each in known[:2]] == [None, None]
