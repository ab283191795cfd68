"""What happened and why that is known, with numbers: a few sentences a finding."""

from __future__ import annotations

from collections.abc import Iterator

from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.text import nonfinite_explanations, trend_explanations
from tb_nanwatch.diagnosis.text.names import contains
from tb_nanwatch.diagnosis.text.operation import operation_sentence

_EXPLANATIONS = {**nonfinite_explanations.EXPLANATIONS, **trend_explanations.EXPLANATIONS}

_PARTIAL = "Some records of this run are missing, so it may have started earlier or elsewhere."


def explanation(finding: Finding) -> str:
    """The sentences of a finding: what the operation did, what else shows it, what came of it."""
    return " ".join([*_reasons(finding), *_consequences(finding)])


def _reasons(finding: Finding) -> Iterator[str]:
    operation = finding.operation
    if operation is None or finding.rerun is None or finding.cause == "label-out-of-range":
        yield from _EXPLANATIONS[finding.cause](finding)
        return
    did = operation_sentence(operation, finding.rerun)
    if finding.cause == "exploding-gradient":
        yield from _EXPLANATIONS[finding.cause](finding)
        yield f"It overflowed here: {did}"
    elif finding.cause == "loss-scale-collapse":
        yield from _EXPLANATIONS[finding.cause](finding)
        yield f"At step {finding.rerun.step:,}, {did}"
    else:
        yield did
        yield f"{contains(finding)}."
        if finding.cause == "swallowed-nonfinite":
            yield from nonfinite_explanations.hidden_by(finding)


def _consequences(finding: Finding) -> Iterator[str]:
    came = finding.consequences
    if came.lost_variables:
        verb = "contains" if came.lost_variables == 1 else "contain"
        lost = f"{came.lost_variables:,} of {came.variables:,} trainable variables {verb}"
        if came.lost_variables == came.variables:
            lost = f"all {came.variables:,} trainable variables contain"
        if came.variables == 1:
            lost = "the only trainable variable contains"
        yield f"From step {came.since:,} on, {lost} NaN or Inf."
    if came.is_spread_by_clipping:
        yield (
            "Among them are variables whose own gradients are finite, to which clipping by the "
            "global norm spreads it."
        )
    if came.is_loss_finite:
        yield "The loss stays finite, so the loss curve does not show it."
    if finding.is_partial:
        yield _PARTIAL
