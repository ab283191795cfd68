"""`on_finding=`, of a Callback and of a Watcher, in real trainings."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tb_nanwatch as nanwatch

X = np.ones((24, 4), "float32")
X[9, 1] = np.nan


def fit(callback: nanwatch.Callback) -> keras.Model:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    model.fit(X, X[:, :1], batch_size=8, shuffle=False, verbose=0, callbacks=[callback])
    return model


@pytest.mark.parametrize("policy", ["record", "stop"])
def test_a_callback_calls_it_once_and_so_does_a_copy(tmp_path: Path, policy: Any) -> None:
    got: list[Any] = []
    callback = nanwatch.Callback(tmp_path, on_nonfinite=policy, on_finding=got.append)
    fit(callback)
    assert [(each["cause"], each["step"]) for each in got] == [("nonfinite-input", 1)]
    fit(copy.deepcopy(callback))  # As KerasTuner does.
    assert len(got) == 2


def test_a_training_goes_on_after_what_it_raises(tmp_path: Path) -> None:
    def fail(finding: Any) -> None:
        raise ValueError(finding["cause"])

    with pytest.warns(nanwatch.NaNWatchWarning, match="on_finding raised ValueError: nonfinite"):
        model = fit(nanwatch.Callback(tmp_path, on_finding=fail))
    assert int(model.optimizer.iterations) == 3


def test_a_watcher_calls_it_once(tmp_path: Path) -> None:
    got: list[Any] = []
    with nanwatch.Watcher(tmp_path, on_finding=got.append) as watcher:
        for first in (0, 8, 16):
            watcher.observe(input=tf.constant(X[first : first + 8]))
            watcher.step_end()
    assert [(each["cause"], each["step"]) for each in got] == [("nonfinite-input", 1)]
