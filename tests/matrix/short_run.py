"""One environment, end to end: record a NaN in each way and mode, report it, serve it.

Runs where the wheel is installed alone, without the tests' own packages, and prints one JSON object
as its last line: `versions`, by distribution; and `checks`, "" or what went wrong, by name.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import traceback
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import tb_nanwatch as nanwatch

DISTRIBUTIONS = ("tensorflow", "tensorflow-cpu", "keras", "tensorboard", "protobuf", "numpy")
MODES: dict[str, dict[str, bool]] = {
    "eager": {"run_eagerly": True},
    "graph": {"jit_compile": False},
    "XLA": {"jit_compile": True},
}
BATCH, BAD_STEP = 8, 2

X = np.random.default_rng(0).uniform(0.5, 1.0, (5 * BATCH, 4)).astype("float32")
X[BAD_STEP * BATCH + 3, 1] = 0.0  # The slope of the square root at 0 is infinite, and 0 * inf NaN.
Y = X.sum(axis=1, keepdims=True)


class Root(keras.layers.Layer):
    """Its backward pass gives NaN for an input of 0."""

    def call(self, x: Any) -> Any:
        return tf.sqrt(x)


ROOT_LINE = 1 + Path(__file__).read_text(encoding="utf-8").split("return tf.sqrt(x)")[0].count("\n")


def build() -> Any:
    keras.utils.set_random_seed(1)
    gain = keras.layers.Dense(4, kernel_initializer="identity", name="gain")
    return keras.Sequential([keras.Input((4,)), gain, Root(name="root"), keras.layers.Dense(1)])


def fit(callbacks: list[Any], **mode: bool) -> list[Any]:
    """The variables after a training, NaN among them."""
    model = build()
    model.compile(keras.optimizers.SGD(0.0), "mse", **mode)
    model.fit(X, Y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=callbacks)
    return [np.asarray(each) for each in (*model.variables, *model.optimizer.variables)]


def fit_recorded(folder: Path, mode: str) -> None:
    watched = fit([nanwatch.Callback(folder, every=1, watch="all")], **MODES[mode])
    if mode != "XLA":  # Any further use of a tensor may change last bits there.
        for mine, theirs in zip(watched, fit([], **MODES[mode]), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def data_recorded(folder: Path, mode: str) -> None:
    x = X.copy()
    x[BAD_STEP * BATCH + 3, 1] = np.nan
    model = build()
    model.compile("adam", "mse", **MODES[mode])
    callback = nanwatch.Callback(folder, every=1, blackbox="batch")
    model.fit(x, Y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[callback])


def loop_recorded(folder: Path, mode: str) -> None:
    model, optimizer = build(), keras.optimizers.SGD(0.0)
    optimizer.build(model.trainable_variables)
    watcher = nanwatch.Watcher(folder, every=1)

    def train_step(x: Any, y: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((model(x, training=True) - y) ** 2)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        pairs = list(zip(gradients, model.trainable_variables, strict=True))
        watcher.observe(input=x, loss=loss, gradient=pairs, weight=model.variables)

    if mode != "eager":
        train_step = tf.function(train_step, jit_compile=mode == "XLA")
    train_step = watcher.step(train_step)
    with watcher:
        for first in range(0, len(X), BATCH):
            rows = slice(first, first + BATCH)
            train_step(tf.constant(X[rows]), tf.constant(Y[rows]))
            watcher.step_end()


def summary_recorded(folder: Path, mode: str) -> None:
    def write(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(tf.sqrt(x - x))
        return nanwatch.summary("step", {"x": tape.gradient(y, x)}, role="gradient")

    write = write if mode == "eager" else tf.function(write)
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        for step in range(3):
            tf.summary.experimental.set_step(tf.constant(step, tf.int64))
            assert write(tf.constant(X[:BATCH]))
    writer.close()


def report(logs: Path) -> dict[str, Any]:
    """The most important finding on each run, by its name."""
    command = [sys.executable, "-m", "tb_nanwatch", "report", str(logs), "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done.stdout + done.stderr
    runs = json.loads(done.stdout)["runs"]
    return {run["run"]: run["findings"][0] if run["findings"] else run for run in runs}


def names_the_line(found: dict[str, Any]) -> None:
    operation = found["origin"].get("operation", {})
    said = found["step"], operation.get("type"), operation.get("pass"), operation.get("line")
    assert said == (BAD_STEP, "Sqrt", "backward", ROOT_LINE), found


def names_the_row(found: dict[str, Any]) -> None:
    said = found["cause"], found["step"], found["origin"].get("examples")
    assert said == ("nonfinite-input", BAD_STEP, [3]), found
    assert found["tried"][0]["outcome"] == "finite", found


def names_the_gradient(found: dict[str, Any]) -> None:
    assert (found["step"], found["origin"]["role"]) == (0, "gradient"), found


@contextmanager
def tensorboard(logs: Path, fast: bool) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs)]
    command += ["--host=127.0.0.1", f"--port={port}", f"--load_fast={str(fast).lower()}"]
    log = logs.with_name(f"tensorboard-{fast}.log")
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}/data/plugin/nanwatch/"
    try:
        for _ in range(240):
            assert process.poll() is None, log.read_text()
            try:
                runs = json.loads(get(f"{url}runs"))["runs"]
            except (OSError, urllib.error.URLError):
                runs = []
            if len(runs) == len(list(logs.iterdir())) and all(
                run["status"] == "nonfinite" for run in runs
            ):
                break
            time.sleep(0.25)
        else:
            raise TimeoutError(f"{runs}\n{log.read_text()}")
        yield url
    finally:
        process.terminate()
        process.wait()


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return bytes(answer.read())


def served(logs: Path) -> None:
    """Every route, by both of TensorBoard's loaders: the same answers."""
    answers = []
    for fast in (True, False):
        with tensorboard(logs, fast) as url:
            assert b"render" in get(f"{url}index.js")
            said = {"runs": get(f"{url}runs")}
            for name in ("fit-graph", "summary-graph"):
                run = json.loads(get(f"{url}run?run={name}"))
                tensor = run["tensors"][-1]["id"]
                for route, asked in {
                    "findings": {},
                    "grid": {"statistic": "norm", "columns": 64},
                    "cell": {"tensor": tensor, "first": 0, "last": 4},
                    "spectrogram": {"tensor": tensor, "columns": 8},
                }.items():
                    query = urllib.parse.urlencode({"run": name, **asked})
                    said[f"{route} {name}"] = get(f"{url}{route}?{query}")
            said["compare"] = get(f"{url}compare?run=fit-graph&with=fit-eager")
            answers.append(said)
    for key, answer in answers[0].items():
        assert answers[1][key] == answer, key


