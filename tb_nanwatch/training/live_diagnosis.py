"""What is wrong with a training, said while it runs: the diagnosis of its latest records."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from tb_nanwatch.diagnosis import Finding, Place, diagnose, short_text
from tb_nanwatch.format.facts import UNKNOWN_MODEL, ModelFacts
from tb_nanwatch.format.history import History, Series
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.record import Record
from tb_nanwatch.training.warnings import warn

KEPT_RECORDS = 256
"""Latest records that are looked at; fewer of many tensors, so that they stay within KEPT_BYTES."""

KEPT_BYTES = 16 * 2**20

LOOK_EVERY = 64
"""Records between two looks at a training in which nothing has changed."""

Infos = tuple[TensorInfo, ...]


class LiveDiagnosis:
    """Tells each finding once, in a line.

    Args:
      log_dir: the run's directory, where the messages send people.
    """

    def __init__(self, log_dir: str) -> None:
        self._log_dir = log_dir
        self._initial: list[tuple[Infos, Record]] = []
        self._reruns: list[Rerun] = []
        self._latest: deque[tuple[Infos, Record]] = deque()
        self._bytes = 0
        self._unseen = 0
        self._model = UNKNOWN_MODEL
        self._is_due = False
        self._told: set[tuple[str, Place]] = set()
        self._worst = ""

    def take_model(self, model: ModelFacts) -> None:
        """Takes what the framework knows of the model."""
        self._model = model

    def take_initial(self, infos: Infos, record: Record) -> None:
        """Takes the state before the first step."""
        self._initial.append((infos, record))

    def take(self, infos: Infos, record: Record, *, nonfinite: bool) -> None:
        """Takes a record, and whether one of its steps was non-finite.

        Exponent histograms are not looked at.
        """
        self._latest.append((infos, Record(record.window, record.columns)))
        self._bytes += record.columns.nbytes
        while len(self._latest) > 1 and (
            len(self._latest) > KEPT_RECORDS or self._bytes > KEPT_BYTES
        ):
            self._bytes -= self._latest.popleft()[1].columns.nbytes
        self._unseen += 1
        self._is_due |= nonfinite or self._unseen >= LOOK_EVERY

    def take_rerun(self, rerun: Rerun) -> None:
        """Takes what running a step again has found, before the record of the step."""
        self._reruns.append(rerun)

    def news(self, *, last: bool = False) -> list[str]:
        """Findings of severity error or warning that were not told yet, a line each.

        Looked for after a non-finite step, at times, and where it is the `last` time to ask.
        """
        if not (self._is_due or (last and self._unseen)):
            return []
        self._is_due, self._unseen = False, 0
        try:
            findings = diagnose(self._history())
        except Exception as error:  # Whatever is wrong with a rule, the recording goes on.
            warn(f"could not diagnose the training ({type(error).__name__}: {error}).")
            return []
        errors = [each for each in findings if each.severity == "error"]
        if errors:
            self._worst = short_text(errors[0])
        return [short_text(each) for each in self._new(findings)]

    def worst(self) -> str:
        """The most important error that `news` found so far."""
        return self._worst or "a step went non-finite."

    def message(self, text: str) -> str:
        """The text as it is printed or raised: by whom, and where to look."""
        return f"NaNWatch: {text}\nSee tensorboard --logdir {self._log_dir}, tab NaNWatch."

    def print_news(self, *, last: bool = False) -> None:
        """Prints the news, if there are any, and not at the end of Keras's progress bar."""
        news = self.news(last=last)
        if news:
            print("\n" + self.message("\n".join(news)), flush=True)

    def _new(self, findings: Iterable[Finding]) -> Iterator[Finding]:
        for each in findings:
            key = each.cause, each.origin
            if each.severity != "info" and key not in self._told:
                self._told.add(key)
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
            model=self._model,
        )


def _series(rows: dict[TensorInfo, int], infos: Infos, records: Sequence[Record]) -> Series:
    return Series(
        rows=np.array([rows[info] for info in infos], np.int64),
        windows=np.stack([record.window for record in records]),
        columns=np.stack([record.columns for record in records]),
    )
