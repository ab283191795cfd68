"""`nanwatch doctor`: what works here, and for what does not, the command that mends it.

Each check is a line. What would load a framework, or end a process, runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tb_nanwatch import requirements
from tb_nanwatch.cli.arguments import version
from tb_nanwatch.cli.exit_status import ERROR, NO_ERROR
from tb_nanwatch.cli.terminal import BOLD, GREEN, RED, YELLOW, Color, Terminal

Outcome = Literal["ok", "note", "FAIL"]

_COLOR: dict[Outcome, Color] = {"ok": GREEN, "note": YELLOW, "FAIL": RED}
_COLUMN = 6
_PORT = 6006
"""TensorBoard's own default."""

_TAB = Path(__file__).resolve().parents[1] / "static" / "index.js"

_FRAMEWORK = """
import json
import keras
import tensorflow as tf
print(json.dumps({"tensorflow": tf.__version__, "keras": keras.__version__,
                  "backend": keras.backend.backend()}))
"""
_TENSORBOARD = """
import argparse, json
from tensorboard import default
loaders = [each for each in default.get_dynamic_plugins() if each.__name__ == "NaNWatchLoader"]
flags = argparse.Namespace(samples_per_plugin={})
for each in loaders:
    each().fix_flags(flags)
print(json.dumps({"loaders": len(loaders), "samples": flags.samples_per_plugin.get("nanwatch")}))
"""
_DATA_SERVER = """
import json
from tensorboard.data import server_ingester
try:
    print(json.dumps(str(server_ingester.get_server_binary().path)))
except server_ingester.NoDataServerError:
    print(json.dumps(None))
"""


@dataclass(frozen=True)
class Check:
    """One line: whether something works, what is known of it, and what mends it."""

    outcome: Outcome
    text: str
    fix: str = ""


class Probe:
    """A piece of Python in a process of its own, which prints JSON."""

    def __init__(self, code: str):
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def answer(self) -> tuple[Any, str]:
        """What it printed, and ""; or None, and the last line of its error."""
        out, errors = self._process.communicate()
        lines = out.splitlines()
        if self._process.returncode or not lines:
            said = errors.strip().splitlines()
            return None, said[-1] if said else f"exit status {self._process.returncode}"
        return json.loads(lines[-1]), ""


def doctor(arguments: argparse.Namespace) -> int:
    """Runs the command; returns the exit status."""
    terminal = Terminal.of(sys.stdout)
    failed = False
    for check in checks(arguments.logdir):
        failed |= check.outcome == "FAIL"
        for label, text in ((check.outcome, check.text), ("fix", check.fix)):
            if text:
                # Never wrapped: a command is there to be copied.
                painted = terminal.paint(label, BOLD, *([_COLOR[check.outcome]] * (label != "fix")))
                print(painted + " " * (_COLUMN - len(label)) + terminal.printable(text), flush=True)
    return ERROR if failed else NO_ERROR


def checks(logdir: str | None) -> Iterator[Check]:
    """Every check, the most basic first."""
    framework, tensorboard, data_server = map(Probe, (_FRAMEWORK, _TENSORBOARD, _DATA_SERVER))
    yield from _versions()
    can_read = all(requirements.shortage(name) is None for name in requirements.READING)
    yield from _tensorboard(tensorboard)
    yield _tab()
    yield _loader(data_server)
    yield from _framework(framework)
    if logdir is not None and can_read:
        yield _log_directory(logdir)
    yield _port()


def _versions() -> Iterator[Check]:
    python = f"Python {platform.python_version()} ({sys.executable})"
    yield Check("ok", f"NaNWatch {version()}, {python}")
    for name in ("protobuf", "numpy"):
        yield _version(name)
    for note in requirements.newer_than_tested():
        yield Check("note", *note)


def _version(name: str) -> Check:
    trouble = requirements.shortage(name)
    if trouble is not None:
        return Check("FAIL", *trouble)
    return Check("ok", f"{requirements.NAMES[name]} {requirements.version_of(name)}")


