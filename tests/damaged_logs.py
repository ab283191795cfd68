"""Damaged log directories, and all questions about them to a TensorBoard that serves them.

`write_damaged` makes runs from sound ones by seeds: recordings that say something wrong, tensors
that are none, and files whose bytes are others. `damage_again` does so to files that are being
served. `Questions` asks every route, and tells what is no answer.
"""

from __future__ import annotations

import contextlib
import io
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from fuzz import FAILED, Recording, damaged
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.data.provider import TensorDatum
from tensorboard.summary.writer.record_writer import RecordWriter
from tensorboard.util.tensor_util import make_tensor_proto

from tb_nanwatch.cli import main
from tb_nanwatch.cli.exit_status import ERROR, NO_ERROR, TROUBLE
from tb_nanwatch.format.events import summary_metadata
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.stats.statistics import STATISTIC
from tb_nanwatch.training.failing_step.step_dump import StepDump, pack_dump

HANG_SECONDS = 60

_DUMP = pack_dump(
    StepDump(Rerun(3, True, "graph"), {}, {"0": np.ones((4, 2), np.float32)}, {"k": np.ones(3)})
)


def write_recording(
    folder: Path, recording: Recording, change: Callable[[Summary.Value], None] = lambda _: None
) -> None:
    """Writes the events of all runs of a recording, in the order of their times, below a folder.

    Args:
      change: what is done to each value before it is written.
    """
    runs: dict[str, list[tuple[str, TensorDatum]]] = {}
    for (run, tag), datums in recording.items():
        runs.setdefault(run, []).extend((tag, datum) for datum in datums)
    for run, events in runs.items():
        (folder / run).mkdir(parents=True, exist_ok=True)
        with open(folder / run / "events.out.tfevents.1700000000.host", "wb") as file:
            writer = RecordWriter(file)
            writer.write(Event(file_version="brain.Event:2", wall_time=1.0).SerializeToString())
            for tag, datum in sorted(events, key=lambda event: event[1].wall_time):
                # What is no content of a tensor cannot be written either.
                with contextlib.suppress(TypeError, ValueError):
                    event = Event(step=datum.step, wall_time=datum.wall_time)
                    tensor = make_tensor_proto(datum.numpy)
                    event.summary.value.add(tag=tag, tensor=tensor, metadata=summary_metadata())
                    change(event.summary.value[0])
                    writer.write(event.SerializeToString())


def _damage_tensor(dice: random.Random, value: Summary.Value) -> None:
    """Gives another dtype, shape, content or format than the tensor has."""
    tensor = value.tensor
    what = dice.randrange(4)
    if what == 0:
        tensor.dtype = dice.choice([0, 1, 4, 7, 14, 19, 99])
    elif what == 1:
        del tensor.tensor_shape.dim[dice.randint(0, len(tensor.tensor_shape.dim)) :]
        tensor.tensor_shape.dim.add(size=dice.choice([-1, 0, 3, 2**40]))
    elif what == 2:
        tensor.tensor_content = tensor.tensor_content[: -dice.randint(1, 20)]
        del tensor.string_val[:]
    else:
        value.metadata.plugin_data.content = dice.choice([b"", b"\x08\x63", b"\xff" * 9])


def _damage_some(dice: random.Random, share: float, value: Summary.Value) -> None:
    if dice.random() < share:
        _damage_tensor(dice, value)


def write_damaged(logs: Path, recordings: Sequence[Recording], seeds: Iterable[int]) -> None:
    """Writes a damaged run for each seed, `seed-N` and whatever lies below, with a black box."""
    for seed in seeds:
        dice = random.Random(seed)
        recording = recordings[seed % len(recordings)]
        folder = logs / f"seed-{seed}"
        way = dice.randrange(3)
        if way == 0:
            write_recording(folder, damaged(recording, seed))
        elif way == 1:
            bad = partial(_damage_some, dice, dice.choice([0.05, 0.5]))
            write_recording(folder, recording, bad)
        else:
            write_recording(folder, recording)
            for file in _event_files(folder):
                _damage_file(dice, file)
        step = folder / "nanwatch" / "blackbox" / "step-000000003"
        step.mkdir(parents=True, exist_ok=True)
        for name, content in _DUMP.items():
            (step / name).write_bytes(content)
            if dice.random() < 0.5:
                _damage_file(dice, step / name)


def damage_again(logs: Path, seed: int) -> None:
    """Other bytes in files that are being served, and at their ends; some files go."""
    dice = random.Random(seed)
    for file in _event_files(logs):
        if "seed-" in str(file) and dice.random() < 0.5:
            _damage_file(dice, file)


def _event_files(logs: Path) -> list[Path]:
    return sorted(logs.rglob("*tfevents*"))


