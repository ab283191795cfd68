"""Whatever stands in the event files, there is an answer or a named problem."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import FAILED, InMemory, Recording, check, damaged, quiet, recording_of
from provider import ACCESS
from tensorboard.data.provider import TensorDatum
from werkzeug.test import Client

from tb_nanwatch import http
from tb_nanwatch.cli import main
from tb_nanwatch.cli.exit_status import CRASH, ERROR
from tb_nanwatch.format import FormatError
from tb_nanwatch.format.histograms import unpack_histograms
from tb_nanwatch.format.rerun import unpack_rerun
from tb_nanwatch.format.tags import parse_tag
from tb_nanwatch.logdir import runs
from tb_nanwatch.reader import Reader, reader
from tb_nanwatch.reader.index import RunIndex

SECONDS = 10.0
SEED = 20_000
"""Of the first damaged recording; `tests/bench/fuzz.py` goes on from others."""


@pytest.fixture(scope="module")
def recordings(gallery: Path) -> list[Recording]:
    """Each run of the gallery by itself."""
    whole = recording_of(gallery)
    return [
        {key: whole[key] for key in keys}
        for _, group in itertools.groupby(sorted(whole), key=lambda key: key[0])
        for keys in [list(group)]
    ]


def test_damaged_recordings(recordings: list[Recording]) -> None:
    end = time.monotonic() + SECONDS
    for number, recording in enumerate(itertools.cycle(recordings)):
        if time.monotonic() > end:
            break
        try:
            check(damaged(recording, SEED + number))
        except BaseException as error:
            error.add_note(f"seed {SEED + number}, recording {number % len(recordings)}")
            raise


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"version":' + b"[" * 100_000,
        b'{"version": Infinity}',
        b'{"version": 1e999}',
        b'{"version": ' + b"9" * 5000 + b"}",
        b'{"version": -1}',
        b'{"version": 1, "step": Infinity, "reproduced": true, "mode": "eager", "failure": ""}',
        b"\xff",
        b"",
    ],
)
def test_other_json_is_no_rerun(content: bytes) -> None:
    with pytest.raises(FormatError):
        unpack_rerun(content)


def test_a_tag_with_a_number_of_any_length_is_none_of_ours() -> None:
    assert parse_tag("nanwatch/stats/0a/B" + "9" * 5000) is None
    assert parse_tag("nanwatch/rerun/0a/" + "9" * 5000) is None


def histogram(codes: list[int]) -> np.ndarray:
    head = b"NWEH" + np.array([1, 1, len(codes)], "<u4").tobytes()
    body = np.array([len(codes)], "<u2").tobytes() + np.array(codes, "<i2").tobytes()
    return np.frombuffer(head + body + np.ones(len(codes), "<u4").tobytes(), np.uint8)


def test_a_histogram_is_no_wider_than_float64() -> None:
    assert len(unpack_histograms(histogram([-2044, 2047])).codes) == 2
    for code in (-2045, 2048, -(2**15), 2**15 - 1):
        with pytest.raises(FormatError, match="larger exponents"):
            unpack_histograms(histogram([code]))


def changed(datum: TensorDatum, **changes: Any) -> TensorDatum:
    parts = {"step": datum.step, "wall_time": datum.wall_time, "numpy": datum.numpy}
    return TensorDatum(**{**parts, **changes})


def test_wide_histograms_take_little_memory(recordings: list[Recording]) -> None:
    wide = histogram(np.linspace(-(2**15), 2**15 - 1, 60_000).astype(int).tolist())
    recording = max(recordings, key=lambda each: sum(map(len, each.values())))
    damaged_one = {
        key: [changed(each, numpy=wide) if "/hist/" in key[1] else each for each in datums]
        for key, datums in recording.items()
    }
    tracemalloc.start()
    check(damaged_one)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150e6


@pytest.mark.parametrize("wall_time", [np.nan, np.inf, -np.inf, 1e300])
def test_a_time_that_is_none_leaves_every_record(
    recordings: list[Recording], wall_time: float
) -> None:
    recording = recordings[-1]
    timeless = {
        key: [changed(each, wall_time=wall_time) for each in datums]
        for key, datums in recording.items()
    }
    with quiet():
        (sound,) = Reader(InMemory(recording)).runs(ACCESS)
        (index,) = Reader(InMemory(timeless)).runs(ACCESS)
        assert (index.written, index.read, index.times) == (sound.written, sound.read, None)
        app = http.apps(InMemory(timeless))["/runs"]
        for _ in range(100):  # The verdict comes, and the thread that makes it ends.
            (row,) = Client(app).get("/runs").json["runs"]
            if row["status"] != "pending":
                break
            time.sleep(0.05)
        assert row["status"] != "pending"


def test_a_run_that_cannot_be_read_does_not_affect_others(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build = reader.build

    def fails(run: str, *rest: Any) -> RunIndex:
        if run == "healthy":
            raise KeyError("as a fault of ours")
        return build(run, *rest)

    monkeypatch.setattr(reader, "build", fails)
    assert main(["report", str(gallery)]) == ERROR
    said = capsys.readouterr().out
    assert "NaNWatch could not read this run (KeyError" in " ".join(said.split())
    assert "nan_feature" in said


def test_a_run_that_cannot_be_diagnosed_does_not_affect_others(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    history = runs.FoundRun.history

    def fails(run: runs.FoundRun) -> Any:
        if run.name == "healthy":
            raise ZeroDivisionError("as a fault of ours")
        return history(run)

    monkeypatch.setattr(runs.FoundRun, "history", fails)
    assert main(["report", "--json", str(gallery)]) == ERROR
    said = capsys.readouterr().out
    assert f"{FAILED} diagnose this run (ZeroDivisionError" in said
    assert '"nan_feature"' in said


def test_a_crash_has_a_status_of_its_own(
    gallery: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> None:
        raise AssertionError("as a fault of ours")

    monkeypatch.setattr("tb_nanwatch.cli.report.run_lines", fails)
    assert main(["report", str(gallery)]) == CRASH
    assert "a bug in NaNWatch" in capsys.readouterr().err
