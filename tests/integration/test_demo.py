"""The gallery: what an independent loop finds in each case, and that NaNWatch says the same."""

from __future__ import annotations

import functools
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
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest
from plain_loop import Seen, observe

from tb_nanwatch_demo import CASES
from tb_nanwatch_demo.training import Training
from tb_nanwatch_demo.truth import Truth
from tb_nanwatch_demo.verdicts import judge

MINUTES = 60
WITHOUT_TWIN = (
    "fp16_loss_scale",
    "relu_mlp",
    "batchnorm_mlp",
    "he_l2_mlp",
    "mha_masked",
    "clipnorm_healthy",
    "mixed_precision_healthy",
)
BROKEN = tuple(name for name in CASES if name not in WITHOUT_TWIN)
RUNS = tuple(run for name in CASES for run in (name, f"{name}-repaired")[: 1 + (name in BROKEN)])
HEALTHY = tuple(run for run in RUNS if run not in BROKEN)


def case(run: str) -> ModuleType:
    return importlib.import_module(f"tb_nanwatch_demo.{run.removesuffix('-repaired')}")


def truth_of(run: str) -> Truth:
    truth: Truth = case(run).TRUTH
    return Truth() if run.endswith("-repaired") else truth


def built(run: str) -> Training:
    build = case(run).build
    training: Training = build(repaired=True) if run.endswith("-repaired") else build()
    return training


def demo(*words: str | Path) -> list[str | Path]:
    return [sys.executable, "-m", "tb_nanwatch_demo", *words]


