"""Damaged recordings: whatever stands in the event files, there is an answer or a named problem.

`damaged` makes a recording from a sound one by a seed; `check` asks the reader, the report and all
routes about it, and raises where any of them does.
"""

from __future__ import annotations

import io
import json
import logging
import random
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from provider import ACCESS, Provider
from tensorboard.data.provider import TensorDatum
from werkzeug.test import Client

from tb_nanwatch import http
from tb_nanwatch.cli.console_report import run_lines
from tb_nanwatch.cli.terminal import Terminal
from tb_nanwatch.diagnosis import Thresholds
from tb_nanwatch.format import FormatError
from tb_nanwatch.format.histograms import unpack_histogram, unpack_histograms
from tb_nanwatch.format.manifest import pack_manifest, unpack_manifest
from tb_nanwatch.format.nonfinite_logs import (
    NonfiniteLogs,
    pack_nonfinite_logs,
    unpack_nonfinite_logs,
)
from tb_nanwatch.format.records import peek
from tb_nanwatch.format.rerun import (
    Element,
    Operand,
    Operation,
    Rerun,
    SourceLine,
    Trial,
    pack_rerun,
    unpack_rerun,
)
from tb_nanwatch.format.tags import manifest_tag, parse_tag
from tb_nanwatch.logdir import runs
from tb_nanwatch.logdir.progress import Progress
from tb_nanwatch.page import html_page
from tb_nanwatch.reader import Reader, RunIndex

Recording = dict[tuple[str, str], list[TensorDatum]]
"""Run and tag to events."""

_NUMBERS = (0.0, -1.0, 0.5, 1.0, 2.0, 65.0, 1e5, 2.0**53, -(2.0**53), 2.0**63, 1e300, -1e300)
_STRANGE = (*_NUMBERS, np.nan, np.inf, -np.inf, 5e-324)
_JSON = ("NaN", "Infinity", "-1", "1e999", "9" * 400, "9" * 5000, "[" * 5000, '"x"', "{}", "null")

_RERUN = Rerun(
    3,
    True,
    "graph",
    operation=Operation(
        "Log",
        "forward",
        "dense",
        "train.py",
        7,
        "loss",
        (SourceLine(7, "tf.math.log(x)"),),
        (Operand("x", "float32", (4, 2), (Element((0, 1), "-1.0"),)),),
        Operand("y", "float32", (4, 2), (Element((0, 1), "nan"),)),
    ),
    examples=(0, 2),
    bad_data={"x": (1,)},
    tried=(Trial("rows_out", "x = x[keep]", "finite", 1.5, 4, 0),),
)

_LOGS = NonfiniteLogs(3, ("val_loss",), True, 2, 64, {"x": (7,)})

FAILED = "NaNWatch could not"
"""What a problem says that is one of ours."""


class InMemory:
    """A DataProvider of a recording."""

    def __init__(self, recording: Recording):
        self._recording = recording

    def list_tensors(self, *_: Any, **__: Any) -> dict[str, dict[str, Any]]:
        listed: dict[str, dict[str, Any]] = {}
        for (run, tag), datums in self._recording.items():
            listed.setdefault(run, {})[tag] = SimpleNamespace(
                max_step=datums[-1].step, max_wall_time=datums[-1].wall_time
            )
        return listed

    def read_tensors(self, *_: Any, run_tag_filter: Any, **__: Any) -> Any:
        found: dict[str, dict[str, Any]] = {}
        for (run, tag), datums in self._recording.items():
            if run in run_tag_filter.runs and tag in run_tag_filter.tags:
                found.setdefault(run, {})[tag] = datums
        return found