def main(folder: Path) -> dict[str, Any]:
    checks: dict[str, str] = {}
    caught: list[str] = []

    def check(name: str, work: Callable[..., None], *arguments: Any) -> None:
        with warnings.catch_warnings(record=True) as issued:
            warnings.simplefilter("always")
            try:
                work(*arguments)
                checks[name] = ""
            except Exception:
                checks[name] = traceback.format_exc(limit=-4)
        caught.extend(str(each.message) for each in issued if "NaNWatch" in str(each.message))

    logs = folder / "logs"
    for mode in MODES:
        for kind, record in (("fit", fit_recorded), ("watcher", loop_recorded)):
            check(f"{kind} {mode}", record, logs / f"{kind}-{mode}", mode)
    for mode in ("eager", "graph"):  # XLA writes no summaries, TensorFlow's own neither.
        check(f"summary {mode}", summary_recorded, logs / f"summary-{mode}", mode)
    check("data graph", data_recorded, logs / "data-graph", "graph")
    found = report(logs)
    for name in [name for name, trouble in checks.items() if not trouble]:
        told = {"summary": names_the_gradient, "data": names_the_row}.get(
            name.split()[0], names_the_line
        )
        check(name, lambda name=name, told=told: told(found[name.replace(" ", "-")]))
    check("tab", served, logs)
    return {
        "versions": {
            "python": re.split(r"[ +]", sys.version)[0],
            **{name: version(name) for name in DISTRIBUTIONS},
        },
        "checks": checks,
        "warnings": caught,
    }


def version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