def ran(*words: str | Path, **environment: str) -> str:
    """What the demo prints; it must end well."""
    done = subprocess.run(
        demo(*words),
        capture_output=True,
        text=True,
        timeout=10 * MINUTES,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def reported(logs: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tb_nanwatch", "report", logs, "--json"],
        capture_output=True,
        text=True,
    )
    return {run["run"]: run for run in json.loads(done.stdout)["runs"]}


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "logs"


@pytest.fixture(scope="module", autouse=True)
def training(logs: Path) -> Iterator[subprocess.Popen[str]]:
    """The demo of the whole gallery, which runs beside the tests that do not ask for it."""
    command = demo("--no-serve", "--logdir", logs)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:
        yield process
        process.kill()


@pytest.fixture(scope="module")
def printed(training: subprocess.Popen[str]) -> str:
    """What it prints."""
    said, complaints = training.communicate(timeout=10 * MINUTES)
    assert training.returncode == 0, complaints
    assert "Traceback" not in complaints
    assert "WARNING:tensorflow" not in complaints
    return said


@pytest.fixture(scope="module")
def reports(logs: Path, printed: str) -> dict[str, Any]:
    return reported(logs)


class Watched(NamedTuple):
    """What the independent loop saw of one run.

    `sizes` holds, by role and layer, for each step and tensor the step, the mean magnitude, the
    share of zeros and the largest magnitude.
    """

    first: Seen | None
    nonfinite: frozenset[tuple[int, str, str]]
    losses: Sequence[float]
    sizes: dict[tuple[str, str], list[tuple[int, float, float, float]]]


@functools.cache
def watched(run: str) -> Watched:
    first, nonfinite, losses = None, set(), []
    sizes: dict[tuple[str, str], list[tuple[int, float, float, float]]] = {}
    for seen in observe(built(run)):
        if not seen.is_finite:
            first = first or seen
            nonfinite.add((seen.step, seen.role, seen.layer))
        if seen.role == "loss":
            losses.append(float(seen.value))
        if seen.role in ("input", "activation", "activation_gradient", "gradient"):
            magnitudes = np.abs(seen.value.astype(np.float64))
            sizes.setdefault((seen.role, seen.layer), []).append(
                (seen.step, magnitudes.mean(), (magnitudes == 0).mean(), magnitudes.max())
            )
    return Watched(first, frozenset(nonfinite), losses, sizes)


@pytest.mark.parametrize("name", [name for name in BROKEN if truth_of(name).status == "nonfinite"])
def test_first_nonfinite_tensor_is_where_the_truth_says(name: str) -> None:
    truth, seen = truth_of(name), watched(name)
    assert seen.first is not None
    assert max(seen.first.step, 0) == truth.step
    assert seen.first.role in truth.roles
    if truth.causes == ("layer-backward",):
        # Between what arrives, finite, and what is passed on.
        bad = {(role, layer) for step, role, layer in seen.nonfinite if step == truth.step}
        assert ("activation_gradient", truth.layer) not in bad
        assert ("activation", truth.layer) not in bad
        assert ("loss", "") not in bad
    elif truth.layer is not None:
        assert seen.first.layer == truth.layer


@pytest.mark.parametrize("name", ["lr_too_high", "unscaled_inputs"])
def test_explosions_grow_before_they_overflow(name: str) -> None:
    gradients = watched(name).sizes["gradient", "output"]
    step = truth_of(name).step
    assert step is not None
    assert step > 10
    before = [largest for at, _, _, largest in gradients if at < step]
    assert np.isfinite(before).all()
    assert max(before[-2:]) > 1e9 * max(before[:2])


def test_recurrent_output_grows_within_a_step() -> None:
    sizes = watched("recurrent").sizes
    assert sizes["input", ""][0][3] < 2
    assert sizes["activation", "rnn"][0][3] > 1e30


def test_deep_sigmoid_gradients_vanish() -> None:
    sizes = watched("deep_sigmoid").sizes
    first = [mean for _, mean, _, _ in sizes["gradient", "hidden_1"]]
    last = [mean for _, mean, _, _ in sizes["gradient", "output"]]
    assert 0 < max(first) < 1e-10
    assert np.mean(last) > 1e-2


def test_dead_relu_is_dead_from_the_step_that_the_truth_says() -> None:
    seen, step = watched("dead_relu"), truth_of("dead_relu").step
    alive = {at for at, _, zeros, _ in seen.sizes["gradient", "hidden"] if zeros < 1}
    assert max(alive) + 1 == step
    assert min(seen.losses) > 0.1


def test_clipped_loss_has_no_slope() -> None:
    seen = watched("clipped_loss")
    assert set(seen.losses) == {1.0}
    for layer in ("hidden", "output"):
        assert {zeros for _, _, zeros, _ in seen.sizes["gradient", layer]} == {1.0}


def test_tiny_epsilon_jumps_at_the_step_that_the_truth_says() -> None:
    seen, step = watched("tiny_epsilon"), truth_of("tiny_epsilon").step
    largest = np.array([largest for *_, largest in seen.sizes["activation", "row_scale"]])
    assert largest[:step].max() < 100
    assert largest[step:].min() > 1e6
    assert min(seen.losses[step:]) > 1e6


def test_fp16_underflow_loses_most_of_a_gradient() -> None:
    smallest = float(np.finfo(np.float16).smallest_subnormal)
    broken = watched("fp16_underflow").sizes["activation_gradient", "decoder"]
    # The last batch is the mean of five rows only.
    assert min(zeros for _, _, zeros, _ in broken[:-1]) > 0.5
    assert max(largest for *_, largest in broken[:-1]) <= 2 * smallest
    kept = watched("fp16_underflow-repaired").sizes["activation_gradient", "decoder"]
    assert max(zeros for _, _, zeros, _ in kept) < 0.01


def test_optimizers_overflow_while_gradients_are_finite() -> None:
    for name, role in (("squared_overflow", "slot"), ("adam_epsilon_fp16", "update")):
        bad = {bad_role for step, bad_role, _ in watched(name).nonfinite if step == 0}
        assert role in bad
        assert not bad & {"gradient", "activation_gradient"}


def test_loss_scaling_refuses_seven_steps_and_goes_on() -> None:
    seen = watched("fp16_loss_scale")
    trained = {step for step, *_ in seen.sizes["gradient", "hidden"]}
    assert len(seen.losses) - len(trained) == 7


def test_poisoned_batchnorm_trains_on() -> None:
    roles = {role for _, role, _ in watched("poisoned_batchnorm").nonfinite}
    assert roles == {"weight"}


@pytest.mark.parametrize("run", HEALTHY)
def test_healthy_runs_stay_finite_and_learn(run: str) -> None:
    model, x, y, epochs, batch, _ = vars(built(run)).values()
    losses: list[float] = []

    class Losses(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, step: int, logs: Any = None) -> None:
            losses.append(logs["loss"])
            self.model.reset_metrics()  # Or it would be the mean of the epoch up to now.

    options = {"epochs": epochs, "batch_size": batch, "shuffle": False, "verbose": 0}
    model.fit(x, y, callbacks=[Losses()], **options)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert np.mean(losses[-8:]) < 0.97 * np.mean(losses[:8])


@pytest.mark.parametrize("name", BROKEN)
def test_loss_hides_what_the_truth_says_it_hides(name: str) -> None:
    truth = truth_of(name)
    # Only oneDNN, TensorFlow's default on x86-64, swallows a NaN in ReLU.
    onednn = platform.machine() == "x86_64" and os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0"
    hidden = truth.status == "unstable" or truth.loss_stays_finite
    assert np.isfinite(watched(name).losses).all() == (hidden or (truth.onednn_hides and onednn))


@pytest.mark.parametrize("run", RUNS)
def test_report_says_the_truth(run: str, reports: dict[str, Any]) -> None:
    report = reports[run]
    assert report["records"]["read"] == report["records"]["written"] >= 20
    verdict = judge(report, truth_of(run))
    assert verdict.agrees, report["findings"]


def test_each_training_and_its_verdict_have_a_plain_line_in_a_log(printed: str) -> None:
    assert "\r" not in printed
    for number, run in enumerate(RUNS, start=1):
        line = rf"^ *{number}/{len(RUNS)} {run} +step +(\d+)/\1  loss \S+ +\d+\.\d s$"
        assert re.search(line, printed, re.MULTILINE), run
        assert re.search(rf"^  {run} +\w.*  \w", printed, re.MULTILINE), run
    assert f"{len(RUNS)} of {len(RUNS)} runs as expected" in printed


@pytest.mark.skipif(platform.machine() != "x86_64", reason="oneDNN is off here in any case")
def test_without_onednn_the_loss_shows_what_it_hid(tmp_path: Path) -> None:
    words = ("--no-serve", "--logdir", tmp_path, "--case", "nan_feature")
    said = ran(*words, TF_ENABLE_ONEDNN_OPTS="0")
    assert re.search(r" nan_feature .* loss nan ", said)
    assert judge(reported(tmp_path)["nan_feature"], truth_of("nan_feature")).agrees


def events(folder: Path) -> set[Path]:
    return set(folder.rglob("events.*"))


def test_second_start_keeps_what_is_trained_and_serves_it(logs: Path, printed: str) -> None:
    before = events(logs)
    assert before
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = demo("--case", "relu_mlp", "--logdir", logs, "--port", str(port))
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # Where the tests themselves run in the background of a shell, Ctrl-C is ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
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
    assert "1 of 1 runs as expected" in "".join(lines)
    assert not re.search(r"step +\d+/", "".join(lines))
    assert events(logs) == before


def test_training_again_replaces_the_run(logs: Path, printed: str) -> None:
    before = events(logs / "relu_mlp")
    assert " relu_mlp  " in ran("--no-serve", "--again", "--case", "relu_mlp", "--logdir", logs)
    after = events(logs / "relu_mlp")
    assert after
    assert not before & after


def test_list_names_the_cases() -> None:
    assert ran("--list").split() == list(CASES)


def test_unknown_case_names_the_known_ones() -> None:
    done = subprocess.run(demo("--case", "nonsense"), capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert all(name in done.stderr for name in CASES)


def test_the_gallery_page_lists_every_case_with_its_cause() -> None:
    page = Path(__file__).parents[2] / "docs" / "gallery.md"
    rows = [line for line in page.read_text("utf-8").splitlines() if line.startswith("| `")]
    for name in CASES:
        (row,) = [row for row in rows if f"`{name}`" in row.split("|")[1]]
        truth = truth_of(name)
        verdict = row.split("|")[-2]
        assert any(cause in verdict for cause in truth.causes or ("healthy",)), row
