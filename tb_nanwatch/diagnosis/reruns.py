"""What running a step again adds to its finding: the operation, its layer, and what to write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tb_nanwatch.diagnosis.advice import operation_advice
from tb_nanwatch.diagnosis.finding import Finding, Place
from tb_nanwatch.schema.rerun import Operation, Rerun

_DATA = frozenset({"nonfinite-input", "nonfinite-target"})

_MADE = frozenset(
    {"layer-forward", "loss-domain", "layer-backward", "loss-backward", "swallowed-nonfinite"}
)
"""Causes that say which part of the model did it: an operation says it more exactly."""

_GROWN = frozenset({"exploding-gradient"})


def with_rerun(finding: Finding, reruns: Sequence[Rerun]) -> Finding:
    """The finding with what running its step again has found; as it is where that is nothing.

    The operation tells the layer, and so whether the loss or a layer did it, and in which pass:
    that is more than the records of what goes in and out of layers tell.
    """
    rerun = next((each for each in reruns if each.step == finding.step), None)
    if rerun is None or finding.severity != "error":
        return finding
    operation = rerun.operation
    if finding.cause in _DATA and operation is None:
        return replace(finding, rerun=rerun)
    if finding.cause in _GROWN and operation is not None:
        return _told(replace(finding, rerun=rerun), rerun, operation)
    if finding.cause not in _MADE:
        return finding
    if operation is None:
        return replace(finding, rerun=rerun)
    cause = finding.cause
    if cause != "swallowed-nonfinite":
        made = {"forward": ("loss-domain", "layer-forward")}.get(
            operation.direction, ("loss-backward", "layer-backward")
        )
        cause = made[bool(operation.layer)]
    return _told(
        replace(
            finding,
            cause=cause,
            origin=_origin(finding, cause, operation),
            advice=operation_advice(operation, finding.advice),
            turn_on=(),
            rerun=rerun,
        ),
        rerun,
        operation,
    )


def _origin(finding: Finding, cause: str, operation: Operation) -> Place:
    """The place of the finding in the layer that ran the operation."""
    origin = finding.origin
    if not operation.layer or operation.layer == origin.layer:
        return origin
    return replace(origin, layer=operation.layer)


def _told(finding: Finding, rerun: Rerun, operation: Operation) -> Finding:
    """The finding with a message that names the operation first."""
    where = f" in layer {operation.layer!r}" if operation.layer else ""
    line = f", {operation.file} line {operation.line}: `{operation.code}`" if operation.file else ""
    rows = ""
    if rerun.examples:
        named = ", ".join(map(str, rerun.examples))
        rows = f" in row{'s' * (len(rerun.examples) > 1)} {named} of the batch"
    inputs = ""
    values = list(
        dict.fromkeys(e.value for each in operation.operands for e in each.elements[:1])
    )
    if values:
        inputs = f" of {' and '.join(values[:2])}"
    result = operation.result
    made = result.elements[0].value if result and result.elements else "what is not finite"
    if operation.direction == "forward":
        did = f"gives {made}{inputs}{rows}"
    else:
        did = f"has the gradient {made}, where it is taken{inputs}{rows}"
    said = f"`{operation.type}`{where}, {operation.direction} pass{line}, {did}."
    return replace(finding, message=f"{said} {finding.message}")
