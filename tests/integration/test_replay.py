"""What a black box found is in the report, and a step runs again in another process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TRAIN = """
import sys
import keras
import numpy as np
import tensorflow as tf
import tb_nanwatch as nanwatch


class Gate(keras.layers.Layer):
    def build(self, shape):
        self.gain = self.add_weight(shape=shape[-1:], initializer="ones", name="gain")

    def call(self, x):
        return tf.where(x > 0, tf.math.log(self.gain * x), 0.0)


def build_model(width=6):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([
        keras.Input((width,)), Gate(name="gate"), keras.layers.Dropout(0.2), keras.layers.Dense(1)
    ], name="net")
    model.compile("adam", "mse")
    return model


def build_another():
    return build_model(5)


def broken():
    raise TypeError("needs arguments")


if __name__ == "__main__":
    x = np.random.default_rng(0).uniform(0.1, 1, (160, 6)).astype("float32")
    x[67, 2] = 0
    watch = nanwatch.Callback("logs/run", every=1, blackbox=sys.argv[1])
    build_model().fit(x, x[:, :1], batch_size=16, shuffle=False, verbose=0, callbacks=[watch])
"""


LOOP = """
import sys
import keras
import numpy as np
import tensorflow as tf
import tb_nanwatch as nanwatch


def build_step(watcher=None):
    keras.utils.set_random_seed(1)
    dense = keras.layers.Dense(1, name="dense")
    dropout = keras.layers.Dropout(0.2)
    adam = keras.optimizers.Adam(0.1)

    def train_step(x, y, sample_weight):
        with tf.GradientTape() as tape:
            error = dense(dropout(tf.sqrt(x), training=True)) - y
            loss = tf.reduce_mean(sample_weight * tf.sqrt(tf.abs(error * tf.nn.relu(error))))
        variables = dense.trainable_variables
        gradients = tape.gradient(loss, variables)
        adam.apply(gradients, variables)
        if watcher is not None:
            watcher.observe(loss=loss, gradient=zip(gradients, variables), weight=variables)

    return train_step


if __name__ == "__main__":
    watcher = nanwatch.Watcher("logs/loop", every=1, blackbox="state")
    step = watcher.step(tf.function(build_step(watcher)))
    rng = np.random.default_rng(0)
    with watcher:
        for number in range(4):
            x = rng.uniform(1, 2, (8, 3)).astype("float32")
            y = np.full((8, 1), -50, "float32")
            if number == 2:
                y[[1, 6]] = 50
            step(x, y, sample_weight=np.ones((8, 1), "float32"))
            watcher.step_end()
"""


def test_a_step_of_a_custom_loop_runs_again_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "loop.py").write_text(LOOP)
    done = command(tmp_path, "loop.py")
    assert done.returncode == 0, done.stderr
    assert "NaN at step 2 · `Sqrt` in the loss, backward · loop.py" in done.stdout
    done = replay(tmp_path, "logs", "--model", "loop:build_step")
    assert done.returncode == 0, done.stderr
    line = 1 + next(n for n, text in enumerate(LOOP.splitlines()) if "loss = " in text)
    assert "reproduced: non-finite again" in done.stdout
    assert f"loop.py:{line}\n" in done.stdout
    assert "`Sqrt`, backward\n" in done.stdout
    assert "tried: With `tf.sqrt(x + 1e-6)` the loss is " in done.stdout
    assert "  batch rows 1 and 6\n" in done.stdout
    (tmp_path / "loop.py").write_text(LOOP.replace('name="dense"', 'name="another"'))
    done = replay(tmp_path, "logs", "--model", "loop:build_step")
    assert done.returncode == 2
    assert "has no variable 'dense/kernel'" in done.stderr
    assert "Traceback" not in done.stderr


def command(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    return subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )


def replay(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return command(folder, "-m", "tb_nanwatch", "replay", *words)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with `train.py`, and what it has recorded, the state too."""
    made = tmp_path_factory.mktemp("project")
    (made / "train.py").write_text(TRAIN)
    done = command(made, "train.py", "state")
    assert done.returncode == 0, done.stderr
    return made


def test_the_report_names_operation_line_and_rows(folder: Path) -> None:
    done = command(folder, "-m", "tb_nanwatch", "report", "logs", "--json")
    assert done.returncode == 1
    (finding,) = json.loads(done.stdout)["runs"][0]["findings"]
    assert (finding["cause"], finding["step"]) == ("layer-backward", 4)
    assert "record_also" not in finding
    assert finding["rerun"] == {"reproduced": True, "mode": "eager", "note": ""}
    origin = finding["origin"]
    assert (origin["layer"], origin["examples"]) == ("gate", [3])
    operation = origin["operation"]
    line = 1 + TRAIN.splitlines().index(
        "        return tf.where(x > 0, tf.math.log(self.gain * x), 0.0)"
    )
    assert {key: operation[key] for key in ("type", "pass", "layer", "file", "line")} == {
        "type": "Log",
        "pass": "backward",
        "layer": "gate",
        "file": "train.py",
        "line": line,
    }
    assert {"line": line, "text": TRAIN.splitlines()[line - 1]} in operation["source"]
    assert operation["operands"][0]["elements"] == [{"index": [3, 2], "value": "0.0"}]
    text = command(folder, "-m", "tb_nanwatch", "report", "logs").stdout
    assert f"train.py:{line}, in call" in text
    assert "[3, 2] = 0.0" in text


@pytest.mark.parametrize("words", [(), ("--step", "4")])
def test_the_step_runs_again_in_another_process(folder: Path, words: Sequence[str]) -> None:
    done = replay(folder, "logs", "--model", "train:build_model", *words)
    assert done.returncode == 0, done.stderr
    assert "reproduced: non-finite again" in done.stdout
    assert "  `Log` in layer `gate`, backward\n" in done.stdout
    assert "  batch row 3\n" in done.stdout


def test_other_versions_are_told(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    (result,) = (tmp_path / "copy").glob("logs/run/nanwatch/blackbox/*/result.json")
    content = json.loads(result.read_text())
    content["versions"]["tensorflow"] = "2.99"
    result.write_text(json.dumps(content))
    done = replay(tmp_path / "copy", "logs", "--model", "train:build_model")
    assert "recorded with tensorflow 2.99" in done.stdout
    assert "run with other versions: tensorflow 2." in done.stdout
    assert (
        "run with other versions"
        not in replay(folder, "logs", "--model", "train:build_model").stdout
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("logs", "--model", "train:build_another"), "The model has"),
        (("logs", "--model", "train:build_nothing"), "Expected --model MODULE:FUNCTION"),
        (("logs", "--model", "nothing"), "Expected --model MODULE:FUNCTION"),
        (("logs", "--model", "train:broken"), "TypeError: needs arguments"),
        (("logs", "--model", "train:build_model", "--step", "5"), "no black box of step 5"),
        (("elsewhere", "--model", "train:build_model"), "no black box below elsewhere"),
    ],
)
def test_what_cannot_run_is_said(folder: Path, words: Sequence[str], said: str) -> None:
    done = replay(folder, *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_without_the_batch_there_is_nothing_to_run(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(TRAIN)
    assert command(tmp_path, "train.py", "result").returncode == 0
    done = replay(tmp_path, "logs", "--model", "train:build_model")
    assert done.returncode == 2
    assert "This black box has no batch" in done.stderr
