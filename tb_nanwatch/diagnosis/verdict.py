"""The one verdict on a run: what it is, and its most important finding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from tb_nanwatch.diagnosis.diagnose import diagnose
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.thresholds import Thresholds
from tb_nanwatch.format.history import History
from tb_nanwatch.stats.columns import WINDOW_FIELD

Status = Literal["nonfinite", "unstable", "healthy", "empty"]


@dataclass(frozen=True)
class Verdict:
    """What is wrong with a run, and what was looked at.

    Attributes:
      findings: the most important first.
      steps: how many steps its records cover.
      tensors: how many tensors have records.
      roles: those of these tensors.
      is_short: whether the run is too short for trends to be judged.
    """

    findings: tuple[Finding, ...]
    steps: int
    tensors: int
    roles: frozenset[str]
    is_short: bool = False

    @property
    def status(self) -> Status:
        """ "empty" without records, else by the worst of the findings."""
        if not self.steps:
            return "empty"
        severities = {finding.severity for finding in self.findings}
        if "error" in severities:
            return "nonfinite"
        return "unstable" if "warning" in severities else "healthy"

    @property
    def finding(self) -> Finding | None:
        """The most important one; None for none."""
        return self.findings[0] if self.findings else None


def verdict(history: History, thresholds: Thresholds | None = None) -> Verdict:
    """The verdict on a run."""
    return verdict_of(history, diagnose(history, thresholds), thresholds)


def verdict_of(
    history: History, findings: Sequence[Finding], thresholds: Thresholds | None = None
) -> Verdict:
    """The verdict on a run whose findings are known."""
    steps = _steps(history)
    recorded = {tensor for series in history.series for tensor in series.rows.tolist()}
    return Verdict(
        tuple(findings),
        steps,
        len(recorded),
        frozenset(history.tensors[tensor].role for tensor in recorded),
        steps < (thresholds or Thresholds()).trend_steps,
    )


def status(history: History, findings: Sequence[Finding]) -> Status:
    """What a run is, by the findings of its history."""
    return verdict_of(history, findings).status


def _steps(history: History) -> int:
    """How many steps the records cover together."""
    spans = [
        series.windows[:, [WINDOW_FIELD["first_step"], WINDOW_FIELD["last_step"]]]
        for series in history.series
        if len(series.windows)
    ]
    if not spans:
        return 0
    first, last = np.unique(np.concatenate(spans), axis=0).T
    end = np.maximum.accumulate(np.concatenate([[first.min() - 1], last[:-1]]))
    return int(np.maximum(0, last - np.maximum(first, end + 1) + 1).sum())
