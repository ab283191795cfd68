"""A finding or a run in one line: WHAT at STEP · WHERE · LINE OF SOURCE.

It names the culprit (operation, layer), and never the tensor on which it was only seen first.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable

from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.text.names import QUANTITIES, code, kind, layer, sentence
from tb_nanwatch.diagnosis.text.numbers import growth, number, plural
from tb_nanwatch.diagnosis.text.operation import operation_name, rows_text
from tb_nanwatch.diagnosis.verdict import Verdict

_NOT_RECORDED = "origin not recorded"


def headline(finding: Finding) -> str:
    """ "NaN at step 31 · `Sqrt` in layer `length`, backward · sqrt_at_zero.py:43"."""
    what, where = _HEADLINES[finding.cause](finding)
    worker = finding.origin.worker
    parts = [what, where, _line(finding), f"worker {code(worker)}" if worker else ""]
    return " · ".join(part for part in parts if part)


def run_headline(verdict: Verdict) -> str:
    """The most important finding's headline; of a healthy run, what was checked."""
    status = verdict.status
    if status == "empty":
        return "Nothing recorded yet"
    if verdict.finding is not None and status != "healthy":
        return headline(verdict.finding)
    seen = f"({plural(verdict.steps, 'step')}, {plural(verdict.tensors, 'tensor')})"
    checked, missing = "no NaN or Inf", ""
    if "gradient" not in verdict.roles:
        missing = "; gradients were not recorded"
    elif verdict.is_short:
        missing = "; too short to judge trends"
    else:
        checked += ", no exploding, vanishing or dead gradients"
    return f"Healthy: {checked} {seen}{missing}"


def _line(finding: Finding) -> str:
    """File and line of the operation, without folders: the explanation has them."""
    operation = finding.operation
    if operation is None or not operation.file:
        return ""
    return f"{posixpath.basename(operation.file)}:{operation.line}"


def _at(finding: Finding) -> str:
    return f"at step {finding.step:,}"


def _from(finding: Finding) -> str:
    return f"from step {finding.step:,}"


def _kind_at(finding: Finding, where: str = "") -> str:
    return f"{kind(finding.evidence)}{where} {_at(finding)}"


def _operation(finding: Finding, otherwise: str) -> str:
    """The operation at fault, else `otherwise`."""
    return otherwise if finding.operation is None else operation_name(finding.operation)


def _data(finding: Finding) -> tuple[str, str]:
    words = {"nonfinite-input": "the input data", "nonfinite-target": "the targets"}
    data = "the sample weights" if finding.variant == "sample-weight" else words[finding.cause]
    origin = finding.origin
    where = [] if origin.tensor == origin.role or finding.variant else [code(origin.tensor)]
    if finding.rerun is not None and finding.rerun.examples:
        where.append(rows_text(finding.rerun))
    return _kind_at(finding, f" in {data}"), ", ".join(where)


def _initial_weight(finding: Finding) -> tuple[str, str]:
    if finding.variant == "between":
        before = f"before step {finding.step:,}"
        return f"{kind(finding.evidence)} in a weight {before}", "no operation of the step makes it"
    before = "the first step" if finding.step == 0 else f"step {finding.step:,}"
    return f"{kind(finding.evidence)} in a weight before {before}", code(finding.origin.tensor)


def _empty_batch(finding: Finding) -> tuple[str, str]:
    return f"Empty batch {_at(finding)}", "0 rows"


def _label(finding: Finding) -> tuple[str, str]:
    label, classes = (int(finding.evidence[name]) for name in ("label", "classes"))
    return f"Label out of range {_at(finding)}", f"label {label:,} of {plural(classes, 'class')}"


def _id(finding: Finding) -> tuple[str, str]:
    value, rows = (int(finding.evidence[name]) for name in ("id", "rows"))
    where = layer(finding.origin.layer)
    return f"Id out of range {_from(finding)}", f"id {value:,} of {plural(rows, 'row')}, {where}"


def _validation(finding: Finding) -> tuple[str, str]:
    what = f"{code(finding.origin.tensor)} is not finite after step {finding.step:,}"
    if finding.variant == "empty":
        return what, "the validation data has no rows"
    if finding.variant == "data":
        row = int(finding.evidence["first_row"])
        return what, f"{code(finding.related['part'])} of the validation data, row {row:,}"
    if "first_batch" in finding.evidence:
        return what, f"validation batch {int(finding.evidence['first_batch']):,}"
    return what, "the training is finite"


def _metric(finding: Finding) -> tuple[str, str]:
    what = f"Metric {code(finding.origin.tensor)} is not finite after step {finding.step:,}"
    return what, "the training is finite"


