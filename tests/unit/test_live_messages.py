"""What a training run says while it runs: each finding once, by a logger, and to `on_finding`."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from synthetic_logs import NAN, mlp_manifest, mlp_values, window_record

import tb_nanwatch as nanwatch
from tb_nanwatch import requirements
from tb_nanwatch.training import live_diagnosis
from tb_nanwatch.training.live_diagnosis import LiveDiagnosis, OnFinding

ROOT = Path(__file__).resolve().parents[2]
BAD = 3


@pytest.fixture
def records() -> Iterator[logging.LogRecord]:
    """What is logged in the test, as it comes."""
    seen: list[logging.LogRecord] = []
    handler = logging.Handler()
    handler.emit = seen.append  # type: ignore[method-assign]
    logger = logging.getLogger("tb_nanwatch")
    logger.addHandler(handler)
    yield seen  # type: ignore[misc]
    logger.removeHandler(handler)


def run(on_finding: OnFinding | None = None) -> LiveDiagnosis:
    """A run of eight records, the input of one of which contains a NaN."""
    manifest = mlp_manifest()
    values = mlp_values(manifest, lambda t, s: (NAN,) * (s >= BAD and t.role == "input"))
    diagnosis = LiveDiagnosis("logs/x", on_finding)
    for step in range(8):
        record = window_record(manifest, step, step, step, values)
        diagnosis.add_record(manifest.tensors, record, nonfinite=step >= BAD)
        diagnosis.log_new_findings()
    return diagnosis


def test_a_finding_is_logged_once_and_printed(
    records: list[logging.LogRecord], capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    (record,) = records
    assert (record.name, record.levelname) == ("tb_nanwatch", "ERROR")
    said = record.getMessage()
    assert said.startswith(f"NaN in the input data at step {BAD}")
    assert said.endswith("\nDetails: tensorboard --logdir logs/x, tab NaNWatch.")
    # Below Keras' progress bar.
    assert capsys.readouterr() == (f"\nNaNWatch: {said}\n", "")


def test_on_finding_gets_what_json_has_before_it_is_logged(
    records: list[logging.LogRecord],
) -> None:
    got: list[dict[str, Any]] = []
    logged: list[int] = []

    def on_finding(finding: dict[str, Any]) -> None:
        got.append(finding)
        logged.append(len(records))

    run(on_finding)
    (finding,) = got
    assert logged == [0]
    assert (finding["cause"], finding["severity"]) == ("nonfinite-input", "error")
    assert (finding["step"], finding["origin"]["role"]) == (BAD, "input")
    assert json.loads(json.dumps(finding, allow_nan=False)) == finding


def test_what_on_finding_raises_is_one_warning(
    monkeypatch: pytest.MonkeyPatch, records: list[logging.LogRecord]
) -> None:
    def fail(finding: dict[str, Any]) -> None:
        raise ConnectionError("no chat here")

    monkeypatch.setattr(LiveDiagnosis, "_new", lambda self, findings: iter(findings))
    with pytest.warns(nanwatch.NaNWatchWarning) as issued:
        run(fail)
    assert [str(each.message) for each in issued] == [
        "NaNWatch: on_finding raised ConnectionError: no chat here. Training continues."
    ]
    assert len(records) == 8 - BAD, "it is logged all the same"


def test_an_interrupt_in_on_finding_is_the_users() -> None:
    def interrupt(finding: dict[str, Any]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupt)


def test_a_warning_is_logged_as_one(
    monkeypatch: pytest.MonkeyPatch, records: list[logging.LogRecord]
) -> None:
    def warnings_alone(history: Any) -> list[Any]:
        from dataclasses import replace

        return [replace(each, severity="warning") for each in diagnose(history)]

    diagnose = live_diagnosis.diagnose
    monkeypatch.setattr(live_diagnosis, "diagnose", warnings_alone)
    run()
    assert [each.levelname for each in records] == ["WARNING"]


def test_handlers_that_the_user_made_before_stay_alone() -> None:
    code = """
import logging
logging.basicConfig(format="root %(message)s")
logger = logging.getLogger("tb_nanwatch")
own = logging.NullHandler()
logger.addHandler(own)
from tb_nanwatch.training.console import logger
assert logger.handlers == [own] and logger.propagate
logger.error("x")
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "root x\n")


def test_a_version_newer_than_tested_is_noted_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    newer = {"tensorflow": "2.99.0rc1", "keras": "3.3.0", "protobuf": "4.25.3"}
    monkeypatch.setattr(requirements, "version_of", newer.get)
    nanwatch._note_versions.cache_clear()
    nanwatch._note_versions()
    nanwatch._note_versions()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("NaNWatch: TensorFlow 2.99.0rc1 is newer than 2.21, the newest that ")
    assert "--upgrade tb-nanwatch" in line
    nanwatch._note_versions.cache_clear()
