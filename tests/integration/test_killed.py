"""A training that is killed at any moment loses its open window at the most; by SIGTERM nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from provider import ACCESS, Provider
from recorded import read_recorded

from tb_nanwatch.adapters.tensorflow.statistics.accumulator import FLUSHED_NONFINITE_STEPS
from tb_nanwatch.format.tags import Stream
from tb_nanwatch.reader import Reader
from tb_nanwatch.stats.columns import COLUMN

SCRIPT = Path(__file__).with_name("killed_trainings.py")
TRAININGS, TERMINATED, AT_ONCE = 6, 2, 2
CHECKPOINT = 10
"""Steps between the checkpoints that a resumed training goes on from."""

WINDOW = 16
"""Steps in a window of every="auto" early in a run."""


def is_bad(step: int) -> bool:
    """As in the trainings."""
    return step in (2, 3, 19) or step % 37 in (30, 31, 33)


def written_at_once(first: int, end: int) -> list[int]:
    """Steps of a session from `first` to before `end` whose record does not wait for its window.

    Those at which the set of non-finite tensors changes, and the first few that have any. A later
    one with the same set as the step before belongs to the open window, as any other step does.
    """
    bad = [step for step in range(first, end) if is_bad(step)]
    went = [step for step in bad if step == first or not is_bad(step - 1)]
    healed = [step + 1 for step in bad if step + 1 < end and not is_bad(step + 1)]
    return sorted({*went, *healed, *bad[:FLUSHED_NONFINITE_STEPS]})


class Trainings:
    """Starts trainings, and kills them."""

    def __init__(self) -> None:
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment["PYTHONPATH"] = str(SCRIPT.parents[2])
        self._process = subprocess.Popen(
            [sys.executable, str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )

    def end_at(
        self, how: signal.Signals, log_dir: Path, first_step: int, step: int, seconds: float
    ) -> int:
        """Ends a training so long after it began `step`; returns the last step that it began."""
        report = log_dir.with_name(f"{log_dir.name}-{first_step}.begun")
        report.unlink(missing_ok=True)  # Of a training that was resumed at the same step.
        child = self._ask(f"{log_dir} {report} {first_step}")
        deadline = time.monotonic() + 120
        try:
            while self._begun(report) < step:
                assert not Path(f"{report}.error").exists(), Path(f"{report}.error").read_text()
                assert time.monotonic() < deadline, f"step {step} was not begun"
                time.sleep(0.002)
            time.sleep(seconds)
        finally:
            os.kill(child, how)
        assert self._ask(str(child)) == -how
        return self._begun(report)

    def _ask(self, line: str) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def _begun(self, report: Path) -> int:
        text = report.read_bytes() if report.exists() else b""
        return int(text) if text else -1

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)
        assert self._process.stdout is not None
        self._process.stdout.close()


@dataclass(frozen=True)
class Session:
    """One session that was ended.

    Attributes:
      first: its first step.
      begun: the last step that it began.
      streams: the streams that were in the file by then.
    """

    first: int
    begun: int
    streams: tuple[Stream, ...]


Runs = dict[str, tuple[Session, Session]]


@dataclass(frozen=True)
class Ended:
    """All sessions.

    Attributes:
      logs: where the runs are.
      runs: trainings that were killed, resumed from a checkpoint and killed again.
      terminated: trainings that got a SIGTERM, by their directory.
    """

    logs: Path
    runs: Runs
    terminated: dict[Path, Session]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    logs = tmp_path_factory.mktemp("killed") / "logs"
    logs.mkdir()
    terminated: dict[Path, Session] = {}
    random = np.random.default_rng()  # Another moment at each run of the test.
    moments = [
        (*random.integers((0, 1), (90, 40)).tolist(), random.uniform(0, 0.03, 2).tolist())
        for _ in range(TRAININGS)
    ]
    last_moments = [(int(random.integers(90)), random.uniform(0, 0.03)) for _ in range(TERMINATED)]

    def end(
        trainings: Trainings, log_dir: Path, first: int, *moment: Any, how: Any = signal.SIGKILL
    ) -> Session:
        begun = trainings.end_at(how, log_dir, first, *moment)
        return Session(first, begun, tuple(read_recorded(log_dir / "nanwatch").streams))

    def some(worker: int) -> Runs:
        trainings = Trainings()
        try:
            runs = {}
            for number in range(worker, TRAININGS, AT_ONCE):
                step, more, seconds = moments[number]
                log_dir = logs / f"run{number}"
                one = end(trainings, log_dir, 0, step, seconds[0])
                first = one.begun // CHECKPOINT * CHECKPOINT
                runs[log_dir.name] = one, end(trainings, log_dir, first, first + more, seconds[1])
            for number in range(worker, TERMINATED, AT_ONCE):
                log_dir = logs.with_name(f"terminated{number}")
                moment = last_moments[number]
                terminated[log_dir] = end(trainings, log_dir, 0, *moment, how=signal.SIGTERM)
            return runs
        finally:
            trainings.close()

    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = list(pool.map(some, range(AT_ONCE)))
    runs = {name: both for runs in done for name, both in sorted(runs.items())}
    return Ended(logs, runs, terminated)


def test_nothing_but_the_open_window_is_lost(ended: Ended) -> None:
    logs, runs = ended.logs, ended.runs
    assert len(runs) == TRAININGS
    for name, (one, two) in runs.items():
        found = read_recorded(logs / name / "nanwatch")
        own = {one: one.streams, two: two.streams[len(one.streams) :]}
        for session, streams in own.items():
            records = [record for stream in streams for record in found.of_stream[stream]]
            edges = [(int(r.field("first_step")), int(r.field("last_step"))) for r in records]
            recorded = edges[-1][1] if edges else session.first - 1
            # Step by step, without a gap, and up to the open window.
            assert [begin for begin, _ in edges] == [session.first, *(e + 1 for _, e in edges)][:-1]
            assert session.begun - WINDOW <= recorded <= session.begun, (name, edges, session)
            # A step that went non-finite, or healed, was on disk before the next began.
            urgent = written_at_once(session.first, session.begun)
            assert not urgent or recorded >= urgent[-1], (name, edges, session)
            counted = sum(
                r.columns[found.row(r, "input", "input/aux"), COLUMN["nonfinite_steps"]]
                for r in records
            )
            assert counted == sum(map(is_bad, range(session.first, recorded + 1)))


def test_nothing_is_lost_by_a_termination(ended: Ended) -> None:
    assert len(ended.terminated) == TERMINATED
    for log_dir, session in ended.terminated.items():
        found = read_recorded(log_dir / "nanwatch")
        windows = found.windows()
        assert [first for first, _ in windows] == [0, *(last + 1 for _, last in windows)][:-1]
        # The step that was begun may not have come to its end.
        recorded = windows[-1][1] if windows else -1
        assert recorded in (session.begun - 1, session.begun), (log_dir, windows, session)
        bad = sum(
            record.columns[found.row(record, "input", "input/aux"), COLUMN["nonfinite_steps"]]
            for record in found.records
        )
        assert bad == sum(map(is_bad, range(recorded + 1)))


def test_a_resumed_run_reads_the_same_in_both_modes(
    ended: Ended, tensorboard: Callable[..., AbstractContextManager[str]]
) -> None:
    logs, runs = ended.logs, ended.runs
    answers: list[dict[str, Any]] = []
    for loader in ("--load_fast=true", "--load_fast=false"):
        with tensorboard(logs, loader) as url:
            answers.append({name: everything(url, name) for name in runs})
    assert answers[0] == answers[1]
    reader = Reader(Provider(logs))
    for name, (one, two) in runs.items():
        # What began again at step 0 is a training of its own, if the first had recorded anything.
        found = read_recorded(logs / name / "nanwatch")
        of_each = one.streams, two.streams[len(one.streams) :]
        is_apart = two.first == 0 and all(any(map(found.of_stream.get, each)) for each in of_each)
        index = reader.run(ACCESS, f"{name}/2" if is_apart else name)
        assert (f"{name}/2" in reader.listed(ACCESS)) == is_apart
        steps: list[int] = []
        for records in reader.records(ACCESS, index, 0, max(one.begun, two.begun)):
            for begin, end in zip(records.first, records.last, strict=True):
                steps += range(begin, end + 1)
        # Each step once, and all of those since the checkpoint.
        assert len(steps) == len(set(steps))
        if len(two.streams) > len(one.streams):
            assert set(range(two.first, (index.last_step or 0) + 1)) <= set(steps)
        bad = [step for step in sorted(steps) if is_bad(step)]
        aux = [tensor.info.name for tensor in index.tensors].index("input/aux")
        assert index.nonfinite.steps[aux] == len(bad)
        assert not bad or index.nonfinite.first[aux] == bad[0]


def everything(url: str, run: str) -> list[Any]:
    """The run's description and its heatmap."""
    query = urllib.parse.urlencode({"run": run})
    found = []
    for route in ("run", "grid"):
        with urllib.request.urlopen(
            f"{url}data/plugin/nanwatch/{route}?{query}", timeout=60
        ) as answer:
            body = bytes(answer.read())
        found.append(json.loads(body) if route == "run" else body)
    return found