_IMPROPER = {
    "logits": "Predictions outside of [0, 1] under a cross entropy",
    "relu": "ReLU before a cross entropy",
    "one-unit": "Softmax or categorical cross entropy of one unit",
    "sigmoid": "Sigmoid before a categorical cross entropy",
}


def _improper(finding: Finding) -> tuple[str, str]:
    return _IMPROPER[finding.variant], layer(finding.origin.layer, code(finding.origin.tensor))


def _layer_forward(finding: Finding) -> tuple[str, str]:
    where = "forward pass, layer not recorded"
    if finding.origin.layer:
        where = f"{layer(finding.origin.layer)}, forward"
    elif "next_layer" in finding.related:
        where = f"upstream of {layer(finding.related['next_layer'])}, forward"
    return _kind_at(finding), _operation(finding, where)


def _loss_domain(finding: Finding) -> tuple[str, str]:
    if finding.inferred_from and finding.operation is None:
        where = "loss or forward pass, not recorded"
        return _kind_at(finding), where if finding.inferred_from == "gradient" else _NOT_RECORDED
    return _kind_at(finding, " in the loss"), _operation(finding, "")


def _layer_backward(finding: Finding) -> tuple[str, str]:
    related = finding.related
    if "from_layer" in related and related["from_layer"] != related["to_layer"]:
        where = f"layers {code(related['from_layer'])} to {code(related['to_layer'])}, backward"
    elif finding.origin.layer:
        where = f"{layer(finding.origin.layer)}, backward"
    else:
        where = "backward pass or optimizer, not recorded"
    return _kind_at(finding), _operation(finding, where)


def _loss_backward(finding: Finding) -> tuple[str, str]:
    operation = finding.operation
    if operation is not None:
        return _kind_at(finding), operation_name(operation, " in the loss")
    where = "loss, or a layer after the last variables" if finding.inferred_from else "loss"
    return _kind_at(finding), f"{where}, backward"


def _optimizer(finding: Finding) -> tuple[str, str]:
    names = {each.class_name for each in finding.model.optimizers}
    name = code(names.pop()) if len(names) == 1 else "optimizer"
    where = f"{name}, update of {layer(finding.origin.layer, code(finding.origin.tensor))}"
    overflows = finding.variant == "squares" and finding.operation is None
    what = f"Optimizer overflow {_at(finding)}" if overflows else _kind_at(finding)
    return what, _operation(finding, where)


def _statistics(finding: Finding) -> tuple[str, str]:
    where = layer(finding.origin.layer, code(finding.origin.tensor))
    what = "a frozen variable" if finding.variant == "untrained" else "moving statistics"
    return _kind_at(finding, f" in {what}"), where


def _swallowed(finding: Finding) -> tuple[str, str]:
    by = layer(finding.related.get("hiding_layer", ""), "a later layer")
    where = f"{layer(finding.origin.layer)}, forward"
    return f"{kind(finding.evidence)} hidden by {by} {_at(finding)}", _operation(finding, where)


def _exploding(finding: Finding) -> tuple[str, str]:
    if not finding.variant:
        where = layer(finding.origin.layer, code(finding.origin.tensor))
        return f"Exploding gradients {_from(finding)}", where
    quantity = QUANTITIES.get(finding.related.get("quantity", ""), "values")
    if finding.variant == "depth" and finding.related.get("quantity") == "operand":
        return f"Overflow within step {finding.step:,}", _operation(finding, "")
    if finding.variant == "depth":
        largest = number(finding.evidence["largest_magnitude"])
        return f"Overflow within step {finding.step:,}", f"{quantity} reach {largest}"
    what = f"Training diverged to {_kind_at(finding)}"
    if finding.origin.role == "loss":
        what = f"Training diverged: loss overflows to {_kind_at(finding)}"
    grown = growth(finding.evidence["growth_decades"])
    since = int(finding.evidence["growth_first_step"])
    return what, f"{quantity} grew {grown} since step {since:,}"


def _divergence(finding: Finding) -> tuple[str, str]:
    if finding.variant == "amplified":
        quantity = sentence(QUANTITIES[finding.origin.role])
        where = layer(finding.origin.layer, "") or f"up to {_largest(finding)}"
        return f"{quantity} out of proportion {_at(finding)}", where
    if finding.variant == "unbounded":
        return f"Loss without a lower bound {_from(finding)}", f"down to {_value(finding)}"
    grown = growth(finding.evidence["growth_decades"])
    if finding.variant == "loss":
        return f"Loss diverges {_from(finding)}", f"grew {grown}"
    return f"Weights diverge {_from(finding)}", f"norm grew {grown}"


def _value(finding: Finding) -> str:
    return number(finding.evidence["value"])


