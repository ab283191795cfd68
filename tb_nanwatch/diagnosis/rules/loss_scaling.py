"""`loss-scale-backoff`, `loss-scale-collapse`: the steps that a loss-scaling optimizer skipped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from tb_nanwatch.diagnosis.facts.nonfinite_intervals import find_nonfinite_intervals
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.facts.tensor_history import RecordMatrix
from tb_nanwatch.diagnosis.finding import CAUSES, Finding, Place
from tb_nanwatch.diagnosis.rules.backward_origin import locate_backward_origin
from tb_nanwatch.stats.columns import WINDOW_FIELD
from tb_nanwatch.stats.floats import FORMATS

_WIDE = {"float32", "float64", "bfloat16", "mixed_bfloat16"}
"""Policies of layers that do not compute in float16; those of quantized layers may do so."""

_FORWARD = ("activation", "prediction", "loss")


def loss_scaling(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """One finding about all such steps; none without any."""
    skipping = [matrix for matrix in run.matrices if _skips(matrix).any()]
    if not skipping:
        return
    matrix = max(skipping, key=lambda each: int(_skips(each).sum()))
    skips, scale = _skips(matrix), matrix.windows[:, WINDOW_FIELD["loss_scale"]]
    at = np.flatnonzero(skips > 0)
    begin, end, streak = _longest_streak(matrix, skips)
    floored = np.flatnonzero((skips > 0) & (scale <= run.thresholds.scale_floor))
    unbroken = streak >= run.thresholds.skip_streak or _all_refused(run, matrix, skips)
    in_forward = _skipped_for_forward(run, matrix)
    collapsed = unbroken or len(floored) > 0 or len(in_forward) > 0
    if not unbroken and len(floored):
        begin, end = int(floored[0]), int(floored[-1])
    elif not unbroken and len(in_forward):
        begin, end = int(in_forward[0]), int(in_forward[-1])
    elif not collapsed:
        begin, end = int(at[0]), int(at[-1])
    first, last = int(matrix.first[begin]), int(matrix.last[end])
    if collapsed and begin > 0 and 0 < skips[begin - 1] < _widths(matrix)[begin - 1]:
        # The record before was partly skipped: its last steps, as they go on.
        first -= int(skips[begin - 1])
        streak += int(skips[begin - 1])
        begin -= 1
    evidence: dict[str, float] = {
        "skipped_steps": int(skips[begin : end + 1].sum()),
        "longest_streak": streak,
    }
    if not np.isnan(scale[begin : end + 1]).all():
        evidence["lowest_loss_scale"] = float(np.nanmin(scale[begin : end + 1]))
    origin, is_forward = _origin(run, first, last)
    later = int((_widths(matrix) - skips)[at[-1] + 1 :].sum())
    related = {}
    if collapsed and is_forward and (reach := _beyond_half(run, last)):
        evidence["largest_input"] = reach
        related["dtype"] = "float16"
    variant = "" if later else "unfinished"
    if collapsed:
        forward = "range" if related else "forward" if _may_compute_in_half(run) else "not-float16"
        variant = forward if is_forward else "backward"
    cause = "loss-scale-collapse" if collapsed else "loss-scale-backoff"
    needs_layer = is_forward and not origin.layer and not run.recorded("activation")
    yield Finding(
        cause,
        CAUSES[cause].severity,
        first,
        last,
        origin,
        variant=variant,
        evidence=evidence | {"later_steps": later},
        related=related,
        record_also=("activation",) if collapsed and needs_layer else (),
        model=run.history.model,
    )


def _all_refused(run: Run, matrix: RecordMatrix, skips: npt.NDArray[np.float64]) -> bool:
    """Whether no step was ever taken, over more steps than a healthy start skips."""
    steps = int(_widths(matrix).sum())
    return int(skips.sum()) == steps >= run.thresholds.skip_start


def _skipped_for_forward(run: Run, matrix: RecordMatrix) -> npt.NDArray[np.int64]:
    """The records in which steps were skipped that had a non-finite prediction or loss.

    What the loss scale multiplies comes after them. Non-finite data is a finding of its own.
    """
    spans = find_nonfinite_intervals(
        run.history, run.matrices, is_state=run.order.is_state, scale_skipped=True
    )
    of_data = np.isin(spans.tensor, run.order.of_role("input", "target"))
    steps: set[int] = set()
    for tensor in run.recorded("prediction", "loss"):
        history = run.histories[tensor]
        steps.update(history.last[history.column("scale_skipped_steps") > 0].tolist())
    records = np.flatnonzero(np.isin(matrix.last, list(steps)))
    is_of_data = [
        np.any(of_data & (spans.first <= matrix.last[at]) & (spans.last >= matrix.first[at]))
        for at in records.tolist()
    ]
    kept: npt.NDArray[np.int64] = records[~np.array(is_of_data, bool)]
    return kept


def _may_compute_in_half(run: Run) -> bool:
    """Whether layers compute in float16, or may do so, as where none is known."""
    policies = {each.dtype_policy for each in run.history.model.layers} - {""}
    is_recorded = any(info.dtype == "float16" for info in run.history.tensors)
    return not policies <= _WIDE or not policies or is_recorded


def _beyond_half(run: Run, step: int) -> float:
    """The magnitude of inputs that layers cast to float16 and that it cannot hold; 0 for none."""
    policies = {each.dtype_policy for each in run.history.model.layers}
    if not policies & {"float16", "mixed_float16"}:
        return 0.0
    largest = run.magnitude(run.order.of_role("input"), step)
    return float(largest) if largest > FORMATS["float16"].largest else 0.0


def _skips(matrix: RecordMatrix) -> npt.NDArray[np.float64]:
    skips: npt.NDArray[np.float64] = matrix.windows[:, WINDOW_FIELD["scale_skipped_steps"]]
    return skips


def _widths(matrix: RecordMatrix) -> npt.NDArray[np.int64]:
    return matrix.last - matrix.first + 1


def _longest_streak(matrix: RecordMatrix, skips: npt.NDArray[np.float64]) -> tuple[int, int, int]:
    """First and last record of the longest run of skipped steps, and its number of steps.

    A window in which some steps were taken ends one: which of its steps, the record does not say.
    """
    widths = _widths(matrix)
    whole = skips >= widths
    best, start, steps = (0, 0, 0), 0, 0
    for record in range(len(skips)):
        if whole[record]:
            start = record if steps == 0 else start
            steps += int(widths[record])
            best = max(best, (start, record, steps), key=lambda each: each[2])
        else:
            steps = 0
    return best


def _origin(run: Run, first: int, last: int) -> tuple[Place, bool]:
    """What was first non-finite in those steps, and whether the forward pass made it."""
    spans = find_nonfinite_intervals(
        run.history, run.matrices, is_state=run.order.is_state, scale_skipped=True
    )
    within = np.flatnonzero((spans.last >= first) & (spans.first <= last))
    if not len(within):
        return Place("gradient", "", "gradient"), False
    rank = run.order.execution_rank
    at = min(within.tolist(), key=lambda i: (spans.first[i], rank[spans.tensor[i]]))
    tensor = int(spans.tensor[at])
    if run.info(tensor).role in _FORWARD:
        return run.place(tensor), True
    layer = locate_backward_origin(run, tensor, int(spans.first[at])).layer
    return run.place(tensor, layer), False
