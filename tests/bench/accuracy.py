"""How often NaNWatch is right: over the gallery, its twins, the controls and random networks.

Counted are runs whose status is right (detected), and where the first finding has the exact step,
the layer, the role and the cause of the origin, the operation and its line of source; false alarms
are warnings and errors that no truth knows. What is true of the gallery is tested in
tests/integration/test_demo.py, by a loop that knows nothing of NaNWatch; a random network has its
trap built in.

    python tests/bench/accuracy.py --networks 100 --peers
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import itertools
import json
import linecache
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from tb_nanwatch_demo import CASES
from tb_nanwatch_demo.runs import quiet_import, train, truths
from tb_nanwatch_demo.truth import Truth
from tb_nanwatch_demo.verdicts import judge

if TYPE_CHECKING:
    from tb_nanwatch_demo.training import Training

COLUMNS = ("detected", "step", "layer", "role", "cause", "operation", "line")
UNTOLD = -1
"""For the step of a peer that notices, and does not say at which step."""

PEERS = ("TerminateOnNaN", "check_numerics", "debugger_v2")


@dataclass(frozen=True)
class Answer:
    """What was right of one run; None where the truth has no such thing, or the tool none."""

    run: str
    group: str
    detected: bool
    step: bool | None
    layer: bool | None
    role: bool | None
    cause: bool | None
    operation: bool | None
    line: bool | None
    false_alarms: int


def progress(items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    """The items; on a terminal with a bar that says how many are done, and how long it takes."""
    began, is_terminal = time.monotonic(), sys.stderr.isatty()
    for done, item in enumerate(items):
        if is_terminal:
            bar = ("#" * (30 * done // total)).ljust(30, ".")
            passed = time.monotonic() - began
            sys.stderr.write(f"\r{what} {bar} {done}/{total} {passed:4.0f} s\x1b[K")
        yield item
    if is_terminal:
        sys.stderr.write("\r\x1b[K")


def silence() -> contextlib.redirect_stdout[io.StringIO]:
    """What callbacks print while they train is not what is measured."""
    return contextlib.redirect_stdout(io.StringIO())


def gallery(logdir: Path) -> list[Answer]:
    """NaNWatch on the gallery, which is trained into `logdir` where it is not there yet."""
    train(CASES, logdir, sys.stderr, again=False)
    command = [sys.executable, "-m", "tb_nanwatch", "report", str(logdir), "--json"]
    output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False).stdout
    reports = {report["run"]: report for report in json.loads(output)["runs"]}
    answers = []
    for run, truth in truths(CASES, logdir).items():
        verdict = judge(reports[run], truth)
        named = truth.operation is not None
        where = (truth.step is not None, truth.layer is not None, truth.roles, truth.causes)
        known = (*where, named, named)
        parts = [
            getattr(verdict, part) if is_known else None
            for part, is_known in zip(COLUMNS[1:], known, strict=True)
        ]
        alarms = len(verdict.false_alarms)
        answers.append(Answer(run, group(run, truth), verdict.detected, *parts, alarms))
    return answers


def group(run: str, truth: Truth) -> str:
    if run.endswith("-repaired"):
        return "twins"
    return "controls" if truth.status == "healthy" else "broken"


def drawn_networks(count: int) -> Iterator[Any]:
    """Random networks with a trap, and a tenth as many without."""
    import random_networks

    for seed in range(count + count // 10):
        yield random_networks.network(seed, None if seed < count else "none")


def named(drawn: Any) -> tuple[str, str]:
    """What a random network is called, and the group that it is counted in."""
    what = "healthy" if drawn.kind == "none" else "random"
    return f"network {drawn.seed}: {drawn.kind}", f"{what} networks"


def networks(count: int) -> Iterator[Answer]:
    """NaNWatch on random networks."""
    import keras
    import random_networks

    for drawn in drawn_networks(count):
        with tempfile.TemporaryDirectory() as folder, silence():
            random_networks.train(drawn, folder)
            found = random_networks.findings(folder)
        verdict = random_networks.judge(drawn, found)
        keras.utils.clear_session()
        if drawn.kind == "none":
            alarms = sum(each.severity != "info" for each in found)
            yield Answer(*named(drawn), verdict.detected, *[None] * 6, alarms)
        else:
            parts = [getattr(verdict, part) for part in COLUMNS]
            if drawn.operation is None:
                parts[-2:] = [None, None]
            yield Answer(*named(drawn), *parts, 0)


class Case(NamedTuple):
    """A training for a peer to watch, and what is true of it."""

    run: str
    group: str
    training: Training
    truth: Truth


def gallery_cases() -> Iterator[Case]:
    with quiet_import():
        import keras

        modules = {case: importlib.import_module(f"tb_nanwatch_demo.{case}") for case in CASES}
    for case, module in modules.items():
        is_broken = module.TRUTH.status != "healthy"
        for repaired in (False, True)[: 1 + is_broken]:
            keras.utils.clear_session()
            training = module.build(repaired=True) if repaired else module.build()
            truth = Truth() if repaired else module.TRUTH
            run = case + "-repaired" * repaired
            yield Case(run, group(run, truth), training, truth)


def network_cases(count: int) -> Iterator[Case]:
    """The random networks that `networks` draws."""
    import keras
    import random_networks

    from tb_nanwatch_demo.training import Training

    for drawn in drawn_networks(count):
        keras.utils.clear_session()
        x, y = random_networks.data(drawn)
        training = Training(random_networks.build(drawn), x, y, batch=random_networks.BATCH)
        truth = Truth()
        if drawn.kind != "none":
            kind, direction, code = drawn.operation or ("", "", "")
            truth = Truth(
                "nonfinite",
                step=drawn.step,
                layer=drawn.layer or None,
                operation=(kind, direction) if kind else None,
                code=code,
            )
        yield Case(*named(drawn), training, truth)


def peer(name: str, cases: Iterable[Case]) -> Iterator[Answer]:
    """A peer on each of the cases, without NaNWatch."""
    for run, named_group, training, truth in cases:
        noticed, said = _WATCH[name](training)
        told = noticed is not None
        if truth.status == "healthy":
            yield Answer(run, named_group, not told, *[None] * 6, int(told))
            continue
        step = None if truth.step is None or noticed == UNTOLD else noticed == truth.step
        # A file dense.py does not name the layer. Keras adds a number to a layer's name where
        # it calls the layer a second time.
        names = re.sub(r'File "[^"]+"', "", said)
        numbered = rf"\b{truth.layer}(_\d+)?\b"
        layer = re.search(numbered, names) is not None if truth.layer else None
        operation = line = None
        if truth.operation is not None and name != "TerminateOnNaN":
            operation = re.search(rf"\b{truth.operation[0]}(_\d+)?\b", names) is not None
            line = any(truth.code in code for code in _lines(said))
        yield Answer(run, named_group, told, step, layer, None, None, operation, line, 0)


def _lines(said: str) -> Iterator[str]:
    """The lines of source that a traceback names, wherever it breaks its own lines."""
    for file, number in re.findall(r'File "([^"]+)",\s+line\s+(\d+)', said):
        yield linecache.getline(file, int(number))


def _fit(training: Any, callbacks: Sequence[Any] = ()) -> int:
    """Trains; returns the step at which the training ended, by itself or by an error."""
    import keras

    class Count(keras.callbacks.Callback):  # type: ignore[misc]
        steps = 0

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.steps += 1

    count = Count()
    options = {"epochs": training.epochs, "batch_size": training.batch, "shuffle": False}
    try:
        training.model.fit(
            training.x, training.y, verbose=0, callbacks=[*callbacks, count], **options
        )
    except Exception as error:
        error.args = (count.steps, str(error))
        raise
    return count.steps


def _terminate_on_nan(training: Any) -> tuple[int | None, str]:
    import keras

    with silence():
        steps = _fit(training, [keras.callbacks.TerminateOnNaN()])
    return (steps - 1 if training.model.stop_training else None), ""


def _check_numerics(training: Any) -> tuple[int | None, str]:
    import tensorflow as tf

    tf.debugging.enable_check_numerics()
    try:
        _fit(training)
    except tf.errors.InvalidArgumentError as error:
        step, said = error.args
        return step, said
    return None, ""


def _debugger_v2(training: Any) -> tuple[int | None, str]:
    """Its alerts name the operation; which training step that was, it does not say."""
    import tensorflow as tf
    from tensorflow.python.debug.lib import debug_events_monitors, debug_events_reader

    with tempfile.TemporaryDirectory() as folder:
        writer = tf.debugging.experimental.enable_dump_debug_info(
            folder, tensor_debug_mode="CURT_HEALTH", circular_buffer_size=-1
        )
        _fit(training)
        writer.FlushNonExecutionFiles()
        writer.FlushExecutionFiles()
        tf.debugging.experimental.disable_dump_debug_info()
        with debug_events_reader.DebugDataReader(folder) as reader:
            monitor = debug_events_monitors.InfNanMonitor(reader)
            reader.update()
            alerts = monitor.alerts()
            if not alerts:
                return None, ""
            index = alerts[0].graph_execution_trace_index
            if index is None:
                return UNTOLD, ""
            trace = reader.graph_execution_traces(digest=True)[index]
            made = reader.graph_by_id(trace.graph_id).get_op_creation_digest(trace.op_name)
            _, frames = reader.read_graph_op_creation_stack_trace(made)
            places = [f'File "{file}", line {line}' for file, line, *_ in frames]
            return UNTOLD, "\n".join([trace.op_name, *places])


_WATCH: dict[str, Callable[[Any], tuple[int | None, str]]] = {
    "TerminateOnNaN": _terminate_on_nan,
    "check_numerics": _check_numerics,
    "debugger_v2": _debugger_v2,
}
"""Each trains, and returns the step at which it noticed something, or None, and what it said."""


def table(answers: Sequence[Answer]) -> Iterator[str]:
    """A line a group: of how many runs each column is right."""
    yield f"{'':18} {'runs':>4}  " + "  ".join(f"{name:>8}" for name in COLUMNS) + "  false alarms"
    for name in dict.fromkeys(answer.group for answer in answers):
        rows = [answer for answer in answers if answer.group == name]
        cells = []
        for column in COLUMNS:
            values = [getattr(row, column) for row in rows if getattr(row, column) is not None]
            cells.append(f"{sum(values)}/{len(values)}" if values else "-")
        alarms = sum(row.false_alarms for row in rows)
        yield (
            f"{name:18} {len(rows):4}  "
            + "  ".join(f"{cell:>8}" for cell in cells)
            + (f"  {alarms:12}")
        )


def wrong(answers: Sequence[Answer]) -> Iterator[str]:
    """The runs in which anything is not right, and what."""
    for answer in answers:
        parts = [column for column in COLUMNS if getattr(answer, column) is False]
        parts += [f"{answer.false_alarms} false alarms"] * (answer.false_alarms > 0)
        if parts:
            yield f"  {answer.run}: not right: {', '.join(parts)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--networks", type=int, default=0, help="random networks; default: 0")
    parser.add_argument("--peers", action="store_true", help="what people use instead, too")
    parser.add_argument("--logdir", type=Path, help="keep the gallery's records here")
    parser.add_argument("--only", choices=PEERS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    total = options.networks + options.networks // 10
    if options.only:  # A process of its own: two of the peers stay switched on.
        runs = sum(1 + (case not in _without_twin()) for case in CASES)
        cases = itertools.chain(gallery_cases(), network_cases(options.networks))
        found = list(progress(peer(options.only, cases), runs + total, options.only))
        print(json.dumps([vars(answer) for answer in found]))
        return
    with tempfile.TemporaryDirectory() as folder:
        answers = gallery(options.logdir or Path(folder))
    answers += progress(networks(options.networks), total, "networks")
    _show("NaNWatch", answers)
    for name in PEERS if options.peers else ():
        done = subprocess.run(
            [sys.executable, __file__, "--only", name, "--networks", str(options.networks)],
            stdout=subprocess.PIPE,
            text=True,
        )
        if done.returncode:
            print(f"\n{name}: failed, as said on stderr")
            continue
        _show(name, [Answer(**answer) for answer in json.loads(done.stdout.splitlines()[-1])])


def _without_twin() -> list[str]:
    modules = {case: importlib.import_module(f"tb_nanwatch_demo.{case}") for case in CASES}
    return [case for case, module in modules.items() if module.TRUTH.status == "healthy"]


def _show(name: str, answers: Sequence[Answer]) -> None:
    print(f"\n{name}")
    for line in (*table(answers), *wrong(answers)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