def recording_of(logs: Path) -> Recording:
    """All of ours below a log directory; with facts, which synthetic logs have none of."""
    provider = Provider(logs)
    recording: Recording = {}
    listed = provider.list_tensors(ACCESS.context, experiment_id="", plugin_name="nanwatch")
    for run, tags in listed.items():
        read = provider.read_tensors(
            ACCESS.context,
            experiment_id="",
            plugin_name="nanwatch",
            downsample=10**6,
            run_tag_filter=SimpleNamespace(runs={run}, tags=set(tags)),
        )
        for tag, datums in read[run].items():
            recording[run, tag] = list(datums)
    run, tag = next((run, tag) for run, tag in recording if "/manifest/" in tag)
    session = tag.split("/")[2]
    content = np.array(pack_rerun(_RERUN), object)
    recording[run, f"nanwatch/rerun/{session}/3"] = [TensorDatum(3, 1.0, content)]
    content = np.array(pack_nonfinite_logs(_LOGS), object)
    recording[run, f"nanwatch/logs/{session}/3"] = [TensorDatum(3, 1.0, content)]
    return recording


def damaged(recording: Recording, seed: int) -> Recording:
    """The recording with a few faults."""
    dice = random.Random(seed)
    faulty = {key: list(datums) for key, datums in recording.items()}
    for _ in range(dice.randint(1, 6)):
        key = dice.choice(list(faulty))
        dice.choice(_FAULTS)(dice, faulty, key)
    return {key: datums for key, datums in faulty.items() if datums}


def _each(dice: random.Random, datums: list[TensorDatum]) -> Iterable[int]:
    """One event, or all of a tag."""
    return range(len(datums)) if dice.random() < 0.4 else [dice.randrange(len(datums))]


def _changed(datum: TensorDatum, **changes: Any) -> TensorDatum:
    parts = {"step": datum.step, "wall_time": datum.wall_time, "numpy": datum.numpy}
    return TensorDatum(**{**parts, **changes})


def _wall_time(dice: random.Random, faulty: Recording, key: tuple[str, str]) -> None:
    for at in _each(dice, faulty[key]):
        faulty[key][at] = _changed(faulty[key][at], wall_time=dice.choice(_STRANGE))


def _step(dice: random.Random, faulty: Recording, key: tuple[str, str]) -> None:
    step = dice.choice([-1, -(2**63), 2**63 - 1, 2**53, 0])
    for at in _each(dice, faulty[key]):
        faulty[key][at] = _changed(faulty[key][at], step=step)


def _element(dice: random.Random, faulty: Recording, key: tuple[str, str]) -> None:
    """Some numbers of a record; or bytes of histograms, manifests and reruns."""
    for at in _each(dice, faulty[key]):
        array = faulty[key][at].numpy
        if array.dtype == np.float64 and array.ndim == 2 and array.size:
            array = array.copy()
            row = 0 if dice.random() < 0.5 else dice.randrange(len(array))
            column = dice.randrange(array.shape[1])
            rows = slice(None) if dice.random() < 0.2 else row
            array[rows, column] = dice.choice(_STRANGE)
        elif array.dtype == np.uint8 and array.size:
            array = array.copy()
            for _ in range(dice.randint(1, 8)):
                array[dice.randrange(array.size)] = dice.randrange(256)
        elif array.dtype == object:
            array = np.array(_bytes(dice, array.item() if array.size == 1 else b""), object)
        faulty[key][at] = _changed(faulty[key][at], numpy=array)


def _bytes(dice: random.Random, content: Any) -> Any:
    if not isinstance(content, bytes) or not content:
        return dice.choice([b"", b"\xff" * 10, "text", 3, None])
    if content[:1] == b"{":
        text = content.decode()
        words = [": ", ", ", "true", "3", '"graph"', "[]", "{}"]
        return text.replace(dice.choice(words), dice.choice(_JSON), dice.randint(1, 3)).encode()
    changed = bytearray(content)
    for _ in range(dice.randint(1, 4)):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed[: dice.randint(0, len(changed))] if dice.random() < 0.3 else changed)


