"""What is wrong with a training run, printed while it runs: the diagnosis of its latest records."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from tb_nanwatch.diagnosis import Finding, Place, diagnose, live_message
from tb_nanwatch.format.facts import UNKNOWN_MODEL, ModelFacts
from tb_nanwatch.format.history import Bins, History, Series, no_histogram
from tb_nanwatch.format.nonfinite_logs import NonfiniteLogs
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.record import Record
from tb_nanwatch.training.warnings import warn

KEPT_RECORDS = 256
"""Latest records that are looked at; fewer of many tensors, so that they stay within KEPT_BYTES."""

KEPT_BYTES = 16 * 2**20

LOOK_EVERY = 64
"""Records between two looks at a training run in which nothing has changed."""

Infos = tuple[TensorInfo, ...]


class LiveDiagnosis:
    """Reports each finding once.

    Args:
      log_dir: the run's directory, which the messages name.
    """

    def __init__(self, log_dir: str) -> None:
        self._log_dir = log_dir
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

    def new_findings(self, *, last: bool = False) -> list[str]:
        """Findings of severity error or warning that were not reported yet, in words.

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
        return [live_message(each) for each in self._new(findings)]

    def most_severe(self) -> str:
        """The most important error that `new_findings` found so far."""
        return self._most_severe or "NaN or Inf in this step."

    def message(self, text: str) -> str:
        """The text as it is printed or raised: by whom, and where to see more."""
        return f"NaNWatch: {text}\nDetails: tensorboard --logdir {self._log_dir}, tab NaNWatch."

    def print_new_findings(self, *, last: bool = False) -> None:
        """Prints new findings, if there are any, below Keras's progress bar."""
        found = self.new_findings(last=last)
        if found:
            print("\n" + self.message("\n".join(found)), flush=True)

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
