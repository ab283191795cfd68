"""Damaged files, by TensorBoard's own readers: an answer to each question, and sound runs beside.

`tests/bench/fuzz.py --serve` goes on from other seeds.
"""

from __future__ import annotations

import itertools
import json
import time
from pathlib import Path
from typing import Any

import pytest
from damaged_logs import Questions, damage_again, faults_of_report, write_damaged, write_recording
from fuzz import FAILED, Recording, recording_of
from provider import Provider
from server import serve
from werkzeug.test import Client

from tb_nanwatch import http

SEED, RUNS = 30_000, 8
MODES = ("--load_fast=true", "--load_fast=false")
SOUND = ("first", "sound")
"""Folders of a sound run, of which one comes before the damaged ones and one after them."""

MOST_BYTES = 1.5 * 2**30
"""TensorBoard, with TensorFlow in it, takes 0.6 GiB for the logs of tests."""


@pytest.fixture(scope="module")
def recordings(gallery: Path) -> list[Recording]:
    """Each run of the gallery by itself."""
    whole = recording_of(gallery)
    by_run = itertools.groupby(sorted(whole), key=lambda key: key[0])
    return [{key: whole[key] for key in keys} for _, keys in by_run]


@pytest.fixture(scope="module")
def known(gallery: Path) -> dict[str, Any]:
    """The findings of the sound run, from a log directory where all is sound."""
    app = http.apps(Provider(gallery))["/findings"]
    findings: dict[str, Any] = json.loads(Client(app).get("/findings?run=nan_feature").text)
    return findings


@pytest.mark.parametrize("mode", MODES)
def test_damaged_files_are_answered_for_and_affect_no_other_run(
    mode: str,
    recordings: list[Recording],
    known: dict[str, Any],
    entry_point: Path,
    tmp_path: Path,
) -> None:
    logs = tmp_path / "logs"
    (sound,) = (
        each for each in recordings if any(run == "nan_feature/nanwatch" for run, _ in each)
    )
    for folder in SOUND:
        write_recording(logs / folder, sound)
    write_damaged(logs, recordings, range(SEED, SEED + RUNS))
    names = [f"{folder}/nan_feature" for folder in SOUND]
    with serve(logs, entry_point, mode) as server:
        questions = Questions(server.url)
        answers = [questions.everything(names)]
        damage_again(logs, SEED)
        time.sleep(2)  # TensorBoard looks once a second.
        answers.append(questions.everything(names))
        assert server.peak_bytes() < MOST_BYTES
        assert FAILED not in server.log.read_text()
    assert len(answers[0]) >= RUNS / 2
    for findings, name in itertools.product(answers, names):
        assert findings[name] == {**known, "run": name}
    faults = questions.faults + faults_of_report(logs, "--format=json")
    assert faults == []
