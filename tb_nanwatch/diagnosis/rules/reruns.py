"""What running a step again adds to its finding: the operation, and so the layer and the pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tb_nanwatch.diagnosis.finding import Finding, Place
from tb_nanwatch.format.label_range import LabelOutOfRange, label_out_of_range
from tb_nanwatch.format.rerun import Operation, Rerun

_DATA = frozenset({"nonfinite-input", "nonfinite-target"})

_OF_ONE_OPERATION = frozenset(
    {"layer-forward", "loss-domain", "layer-backward", "loss-backward", "swallowed-nonfinite"}
)
"""Causes that name a place of the model: an operation names it more exactly."""


_OF_LABELS = _OF_ONE_OPERATION | {"exploding-gradient", "optimizer-overflow"}


def with_rerun(finding: Finding, reruns: Sequence[Rerun]) -> Finding:
    """The finding with what running its step again has found; as it is where that is nothing.

    The operation shows the layer, and so whether the loss or a layer did it, and in which pass:
    that is more than the records of what goes in and out of layers show.
    """
    if finding.severity != "error":
        return finding
    if finding.cause == "loss-scale-collapse":
        return _of_collapse(finding, reruns)
    rerun = next((each for each in reruns if each.step == finding.step), None)
    if rerun is None:
        return finding
    operation = rerun.operation
    label = label_out_of_range(rerun)
    if label is not None and finding.cause in _OF_LABELS:
        return _of_label(finding, rerun, label)
    if finding.cause in _DATA:
        if operation is not None:
            return finding
        rows = rerun.bad_data.get(finding.origin.tensor, rerun.examples)
        return replace(finding, rerun=replace(rerun, examples=rows))
    if finding.cause == "exploding-gradient":
        # What grew is the cause; the operation is only where it overflowed.
        return finding if operation is None else replace(finding, rerun=rerun)
    if finding.cause in _OF_ONE_OPERATION:
        if operation is None and rerun.is_of_weight:
            return _of_weight(finding, rerun)
        if operation is None:
            return replace(finding, rerun=rerun)
        return _of_operation(finding, rerun, operation)
    if finding.cause == "optimizer-overflow" and _is_update(operation):
        return replace(finding, rerun=rerun, record_also=())
    return finding


def _of_label(finding: Finding, rerun: Rerun, label: LabelOutOfRange) -> Finding:
    """The error that kept the step from being run again is the finding."""
    return replace(
        finding,
        cause="label-out-of-range",
        variant="",
        evidence={**finding.evidence, "label": label.label, "classes": label.classes},
        related={},
        inferred_from="",
        record_also=(),
        rerun=None if rerun.failure else rerun,
    )


def _of_weight(finding: Finding, rerun: Rerun) -> Finding:
    """No operation of the step is at fault: what wrote the weight before it is."""
    return replace(
        finding,
        cause="nonfinite-initial-weight",
        variant="between",
        related={},
        inferred_from="",
        record_also=(),
        rerun=rerun,
    )


def _is_update(operation: Operation | None) -> bool:
    return operation is not None and operation.direction == "update"


def _of_operation(finding: Finding, rerun: Rerun, operation: Operation) -> Finding:
    cause, variant = finding.cause, finding.variant
    if _is_update(operation):
        cause, variant = "optimizer-overflow", "operation"
    # Outside of layers it may be the loss or the model's own call: the records decide.
    elif operation.layer and cause != "swallowed-nonfinite":
        cause = f"layer-{operation.direction}"
    elif operation.direction == "backward" and cause in ("layer-forward", "loss-domain"):
        cause = "loss-backward"
    if cause != finding.cause and cause != "optimizer-overflow":
        variant = "invalid" if cause == "layer-forward" else ""
    return replace(
        finding,
        cause=cause,
        variant=variant,
        # The layers among which it was are no longer of interest.
        related=finding.related if cause == "swallowed-nonfinite" else {},
        origin=_place(finding.origin, operation),
        inferred_from="",
        record_also=(),
        rerun=rerun,
    )


def _of_collapse(finding: Finding, reruns: Sequence[Rerun]) -> Finding:
    """Steps that a loss scale skips are run again where the scale is at 1 or below."""
    span = range(finding.step, finding.last_step + 1)
    rerun = next((each for each in reruns if each.step in span), None)
    if rerun is None or rerun.operation is None:
        return finding
    return replace(finding, rerun=rerun)


def _place(origin: Place, operation: Operation) -> Place:
    """The origin in the layer that ran the operation."""
    return replace(origin, layer=operation.layer) if operation.layer else origin