def _other_shape(dice: random.Random, faulty: Recording, key: tuple[str, str]) -> None:
    shapes: list[Callable[[Any], Any]] = [
        lambda array: np.atleast_1d(array)[:0],
        lambda array: array.reshape(-1),
        lambda array: array[..., :-1] if array.ndim else array,
        lambda array: np.zeros((0, 3)),
        lambda array: np.zeros((1, 3)),
        lambda array: np.array("text"),
        lambda array: np.array([b"a", b"b"], object),
        lambda array: np.full((300, 3), np.nan),
    ]
    for at in _each(dice, faulty[key]):
        array = dice.choice(shapes)(np.asarray(faulty[key][at].numpy))
        faulty[key][at] = _changed(faulty[key][at], numpy=array)


def _wide_histogram(dice: random.Random, faulty: Recording, key: tuple[str, str]) -> None:
    """Well-formed, and of any exponents."""
    entries = dice.choice([1, 300, 60_000])
    codes = np.random.default_rng(dice.randrange(100)).integers(-(2**15), 2**15, entries)
    head = b"NWEH" + np.array([1, 1, entries], "<u4").tobytes()
    body = np.array([entries], "<u2").tobytes() + np.sort(codes).astype("<i2").tobytes()
    content = np.frombuffer(head + body + np.ones(entries, "<u4").tobytes(), np.uint8)
    hists = [each for each in faulty if "/hist/" in each[1]]
    if hists:
        chosen = dice.choice(hists)
        faulty[chosen] = [_changed(each, numpy=content) for each in faulty[chosen]]


def _manifest(dice: random.Random, faulty: Recording, key: tuple[str, str]) -> None:
    """One that is well-formed, and of other columns and tensors."""
    chosen = [each for each in faulty if "/manifest/" in each[1]]
    if not chosen:
        return
    key = dice.choice(chosen)
    try:
        manifest = unpack_manifest(faulty[key][0].numpy.item())
    except (FormatError, ValueError, AttributeError, TypeError):
        return
    columns, fields = list(manifest.columns), list(manifest.window_fields)
    what = dice.randrange(6)
    if what == 0:
        dice.shuffle(columns)
    elif what == 1:
        dice.shuffle(fields)
    elif what == 2:
        fields = fields[: dice.randrange(len(fields) + 1)]
    elif what == 3:
        fields = fields + ["later"] * 20 + fields
    tensors = list(manifest.tensors)
    if tensors and what >= 4:
        at = dice.randrange(len(tensors))
        changes: dict[str, Any] = {
            "role": dice.choice(["", "other", "loss"]),
            "dtype": dice.choice(["", "int32", "float64", "complex64"]),
            "shape": dice.choice([None, (), (-1,), (2**62, 2**62)]),
            "name": dice.choice(["", "\0", "a" * 10_000, "<b>"]),
        }
        name = dice.choice(list(changes))
        tensors[at] = replace(tensors[at], **{name: changes[name]})
    made = replace(
        manifest, columns=tuple(columns), window_fields=tuple(fields), tensors=tuple(tensors)
    )
    # Under its own hash, by which the records name it: another's would not be read.
    run, tag = key
    parsed = parse_tag(tag)
    if parsed is None or parsed.manifest is None:
        return
    before = int(parsed.manifest, 16)
    content = np.array(pack_manifest(made), object)
    renamed = run, manifest_tag(parsed.stream, made.hash())
    faulty[renamed] = [_changed(faulty.pop(key)[0], numpy=content)]
    for (of_run, _), datums in faulty.items():
        for at, datum in enumerate(datums):
            array = datum.numpy
            is_record = array.dtype == np.float64 and array.ndim == 2 and array[:1, 1:].size > 0
            if of_run == run and is_record and array[0, 1] == before:
                array = array.copy()
                array[0, 1] = made.hash()
                datums[at] = _changed(datum, numpy=array)


def _tag(dice: random.Random, faulty: Recording, key: tuple[str, str]) -> None:
    run, tag = key
    parts = tag.split("/")
    place = dice.randrange(1, len(parts))
    parts[place] = dice.choice(
        [
            "",
            "B" + "9" * 5000,
            "B3",
            "0" * 12,
            "f" * 12,
            "rerun",
            "logs",
            "stats",
            "hist",
            "٣",
            "a" * 300,
        ]
    )
    faulty[run, "/".join(parts)] = faulty[key] if dice.random() < 0.5 else faulty.pop(key)