def _not_training(finding: Finding) -> tuple[str, str]:
    if finding.variant == "frozen":
        return f"Nothing is trained {_from(finding)}", "the whole model is frozen"
    if finding.variant == "no-variables":
        return f"Nothing is trained {_from(finding)}", "the model has no trainable variables"
    return f"Loss does not move {_from(finding)}", f"stays at {number(finding.evidence['last'])}"


def _largest(finding: Finding) -> str:
    return number(finding.evidence["largest_magnitude"])


def _vanishing(finding: Finding) -> tuple[str, str]:
    where = layer(finding.origin.layer, code(finding.origin.tensor))
    return f"Vanishing gradients {_from(finding)}", where


def _dead(finding: Finding) -> tuple[str, str]:
    if finding.variant == "loss":
        return f"All gradients are zero {_from(finding)}", "the loss does not depend on the weights"
    if not finding.origin.layer:
        return f"Gradient is zero {_from(finding)}", code(finding.origin.tensor)
    return f"Dead layer {_from(finding)}", layer(finding.origin.layer)


def _fill(finding: Finding) -> tuple[str, str]:
    origin, value = finding.origin, number(finding.evidence["fill_value"])
    where = "" if origin.tensor == origin.role else code(origin.tensor)
    what = f"Fill value {value} in the {QUANTITIES[origin.role]}"
    return f"{what} {_at(finding) if finding.severity == 'error' else _from(finding)}", where


def _unscaled(finding: Finding) -> tuple[str, str]:
    if finding.variant == "constant-column":
        return "Normalization of a constant column", layer(finding.origin.layer)
    return f"Unscaled {QUANTITIES[finding.origin.role]}", f"up to {_largest(finding)}"


def _overflow_risk(finding: Finding) -> tuple[str, str]:
    what = f"Close to overflow in {finding.related['dtype']} {_at(finding)}"
    quantity = QUANTITIES.get(finding.origin.role, "values")
    where = layer(finding.origin.layer, "")
    return what, f"{quantity} of {where}" if where else quantity


def _underflow(finding: Finding) -> tuple[str, str]:
    where = layer(finding.origin.layer, code(finding.origin.tensor))
    return f"Gradients underflow in {finding.related['dtype']} {_from(finding)}", where


def _backoff(finding: Finding) -> tuple[str, str]:
    skipped = plural(finding.evidence["skipped_steps"], "step")
    if finding.variant == "unfinished":
        return f"LossScaleOptimizer skipped {skipped} {_from(finding)}", "no step taken since"
    return f"LossScaleOptimizer skipped {skipped} (normal) {_from(finding)}", ""


def _collapse(finding: Finding) -> tuple[str, str]:
    direction = "backward" if finding.variant == "backward" else "forward"
    where = f"{direction} pass"
    if finding.origin.layer:
        where = f"{layer(finding.origin.layer)}, {direction}"
    what = {
        "backward": "Loss scale collapsed",
        "forward": "Forward pass not finite in float16",
        "not-float16": "Forward pass not finite",
        "range": "Inputs beyond the range of float16",
    }
    # The record of a window does not say which of its steps were skipped.
    is_exact = finding.evidence["skipped_steps"] > finding.last_step - finding.step
    when = _at(finding) if is_exact else f"within steps {finding.step:,} to {finding.last_step:,}"
    return f"{what[finding.variant]} {when}", _operation(finding, where)


_HEADLINES: dict[str, Callable[[Finding], tuple[str, str]]] = {
    "nonfinite-input": _data,
    "nonfinite-target": _data,
    "nonfinite-initial-weight": _initial_weight,
    "empty-batch": _empty_batch,
    "label-out-of-range": _label,
    "id-out-of-range": _id,
    "layer-forward": _layer_forward,
    "loss-domain": _loss_domain,
    "layer-backward": _layer_backward,
    "loss-backward": _loss_backward,
    "optimizer-overflow": _optimizer,
    "poisoned-statistics": _statistics,
    "swallowed-nonfinite": _swallowed,
    "nonfinite-validation": _validation,
    "nonfinite-metric": _metric,
    "exploding-gradient": _exploding,
    "loss-scale-collapse": _collapse,
    "divergence": _divergence,
    "not-training": _not_training,
    "vanishing-gradient": _vanishing,
    "dead-layer": _dead,
    "improper-output": _improper,
    "fill-value": _fill,
    "unscaled-input": _unscaled,
    "unscaled-target": _unscaled,
    "range-overflow-risk": _overflow_risk,
    "range-underflow": _underflow,
    "loss-scale-backoff": _backoff,
}
"""What at which step, and where, by cause."""
