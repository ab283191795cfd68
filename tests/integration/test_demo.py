"""The gallery: what NaNWatch reports of each case is what an independent loop finds there."""

from __future__ import annotations

import importlib
import json
import os
import platform
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tb_nanwatch_demo import CASES
from tb_nanwatch_demo.truth import Truth

MINUTES = 60
STEPS = 171


def case(name: str) -> ModuleType:
    return importlib.import_module(f"tb_nanwatch_demo.{name}")


def twins() -> list[str]:
    return [f"{name}-repaired" for name in CASES if name != "relu_mlp"]


def demo(*words: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "tb_nanwatch_demo", *words]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "logs"


@pytest.fixture(scope="module")
def printed(logs: Path) -> str:
    """What the demo prints for the whole gallery."""
    done = subprocess.run(
        demo("--no-serve", "--logdir", logs), capture_output=True, text=True, timeout=10 * MINUTES
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def report_of(run: str, printed: str) -> str:
    """The report's paragraph on one run."""
    found = re.search(rf"^{re.escape(run)}: .*?(?=\n\n|\Z)", printed, re.MULTILINE | re.DOTALL)
    assert found, f"no report on {run} in\n{printed}"
    return found[0]


def is_bad(value: Any) -> bool:
    return not np.isfinite(np.asarray(value)).all()


def first_nonfinite(build: Any) -> tuple[int | None, str | None]:
    """The first bad step, and the first bad role in it: a loop of its own, read with NumPy."""
    import tensorflow as tf

    from tb_nanwatch_demo.training import BATCH, EPOCHS

    model, x, y = build()

    @tf.function
    def train_step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            prediction = model(x, training=True)
            loss = model.compute_loss(x, y, prediction)
        gradients = tape.gradient(loss, model.trainable_variables)
        model.optimizer.apply(gradients, model.trainable_variables)
        return prediction, loss, gradients

    batches = [slice(i, i + BATCH) for i in range(0, len(x), BATCH)] * EPOCHS
    assert len(batches) == STEPS
    for step, rows in enumerate(batches):
        prediction, loss, gradients = train_step(x[rows], y[rows])
        roles = {
            "input": [x[rows]],
            "target": [y[rows]],
            "prediction": [prediction],
            "loss": [loss],
            "gradient": gradients,
            "weight": model.weights,
        }
        for role, values in roles.items():
            if any(map(is_bad, values)):
                return step, role
    return None, None


@pytest.mark.parametrize("name", CASES)
def test_truth_is_what_an_independent_loop_finds(name: str) -> None:
    truth: Truth = case(name).TRUTH
    assert first_nonfinite(case(name).build) == (truth.first_step, truth.role)


@pytest.mark.parametrize("name", CASES)
def test_report_says_the_truth(name: str, printed: str) -> None:
    truth: Truth = case(name).TRUTH
    report = report_of(name, printed)
    assert f"{STEPS} of {STEPS}" in report
    if truth.first_step is None:
        assert report.startswith(f"{name}: healthy")
    else:
        assert report.startswith(f"{name}: NON-FINITE")
        assert re.search(rf"first +step {truth.first_step}, {truth.role}\n", report)


@pytest.mark.parametrize("run", twins())
def test_repaired_twin_is_healthy(run: str, printed: str) -> None:
    assert report_of(run, printed).startswith(f"{run}: healthy")


@pytest.mark.parametrize("run", [*CASES, *twins()])
def test_each_training_has_a_plain_line_in_a_log(run: str, printed: str) -> None:
    assert "\r" not in printed
    assert re.search(rf"^{run} +step +{STEPS}/{STEPS}  loss \S+ +\d+\.\d s$", printed, re.MULTILINE)


@pytest.mark.skipif(
    platform.machine() != "x86_64" or "TF_ENABLE_ONEDNN_OPTS" in os.environ,
    reason="only oneDNN, TensorFlow's default on x86-64, swallows a NaN in ReLU",
)
@pytest.mark.parametrize("name", CASES)
def test_loss_hides_what_the_case_says_it_hides(name: str, printed: str) -> None:
    found = re.search(rf"^{name} .* loss (\S+) ", printed, re.MULTILINE)
    assert found
    truth: Truth = case(name).TRUTH
    stays_finite = truth.first_step is None or truth.loss_stays_finite
    assert np.isfinite(float(found[1])) == stays_finite


def test_training_again_replaces_the_run_and_serves_it(logs: Path, printed: str) -> None:
    before = set((logs / "relu_mlp").rglob("events.*"))
    assert before
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = demo("--case", "relu_mlp", "--logdir", logs, "--port", str(port))
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        try:
            for line in process.stdout:
                lines.append(line)
                if "#nanwatch" in line:
                    break
            url = f"http://localhost:{port}/"
            assert f"{url}#nanwatch" in lines[-1], "".join(lines)
            with urllib.request.urlopen(url + "data/plugins_listing", timeout=60) as answer:
                assert "nanwatch" in json.load(answer)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=MINUTES)
        assert process.returncode == 0
    again = report_of("relu_mlp", "".join(lines))
    assert f"{STEPS} of {STEPS}" in again
    after = set((logs / "relu_mlp").rglob("events.*"))
    assert after
    assert not before & after
    assert report_of("log_rate", "".join(lines))


def test_unknown_case_names_the_known_ones() -> None:
    done = subprocess.run(demo("--case", "nonsense"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert all(name in done.stderr for name in CASES)
