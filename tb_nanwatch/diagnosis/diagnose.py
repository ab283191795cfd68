"""The way in: a history to its findings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Literal

from tb_nanwatch.diagnosis.finding import Finding, Place
from tb_nanwatch.diagnosis.origins import origins
from tb_nanwatch.diagnosis.ranges import ranges, unscaled
from tb_nanwatch.diagnosis.reruns import with_rerun
from tb_nanwatch.diagnosis.run import Run
from tb_nanwatch.diagnosis.runaway import is_of_magnitude
from tb_nanwatch.diagnosis.scaling import loss_scaling
from tb_nanwatch.diagnosis.thresholds import Thresholds
from tb_nanwatch.diagnosis.trends import trends
from tb_nanwatch.format.history import History

Status = Literal["nonfinite", "unstable", "healthy", "empty"]

_PARTIAL = "Records are missing from this run, so it may have begun earlier or elsewhere."

_ORDER = {"error": 0, "warning": 1, "info": 2}


def diagnose(history: History, thresholds: Thresholds | None = None) -> tuple[Finding, ...]:
    """What is wrong with a run, the most important first: errors by step and flow, warnings, infos.

    Steps that loss scaling handled count for the findings about loss scaling alone. What was not
    recorded is unknown, and not taken for healthy: `Finding.turn_on` says what would tell more.
    """
    run = Run(history, thresholds or Thresholds())
    errors = list(_once(origins(run)))
    ran_away = [each for each in errors if is_of_magnitude(each)]
    found = [
        *errors,
        *loss_scaling(run),
        *trends(run, exploded=bool(ran_away)),
        *ranges(run, overflowed=bool(ran_away)),
    ]
    found += unscaled(run, found)
    found = [with_rerun(each, history.reruns) for each in found]
    if not history.is_complete:
        found = [replace(each, message=f"{each.message} {_PARTIAL}") for each in found]
    return tuple(sorted(found, key=_importance))


def _importance(finding: Finding) -> tuple[int, bool, int]:
    """Orders findings; what led to trouble comes after the trouble, however early it began."""
    return _ORDER[finding.severity], finding.cause.startswith("unscaled-"), finding.step


def _once(findings: Iterable[Finding]) -> Iterable[Finding]:
    """The findings with those of the same cause and origin as one, from its first to its last."""
    known: dict[tuple[str, Place], Finding] = {}
    for each in findings:
        key = each.cause, each.origin
        first = known.setdefault(key, each)
        if first is not each:
            reached = {(v.role, v.tensor, v.worker) for v in first.victims}
            victims = (v for v in each.victims if (v.role, v.tensor, v.worker) not in reached)
            known[key] = replace(
                first,
                last_step=max(first.last_step, each.last_step),
                victims=(*first.victims, *victims),
            )
    return known.values()


def status(history: History, findings: Sequence[Finding]) -> Status:
    """What a run is: "empty" without records, else by the worst of its findings."""
    if not any(len(series.windows) for series in history.series):
        return "empty"
    severities = {finding.severity for finding in findings}
    if "error" in severities:
        return "nonfinite"
    return "unstable" if "warning" in severities else "healthy"