def _damage_file(dice: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(dice.randint(1, 3)):
        dice.choice(_FAULTS)(dice, content)
    if dice.random() < 0.05:
        path.unlink()
    else:
        path.write_bytes(content)


def _flip(dice: random.Random, content: bytearray) -> None:
    for _ in range(dice.randint(1, 8) if content else 0):
        content[dice.randrange(len(content))] = dice.randrange(256)


def _cut(dice: random.Random, content: bytearray) -> None:
    del content[dice.randint(0, len(content)) :]


def _zeros(dice: random.Random, content: bytearray) -> None:
    """A block that never reached the disk."""
    first = dice.randint(0, len(content))
    content[first : first + 4096] = bytes(len(content[first : first + 4096]))


def _lose(dice: random.Random, content: bytearray) -> None:
    first = dice.randint(0, len(content))
    del content[first : first + dice.randint(1, 5000)]


def _repeat(dice: random.Random, content: bytearray) -> None:
    first = dice.randint(0, len(content))
    content[first:first] = content[first : first + 5000]


def _garbage(dice: random.Random, content: bytearray) -> None:
    content += dice.randbytes(dice.randint(1, 5000))


def _in_an_event(dice: random.Random, content: bytearray) -> None:
    """Other bytes within an event, with the checksum of what then stands there."""
    at, starts = 0, []
    while at + 16 <= len(content):
        length = int.from_bytes(content[at : at + 8], "little")
        if at + 16 + length > len(content):
            break
        starts.append((at, length))
        at += 16 + length
    if len(starts) < 2:
        return
    at, length = dice.choice(starts[1:])
    changed = bytearray(content[at + 12 : at + 12 + length])
    _flip(dice, changed)
    try:
        Event.FromString(bytes(changed))
    except Exception:  # TensorBoard's Python loader loads nothing any more after such an event.
        return
    written = io.BytesIO()
    RecordWriter(written).write(bytes(changed))
    content[at : at + 16 + length] = written.getvalue()


_FAULTS: tuple[Callable[[random.Random, bytearray], None], ...] = (
    *(_flip, _cut, _zeros, _lose, _repeat, _garbage),
    *(_in_an_event, _in_an_event, _in_an_event),
)


class Questions:
    """Asks a TensorBoard about everything that it lists.

    Attributes:
      asked: how many questions.
      faults: what was no answer, or an answer that NaNWatch had failed.
    """

    def __init__(self, url: str):
        self._url = f"{url}data/plugin/nanwatch/"
        self.asked = 0
        self.faults: list[str] = []

    def ask(self, route: str, **parameters: Any) -> Any:
        """The JSON of an answer; {} of another, and of an error, which is a fault but for 400."""
        self.asked += 1
        query = urllib.parse.urlencode(parameters, doseq=True, errors="surrogatepass")
        began = time.monotonic()
        try:
            with urllib.request.urlopen(f"{self._url}{route}?{query}", timeout=HANG_SECONDS) as got:
                body, status, kind = got.read(), got.status, got.headers["Content-Type"]
        except urllib.error.HTTPError as error:
            body, status, kind = error.read(), error.code, error.headers["Content-Type"]
        except OSError as error:
            took = time.monotonic() - began
            self.faults.append(f"{route} {parameters}: {error!r} after {took:.1f} s")
            return {}
        if kind != "application/json":
            if status != 200 or body[:4] != b"NWGR":
                self.faults.append(f"{route} {parameters}: {status} {kind} {body[:200]!r}")
            return {}
        answer = json.loads(body)
        # 404: while its file changes a run may go.
        if status not in (200, 400, 404) or (status != 200 and not answer.get("error")):
            self.faults.append(f"{route} {parameters}: {status} {answer}")
        said = answer.get("problems", ())
        self.faults += [f"{route} {parameters}: {text}" for text in said if FAILED in text]
        return answer if status == 200 else {}

    def runs(self, sound: Sequence[str] = ()) -> dict[str, Any]:
        """The list of runs by name, once it is at rest.

        That is where the runs `sound` are read whole, no other has come since a second ago, and
        each has its verdict, or a reason for none, which is a fault.
        """
        end = time.monotonic() + HANG_SECONDS
        rows: dict[str, Any] = {}
        while time.monotonic() < end:
            before, rows = rows, {row["run"]: row for row in self.ask("runs").get("runs", ())}
            of_sound = [rows.get(name, {"records": None})["records"] for name in sound]
            if (
                rows.keys() == before.keys()
                and all(each and each["read"] == each["written"] > 0 for each in of_sound)
                and all(row["status"] != "pending" or "problems" in row for row in rows.values())
            ):
                self.faults += [
                    f"runs: {row['run']!r}: {text}"
                    for row in rows.values()
                    for text in row.get("problems", ())
                ]
                return rows
            time.sleep(1.2)
        self.faults.append(f"runs: never at rest: {rows}")
        return rows

    def everything(self, sound: Sequence[str]) -> dict[str, Any]:
        """Asks every route about every run, with and without a viewport; gives the findings."""
        names = list(self.runs(sound))
        findings = {}
        for name, other in zip(names, [*names[1:], *names[:1]], strict=True):
            findings[name] = self.ask("findings", run=name)
            self.ask("layers", run=name)
            self.ask("compare", run=name, **{"with": other})
            run = self.ask("run", run=name)
            last = run.get("last_step") or 0
            for axis, statistic in zip(("step", "log", "wall", "step"), STATISTIC, strict=False):
                self.ask("grid", run=name, axis=axis, statistic=statistic, columns=64)
            self.ask("grid", run=name, first=last // 2, last=last)
            for tensor in [*run.get("tensors", ())[:1], *run.get("tensors", ())[-1:]]:
                mine = {"run": name, "tensor": tensor["id"]}
                self.ask("spectrogram", **mine, axis="wall", columns=200)
                self.ask("cell", **mine, first=last, last=last)
                self.ask("cell", **mine, first=0, last=2**40)
        return findings


def faults_of_report(logs: Path, *options: str) -> list[str]:
    """What the command of that name does other than answer or say what it cannot read."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(["report", str(logs), *options])
    said = out.getvalue() + err.getvalue()
    if status not in (NO_ERROR, ERROR, TROUBLE) or "Traceback" in said or FAILED in said:
        return [f"report {logs} {options}: status {status}: {said[-2000:]}"]
    return []