def _exchange(dice: random.Random, faulty: Recording, key: tuple[str, str]) -> None:
    other = dice.choice(list(faulty))
    faulty[key], faulty[other] = faulty[other], faulty[key]


def _drop(dice: random.Random, faulty: Recording, key: tuple[str, str]) -> None:
    if len(faulty) > 1:
        del faulty[key]


def _repeat(dice: random.Random, faulty: Recording, key: tuple[str, str]) -> None:
    faulty[key] = faulty[key] * dice.randint(2, 4)
    dice.shuffle(faulty[key])


_FAULTS = (_wall_time, _step, _element, _element, _element, _other_shape, _wide_histogram, _tag)
_FAULTS += (_exchange, _drop, _repeat, _manifest, _manifest)


def check(recording: Recording) -> None:
    """Raises where the reader, the report or a route does, or says that it failed."""
    with quiet():
        _check_decoders(recording)
        _check_report(InMemory(recording))
        _check_routes(InMemory(recording))


@contextmanager
def quiet() -> Iterator[None]:
    """Without what NumPy warns of: damaged numbers are out of range."""
    logger = logging.getLogger("tensorboard.nanwatch")
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        before, logger.disabled = logger.disabled, True
        try:
            yield
        finally:
            logger.disabled = before


def _check_decoders(recording: Recording) -> None:
    decoders: dict[str, Callable[[Any], Any]] = {
        "manifest": unpack_manifest,
        "rerun": unpack_rerun,
        "logs": unpack_nonfinite_logs,
        "stats": peek,
        "initial": peek,
    }
    for (_, tag), datums in recording.items():
        parsed = parse_tag(tag)
        for datum in datums[:4] if parsed else ():
            content = datum.numpy
            if parsed.kind == "hist" and content.dtype == np.uint8:
                _named(unpack_histograms, content)
                _named(lambda packed: unpack_histogram(packed, 0), content)
            elif parsed.kind in decoders and parsed.kind in ("stats", "initial"):
                _named(peek, content)
            elif content.size == 1 and isinstance(content.item(), bytes):
                _named(decoders.get(parsed.kind, unpack_rerun), content.item())


def _named(decode: Callable[[Any], Any], content: Any) -> None:
    with suppress(FormatError):
        decode(content)


def _check_report(provider: Any) -> None:
    reader = Reader(provider)
    indexes = runs._read(reader, ACCESS)
    found = [runs.FoundRun(index.run, reader, ACCESS, index) for index in indexes]
    with Progress(io.StringIO()) as progress:
        diagnosed = list(runs.diagnosed(found, Thresholds(), progress))
    _check_problems([each.index for each in diagnosed])
    json.dumps([each.to_json() for each in diagnosed], allow_nan=False)
    for each in diagnosed:
        list(run_lines(Terminal(), each))
    html_page("logs", diagnosed)


def _check_problems(indexes: Sequence[RunIndex]) -> None:
    failed = [text for index in indexes for text in index.problems if FAILED in text]
    assert not failed, failed


def _check_routes(provider: Any) -> None:
    apps = http.apps(provider)

    def ask(route: str, **parameters: Any) -> Any:
        answer = Client(apps[f"/{route}"]).get(f"/{route}", query_string=parameters)
        assert answer.status_code in (200, 400), (route, parameters, answer.text)
        return answer

    listed = json.loads(ask("runs").text)["runs"]
    for row in listed[:4]:
        run = row["run"]
        answer = json.loads(ask("findings", run=run).text)
        assert not any(FAILED in text for text in answer.get("problems", ())), answer["problems"]
        tensors = json.loads(ask("run", run=run).text)["tensors"]
        for axis in ("step", "log", "wall"):
            ask("grid", run=run, axis=axis, columns=64)
        for tensor in tensors[:2]:
            ask("spectrogram", run=run, tensor=tensor["id"], columns=2000)
            ask("cell", run=run, tensor=tensor["id"], first=0, last=2**40)
