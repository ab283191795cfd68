"""`findings`: what is wrong with one run; the same as `nanwatch report --json` says of it."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from werkzeug import wrappers

from tb_nanwatch.diagnosis import diagnose, run_report, status
from tb_nanwatch.http import params
from tb_nanwatch.http.respond import json_answer
from tb_nanwatch.reader import Access, Reader, RunIndex

MOST_RUNS = 64
"""Runs whose findings are kept. A diagnosis reads all of a run, and the page asks anew for each
reload."""


def serve(request: wrappers.Request, reader: Reader, diagnoses: Diagnoses) -> wrappers.Response:
    index = params.run(request, reader)
    return json_answer(request, diagnoses.of(reader, params.access(request), index))


@dataclass
class _Diagnosis:
    """What was said of a run, and of which state of its data."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    index: RunIndex | None = None
    answer: dict[str, Any] = field(default_factory=dict)


class Diagnoses:
    """What is said of runs, made once for each state of their data. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, str], _Diagnosis] = OrderedDict()

    def of(self, reader: Reader, access: Access, index: RunIndex) -> dict[str, Any]:
        """The run's element of `runs` in `nanwatch report --json`."""
        key = access.experiment, index.run
        with self._lock:
            held = self._held.setdefault(key, _Diagnosis())
            self._held.move_to_end(key)
            while len(self._held) > MOST_RUNS:
                self._held.popitem(last=False)
        # One thread makes it, and those that want the same wait; other runs' go on.
        with held.lock:
            # The reader makes another index once the run's data changes.
            if held.index is not index:
                held.answer = _answer(reader, access, index)
                held.index = index
            return held.answer


def _answer(reader: Reader, access: Access, index: RunIndex) -> dict[str, Any]:
    history = reader.history(access, index)
    findings = diagnose(history)
    return run_report(
        index.run,
        status=status(history, findings),
        first_step=index.first_step,
        last_step=index.last_step,
        written=index.written,
        read=index.read,
        findings=findings,
        problems=index.problems,
    )
