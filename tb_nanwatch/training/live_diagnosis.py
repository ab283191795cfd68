"""What is wrong with a training run, said while it runs: the diagnosis of its latest records."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from tb_nanwatch.diagnosis import Finding, Place, diagnose, finding_report, live_message
from tb_nanwatch.format.facts import UNKNOWN_MODEL, ModelFacts
from tb_nanwatch.format.history import Bins, History, Series, no_histogram
from tb_nanwatch.format.nonfinite_logs import NonfiniteLogs
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.record import Record
from tb_nanwatch.training.console import logger
from tb_nanwatch.training.warnings import warn

KEPT_RECORDS = 256
"""Latest records that are looked at; fewer of many tensors, so that they stay within KEPT_BYTES."""

KEPT_BYTES = 16 * 2**20

LOOK_EVERY = 64
"""Records between two looks at a training run in which nothing has changed."""

Infos = tuple[TensorInfo, ...]

OnFinding = Callable[[dict[str, Any]], object]
"""Called with a finding as `nanwatch report --json` prints it."""


class LiveDiagnosis:
    """Reports each finding once.

    Args:
      log_dir: the run's directory, which the messages name.
      on_finding: called with each finding, before it is logged. What it raises is one warning.
    """

    def __init__(self, log_dir: str, on_finding: OnFinding | None = None) -> None:
        self._log_dir = log_dir
        self._on_finding = on_finding
        self._has_failed = False
        self._initial: list[tuple[Infos, Record]] = []
        self._reruns: list[Rerun] = []
        self._logs: list[NonfiniteLogs] = []
        self._data: dict[TensorInfo, Bins] = {}
        self._latest: deque[tuple[Infos, Record]] = deque()
        self._bytes = 0
        self._unseen = 0
        self._is_due = False
        self._reported: set[tuple[str, Place]] = set()
        self._most_severe = ""
        self._model = UNKNOWN_MODEL

    def set_model(self, model: ModelFacts) -> None:
        """Sets what the framework knows of the model."""
        self._model = model

    def add_initial(self, infos: Infos, record: Record) -> None:
        """Adds the state before the first step."""
        self._initial.append((infos, record))

    def add_record(self, infos: Infos, record: Record, *, nonfinite: bool) -> None:
        """Adds a record, and whether one of its steps was non-finite.

        Of its exponent histograms those of inputs and targets are kept, until the next ones.
        """
        self._latest.append((infos, Record(record.window, record.columns)))
        if record.histograms is not None:
            for row, info in enumerate(infos):
                if info.role in ("input", "target"):
                    self._data[info] = record.histograms.tensor(row)
        self._bytes += record.columns.nbytes
        while len(self._latest) > 1 and (
            len(self._latest) > KEPT_RECORDS or self._bytes > KEPT_BYTES
        ):
            self._bytes -= self._latest.popleft()[1].columns.nbytes
        self._unseen += 1
        nothing_trains = self._model.trainable_variables == 0 and len(self._latest) == 1
        self._is_due |= nonfinite or nothing_trains or self._unseen >= LOOK_EVERY

    def add_rerun(self, rerun: Rerun) -> None:
        """Adds what running a step again has found, before the record of the step."""
        self._reruns.append(rerun)

    def add_logs(self, logs: NonfiniteLogs) -> None:
        """Adds logs of an epoch, after the record of its last step."""
        self._logs.append(logs)
        self._is_due = True

    def new_findings(self, *, last: bool = False) -> list[Finding]:
        """Findings of severity error or warning that were not reported yet; `on_finding` gets each.

        Looked for after a non-finite step, every LOOK_EVERY records, and at the `last` call.
        """
        if not (self._is_due or (last and self._unseen)):
            return []
        self._is_due, self._unseen = False, 0
        try:
            findings = diagnose(self._history())
        except Exception as error:  # Whatever is wrong with a rule, the recording goes on.
            warn(f"could not diagnose the training run ({type(error).__name__}: {error}).")
            return []
        errors = [each for each in findings if each.severity == "error"]
        if errors:
            self._most_severe = live_message(errors[0])
        new = list(self._new(findings))
        for each in new:
            self._call(each)
        return new

    def most_severe(self) -> str:
        """The most important error that `new_findings` found so far."""
        return self._most_severe or "NaN or Inf in this step."

    def with_details(self, text: str) -> str:
        """The text, and where to see more."""
        return f"{text}\nDetails: tensorboard --logdir {self._log_dir}, tab NaNWatch."

    def log_new_findings(self, *, last: bool = False) -> None:
        """Logs new findings, if there are any, as one message."""
        found = self.new_findings(last=last)
        if found:
            is_error = any(each.severity == "error" for each in found)
            text = self.with_details("\n".join(map(live_message, found)))
            logger.log(logging.ERROR if is_error else logging.WARNING, "%s", text)

    def _call(self, finding: Finding) -> None:
        if self._on_finding is None:
            return
        try:
            self._on_finding(finding_report(finding))
        except Exception as error:
            if not self._has_failed:
                self._has_failed = True
                warn(f"on_finding raised {type(error).__name__}: {error}. Training continues.")

    def _new(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        for each in findings:
            key = each.cause, each.origin
            if each.severity != "info" and key not in self._reported:
                self._reported.add(key)
                yield each

    def _history(self) -> History:
        rows: dict[TensorInfo, int] = {}
        for infos, _ in (*self._latest, *self._initial):
            for info in infos:
                rows.setdefault(info, len(rows))
        tensors = tuple(rows)
        latest = groupby(self._latest, key=lambda each: each[0])
        return History(
            tensors=tensors,
            workers=tuple(info.replica for info in tensors),
            series=[_series(rows, infos, [r for _, r in parts]) for infos, parts in latest],
            initial=[_series(rows, infos, [record]) for infos, record in self._initial],
            is_complete=True,
            reruns=tuple(self._reruns),
            nonfinite_logs=tuple(self._logs),
            model=self._model,
            histogram=lambda tensor, *steps: self._data.get(
                tensors[tensor], no_histogram(tensor, *steps)
            ),
        )


def _series(rows: dict[TensorInfo, int], infos: Infos, records: Sequence[Record]) -> Series:
    return Series(
        rows=np.array([rows[info] for info in infos], np.int64),
        windows=np.stack([record.window for record in records]),
        columns=np.stack([record.columns for record in records]),
    )