def _tensorboard(probe: Probe) -> Iterator[Check]:
    found, error = probe.answer()
    version = _version("tensorboard")
    yield version
    if version.outcome == "FAIL":
        return
    if found is None:
        old_setuptools = requirements.pip_install("setuptools<81")
        reinstalled = requirements.pip_install("tensorboard", reinstall=True)
        missing = "pkg_resources" in error
        yield Check(
            "FAIL",
            f"TensorBoard does not start: {error}",
            old_setuptools if missing else reinstalled,
        )
        return
    if not found["loaders"]:
        yield Check(
            "FAIL",
            "TensorBoard does not find the plugin: NaNWatch is not installed in this Python.",
            requirements.pip_install("tb-nanwatch"),
        )
        return
    yield Check("ok", "TensorBoard finds the plugin")
    if found["samples"] == 0:
        yield Check("ok", "sampling: TensorBoard keeps every record of NaNWatch")
    else:
        yield Check(
            "FAIL", "TensorBoard samples records away.", "Pass --samples_per_plugin nanwatch=0"
        )
    command = shutil.which("tensorboard")
    here = Path(sys.executable).parent
    if command is None or Path(command).parent != here:
        where = "is not on PATH" if command is None else f"on PATH belongs elsewhere: {command}"
        yield Check(
            "note",
            f"The command `tensorboard` {where}.",
            f"Run: {sys.executable} -m tensorboard.main --logdir LOGDIR",
        )


def _tab() -> Check:
    if _TAB.is_file():
        return Check("ok", "the tab is built")
    if (_TAB.parents[2] / "frontend" / "package.json").is_file():
        return Check(
            "FAIL",
            f"The tab is not built: no {_TAB}",
            f"Run: cd {_TAB.parents[2]} && {sys.executable} -m pip install -e .",
        )
    return Check(
        "FAIL",
        f"The tab is missing: no {_TAB}",
        requirements.pip_install("tb-nanwatch", reinstall=True),
    )


def _loader(probe: Probe) -> Check:
    binary, _ = probe.answer()
    if binary is not None:
        return Check("ok", "loader: TensorBoard's data server")
    return Check(
        "note",
        "loader: TensorBoard's own in Python, slower with large logs. There is no data server.",
        requirements.pip_install("tensorboard-data-server"),
    )


def _framework(probe: Probe) -> Iterator[Check]:
    found, error = probe.answer()
    if requirements.version_of("tensorflow") is None:
        yield Check(
            "note",
            "TensorFlow is not installed: this Python can show and report runs, not record them.",
            requirements.pip_install("tb-nanwatch[tensorflow]"),
        )
        return
    for name in requirements.FRAMEWORK:
        yield _version(name)
    if found is None:
        trouble = requirements.unmet(ImportError(error))
        assert trouble is not None
        yield Check("FAIL", *trouble)
    elif found["backend"] != "tensorflow":
        yield Check("FAIL", *requirements.other_backend(found["backend"]))
    else:
        yield Check("ok", "Keras runs on TensorFlow")
    if os.environ.get("TF_USE_LEGACY_KERAS") in ("1", "True", "true"):
        yield Check(
            "note",
            "tf.keras is Keras 2 here, but nanwatch.Callback records Keras 3: keras.Model.",
            "Run: unset TF_USE_LEGACY_KERAS",
        )


def _log_directory(logdir: str) -> Check:
    # Reading needs packages that may be what is missing here.
    from tb_nanwatch.cli.no_tensorflow import read_without_tensorflow
    from tb_nanwatch.logdir import runs
    from tb_nanwatch.logdir.loading import NotReadableError
    from tb_nanwatch.logdir.progress import Progress

    read_without_tensorflow()
    problems: list[str] = []
    with Progress(sys.stderr) as progress, ExitStack() as opened:
        try:
            found = list(runs.find([logdir], progress, opened, problems.append))
        except NotReadableError as error:
            return Check(
                "FAIL",
                str(error),
                f"Record one: nanwatch.Callback({os.path.join(logdir, 'run1')!r})",
            )
        written = sum(each.index.written for each in found)
        read = sum(each.index.read for each in found)
        problems += [problem for each in found for problem in each.index.problems]
    text = f"log directory {logdir!r}: {len(found):,} runs, {read:,} of {written:,} records read"
    if problems:
        return Check("note", f"{text}. {problems[0]}", f"For all of them: nanwatch report {logdir}")
    return Check("ok", text)


def _port() -> Check:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", _PORT))
        except OSError:
            return Check(
                "note",
                f"Port {_PORT}, TensorBoard's default, is in use, maybe by another TensorBoard.",
                f"Run: tensorboard --logdir LOGDIR --port {_PORT + 1}",
            )
    return Check("ok", f"port {_PORT}, TensorBoard's default, is free")
