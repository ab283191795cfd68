"""Several recordings in one log directory, by real trainings."""

from __future__ import annotations

import json
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from provider import ACCESS, Provider

import tb_nanwatch as nanwatch
from tb_nanwatch.cli import main
from tb_nanwatch.reader import Reader


@pytest.mark.parametrize("shared_callback", [False, True])
def test_a_broken_fold_is_reported_beside_the_healthy_ones(
    tmp_path: Path, shared_callback: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(size=(90, 4)).astype("float32"), random.normal(size=(90, 1))
    x[40] = np.nan  # It is training data in the first of the folds, validation data in the second.
    callback = nanwatch.Callback(tmp_path / "exp")
    for fold in (2, 1):
        keras.utils.set_random_seed(fold)
        # The names of a session that was cleared; that takes minutes at the end of many tests.
        layers = [keras.Input((4,)), keras.layers.Dense(1, name="dense")]
        model = keras.Sequential(layers, name="sequential")
        model.compile("sgd", "mse")
        kept = np.arange(90) // 30 != fold
        if not shared_callback:
            callback = nanwatch.Callback(tmp_path / "exp")
        model.fit(x[kept], y[kept], batch_size=10, shuffle=False, verbose=0, callbacks=[callback])

    capsys.readouterr()
    assert main(["report", str(tmp_path), "--json"]) == 1
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert [run["run"] for run in runs] == ["exp", "exp/2"]
    assert [run["status"] for run in runs] == ["nonfinite", "healthy"]
    assert runs[0]["findings"][0]["step"] == 4
    assert [(run["first_step"], run["last_step"]) for run in runs] == [(0, 5)] * 2


def observe(watcher: nanwatch.Watcher, steps: int) -> None:
    with watcher:
        for _ in range(steps):
            watcher.observe(loss=tf.constant(1.0))
            watcher.step_end()


def test_recordings_stay_in_order_where_the_clock_was_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = time.time
    observe(nanwatch.Watcher(tmp_path, every=1), 8)
    # In the second recording, and once more within the third.
    back = 86_400.0
    monkeypatch.setattr(time, "time", lambda: system() - back)
    observe(nanwatch.Watcher(tmp_path, every=1, first_step=5), 8)
    watcher = nanwatch.Watcher(tmp_path, every=1, first_step=10)
    observe(watcher, 4)
    back = 2 * 86_400.0
    observe(watcher, 4)

    files = sorted((tmp_path / "nanwatch").iterdir())
    assert [file.stat().st_mtime for file in files] == sorted(f.stat().st_mtime for f in files)
    reader = Reader(Provider(tmp_path))
    (run,) = reader.runs(ACCESS)
    assert (run.first_step, run.last_step, run.written) == (0, 17, 24)
    walls = np.concatenate([records.wall_times for records in run.records])
    assert walls.min() == run.began == pytest.approx(system(), abs=60)
    assert np.all(np.diff(walls) >= 0)
    assert run.times is not None
    assert run.times.steps[-1] == 18
