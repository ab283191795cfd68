"""What running a step again adds to its finding: the operation, its layer, and what to write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tb_nanwatch.diagnosis.advice import operation_advice
from tb_nanwatch.diagnosis.finding import Finding, Place
from tb_nanwatch.diagnosis.words import held, named, sentence
from tb_nanwatch.format.rerun import Operation, Rerun

_DATA = frozenset({"nonfinite-input", "nonfinite-target"})

_MADE = frozenset(
    {"layer-forward", "loss-domain", "layer-backward", "loss-backward", "swallowed-nonfinite"}
)
"""Causes that say which part of the model did it: an operation says it more exactly."""

_ROWS = 6
"""So many rows are named in a sentence."""

_GROWN = frozenset({"exploding-gradient"})

_UPDATE = "optimizer-overflow"

_COLLAPSE = "loss-scale-collapse"


def with_rerun(finding: Finding, reruns: Sequence[Rerun]) -> Finding:
    """The finding with what running its step again has found; as it is where that is nothing.

    The operation tells the layer, and so whether the loss or a layer did it, and in which pass:
    that is more than the records of what goes in and out of layers tell.
    """
    if finding.severity != "error":
        return finding
    if finding.cause == _COLLAPSE:
        return _of_collapse(finding, reruns)
    rerun = next((each for each in reruns if each.step == finding.step), None)
    if rerun is None:
        return finding
    operation = rerun.operation
    if finding.cause in _DATA and operation is None:
        rows = rerun.bad_data.get(finding.origin.tensor, rerun.examples)
        return replace(finding, rerun=replace(rerun, examples=rows))
    is_update = operation is not None and operation.direction == "update"
    if finding.cause in _GROWN and operation is not None:
        if is_update:  # What is squared there is what has grown.
            did = _did(operation, rerun.examples)
            return replace(finding, message=f"{finding.message} {did}", rerun=rerun)
        return _told(replace(finding, rerun=rerun), rerun, operation)
    if finding.cause not in _MADE and not (finding.cause == _UPDATE and is_update):
        return finding
    if operation is None:
        return replace(finding, rerun=rerun)
    cause = finding.cause
    if is_update:
        cause = _UPDATE
    # Outside of layers it may be the loss or the model's own call: what the records say holds.
    elif operation.layer and cause != "swallowed-nonfinite":
        cause = f"layer-{operation.direction}"
    elif operation.direction == "backward" and cause in ("layer-forward", "loss-domain"):
        cause = "loss-backward"
    return _told(
        replace(
            finding,
            cause=cause,
            origin=_origin(finding.origin, operation),
            advice=operation_advice(operation, finding.advice),
            turn_on=(),
            rerun=rerun,
        ),
        rerun,
        operation,
    )


def _of_collapse(finding: Finding, reruns: Sequence[Rerun]) -> Finding:
    """Steps that a loss scale refuses are run again where the scale is at 1 or below."""
    span = range(finding.step, finding.last_step + 1)
    rerun = next((each for each in reruns if each.step in span), None)
    if rerun is None or rerun.operation is None:
        return finding
    did = f"At step {rerun.step:,} {_did(rerun.operation, rerun.examples)}"
    return replace(
        finding,
        message=f"{finding.message} {did}",
        advice=operation_advice(rerun.operation, finding.advice),
        rerun=rerun,
    )


def _origin(origin: Place, operation: Operation) -> Place:
    """The place of the finding in the layer that ran the operation."""
    return replace(origin, layer=operation.layer) if operation.layer else origin


def _told(finding: Finding, rerun: Rerun, operation: Operation) -> Finding:
    """The finding with a message that names the operation first."""
    elements = {key: finding.evidence.get(key, 0) for key in ("nan", "pos_inf", "neg_inf")}
    shown = f"{sentence(named(finding.origin))} holds {held(elements)} at step {finding.step:,}."
    words = (_did(operation, rerun.examples), shown, finding.aftermath)
    return replace(finding, message=" ".join(words).strip())


def _did(operation: Operation, rows: Sequence[int]) -> str:
    """What the operation did, where, and in which rows of the batch: a sentence."""
    where = f" in layer {operation.layer!r}" if operation.layer else ""
    where = f" in {operation.optimizer}" if operation.optimizer else where
    during = "update" if operation.direction == "update" else f"{operation.direction} pass"
    line = f", {operation.file} line {operation.line}: `{operation.code}`" if operation.file else ""
    first = [each.elements[0].value for each in operation.operands if each.elements]
    of = f" of {' and '.join(dict.fromkeys(first[:2]))}" if first else ""
    result = operation.result
    made = result.elements[0].value if result and result.elements else "what is not finite"
    is_gradient = result is not None and result.name == "gradient"
    gives = f"has the gradient {made}" if is_gradient else f"gives {made}"
    at = ""
    if rows:
        named_rows = ", ".join(map(str, rows[:_ROWS])) + " and more" * (len(rows) > _ROWS)
        at = f" in row{'s' * (len(rows) > 1)} {named_rows} of the batch"
    return f"`{operation.type}`{where}, {during}{line}, {gives}{of}{at}."
