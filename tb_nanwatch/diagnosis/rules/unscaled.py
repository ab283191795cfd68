"""`unscaled-input`, `unscaled-target`: data of large magnitude, where trouble follows; given so, or
made so by a normalization of a constant column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.rules.growth import is_overflow
from tb_nanwatch.diagnosis.rules.trend_finding import finding_of_trend

_TROUBLE = ("exploding-gradient", "divergence", "range-overflow-risk", "dead-layer", "not-training")
"""What unscaled data leads to, besides errors about magnitudes."""

_WHATEVER_THE_DATA = ("frozen", "no-variables")
"""Variants of such trouble that no data leads to."""

_VARIANCES = frozenset({"variance", "adapt_variance"})
"""What Keras calls the variances that a Normalization has adapted to."""


def unscaled_data(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """One for each input and target that may have led to one of `findings`."""
    worst = trouble_of(findings)
    if worst is None:
        return
    known = {each.origin for each in findings if each.cause == "fill-value"}
    for role in ("input", "target"):
        large = {
            tensor: steps
            for tensor in run.recorded(role)
            if (steps := large_before(run, tensor, worst)) and run.place(tensor) not in known
        }
        # Which layer takes which input is not known: only where there is one for each of them.
        if role == "input" and len(large) <= run.layers.input_scalers:
            continue
        for tensor, steps in large.items():
            yield finding_of_trend(
                run,
                f"unscaled-{run.info(tensor).role}",
                tensor,
                steps,
                {"largest_magnitude": run.largest(tensor), "trouble_step": worst.step},
                related={"trouble": worst.cause},
            )


def trouble_of(findings: Sequence[Finding]) -> Finding | None:
    """The first finding that large data may have led to."""
    trouble = [each for each in findings if is_overflow(each) or _depends_on_data(each)]
    return min(trouble, key=lambda each: each.step, default=None)


def _depends_on_data(finding: Finding) -> bool:
    return finding.cause in _TROUBLE and finding.variant not in _WHATEVER_THE_DATA


def large_before(run: Run, tensor: int, trouble: Finding) -> tuple[int, int] | None:
    """The steps at which data is large; None where it never is, or only after the trouble began."""
    history = run.histories[tensor]
    large = np.flatnonzero(history.magnitude() >= run.thresholds.unscaled_magnitude)
    # By the step at which trouble begins: what comes later has not caused it.
    if not len(large) or history.first[large[0]] > trouble.step:
        return None
    return int(history.last[large[0]]), int(history.last[large[-1]])


def constant_columns(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """One for the first Normalization that knows a variance of 0: what differs from the mean is
    multiplied by the inverse of its epsilon."""
    worst = trouble_of(findings)
    constant = [tensor for tensor in run.recorded("weight") if _is_variance_of_zero(run, tensor)]
    if worst is not None and constant:
        history = run.histories[constant[0]]
        yield finding_of_trend(
            run,
            "unscaled-input",
            constant[0],
            (int(history.first[0]), int(history.last[-1])),
            {"trouble_step": worst.step},
            variant="constant-column",
            related={"trouble": worst.cause},
        )


def _is_variance_of_zero(run: Run, tensor: int) -> bool:
    info = run.info(tensor)
    layer = run.layers.get(info.layer)
    if layer is None or not layer.is_builtin or layer.class_name != "Normalization":
        return False
    smallest = np.nanmin(run.histories[tensor].column("min"), initial=1.0)
    return info.attribute in _VARIANCES and bool(smallest == 0)
