"""`nonfinite-validation` and `nonfinite-metric`: what no training step computes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import CAUSES, Finding, Place
from tb_nanwatch.diagnosis.rules.event_finding import known
from tb_nanwatch.format.nonfinite_logs import NonfiniteLogs

_LOSSES = {"loss", "val_loss"}
"""What Keras calls the losses in its logs; whatever else is in them is a metric."""


def nonfinite_logs(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """For logs of an epoch that are not finite where nothing in the training explains it."""
    for logs in run.history.nonfinite_logs:
        errors = [each for each in findings if each.severity == "error" and each.step <= logs.step]
        is_lost = run.damaged_from <= logs.step
        if is_lost or any(each.cause == "poisoned-statistics" for each in errors):
            continue
        if logs.in_validation and _LOSSES & set(logs.names):
            yield _finding(run, logs, "nonfinite-validation", _variant(logs))
        elif logs.in_validation or not errors:
            yield _finding(run, logs, "nonfinite-metric", "")


def _variant(logs: NonfiniteLogs) -> str:
    if logs.rows == 0:
        return "empty"
    return "data" if logs.bad_data else ""


def _finding(run: Run, logs: NonfiniteLogs, cause: str, variant: str) -> Finding:
    bad = {part: rows for part, rows in logs.bad_data.items() if rows}
    part = next(iter(bad), "")
    evidence = known(
        first_batch=logs.first_batch if logs.first_batch >= 0 else float("nan"),
        first_row=bad[part][0] if part else float("nan"),
    )
    names = sorted(logs.names, key=lambda name: name not in _LOSSES)
    return Finding(
        cause,
        CAUSES[cause].severity,
        logs.step,
        logs.step,
        Place("loss", "", names[0]),
        variant=variant,
        evidence=evidence,
        related={"part": part} if part else {},
        model=run.history.model,
    )
