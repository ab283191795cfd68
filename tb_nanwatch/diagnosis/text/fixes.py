"""What to do about a finding: the entry of the table that is for it, filled in."""

from __future__ import annotations

import re

from tb_nanwatch.diagnosis.facts.layers import Layers
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.text.fix_table import (
    FIXES,
    OPERATION_FIXES,
    REMEDY_WORDS,
    Fix,
)
from tb_nanwatch.diagnosis.text.names import code, layer, sentence
from tb_nanwatch.diagnosis.text.operation import power_overflows, source_line
from tb_nanwatch.diagnosis.text.source_fix import source_with_remedy
from tb_nanwatch.format.facts import LayerFacts, OptimizerFacts
from tb_nanwatch.format.operation_kinds import EXPONENTIALS
from tb_nanwatch.format.rerun import Trial

_OPTIMIZER = re.compile(r"(?m)^.*\{optimizer\}.*$")

_PLACEHOLDER = re.compile(r"\{(layer|optimizer|rate|batch|part|fill_value|recurrent|activation)\}")

_NOT_OF_OPERATION = frozenset(
    {
        *("exploding-gradient", "fill-value", "label-out-of-range"),
        *("nonfinite-input", "nonfinite-target"),
    }
)
"""Causes that lie before the operation at which they show."""


_CURED_BY_CLIPPING = frozenset({"", "overflow", "loss", "weight"})
"""Variants of divergence and exploding gradients whose fix is to clip, unless that is done."""


_OF_DATA = frozenset({"fill", "fill-example", "leave-out-rows"})
"""Remedies that change the batch."""

_NOT_AT_LINE = _OF_DATA | {"from-logits"}
"""Remedies that change something else than the line of the operation."""


def advice(finding: Finding) -> str:
    """What to do, in words: an imperative first, then where it does not apply."""
    cure = _cure(finding)
    if cure is not None and cure.remedy in _NOT_AT_LINE & REMEDY_WORDS.keys():
        return f"{sentence(REMEDY_WORDS[cure.remedy])}."
    if cure is not None and cure.remedy in REMEDY_WORDS:
        return _at_line(finding, REMEDY_WORDS[cure.remedy])
    fix = _operation_fix(finding)
    if fix is None or finding.operation is None:
        return _filled(_fix(finding).words, finding)
    return _at_line(finding, fix.words)


def _at_line(finding: Finding, words: str) -> str:
    """ "At model.py:57, clamp its argument."; without the line where it is not known."""
    operation = finding.operation
    line = "" if operation is None or operation.direction == "update" else source_line(operation)
    return f"{f'At {line}, {words}' if line else sentence(words)}."


def fix_code(finding: Finding) -> str:
    """Code to copy, of several lines at times; "" for none."""
    cure = _cure(finding)
    if cure is not None and cure.remedy in _NOT_AT_LINE:
        return cure.code
    if cure is not None and finding.operation is not None:
        return source_with_remedy(finding.operation, cure.code) or cure.code
    fix = _operation_fix(finding) or _fix(finding)
    return _filled(fix.code(finding.model.framework), finding)


def help_link(finding: Finding) -> str:
    """Where the documentation has more, relative to its folder."""
    return f"findings.md#{finding.cause}"


def _cure(finding: Finding) -> Trial | None:
    """The remedy of the operation that was tried on the step and cured it; None for none."""
    if finding.rerun is None:
        return None
    cures = filter(_is_cured, finding.rerun.tried)
    if finding.cause in _NOT_OF_OPERATION:
        return next((each for each in cures if each.remedy in _OF_DATA), None)
    if finding.operation is not None and power_overflows(finding.operation):
        return None  # What is tried on a power keeps its base positive.
    return next(cures, None)


def _is_cured(trial: Trial) -> bool:
    """Whether the remedy cured the step."""
    return trial.outcome == "finite"


def _operation_fix(finding: Finding) -> Fix | None:
    """The entry for the operation at fault; None where there is none."""
    operation = finding.operation
    if operation is None or finding.cause in _NOT_OF_OPERATION:
        return None
    kind = "Pow/overflow" if power_overflows(operation) else operation.type
    return OPERATION_FIXES.get((kind, operation.direction))


def _fix(finding: Finding) -> Fix:
    """The entry for the cause: for what is inferred, for its variant, or for all of it."""
    keys = [f"{finding.cause}/{finding.variant}", finding.cause]
    if finding.operation is not None and finding.operation.type in EXPONENTIALS:
        keys.insert(0, f"{finding.cause}/exponential" if finding.variant == "depth" else keys[0])
    if finding.cause == "optimizer-overflow" and finding.related.get("quantity"):
        keys.insert(0, f"unscaled-{finding.related['quantity']}")
    if _unbounded_recurrence(finding) is not None:
        keys.insert(0, "exploding-gradient/recurrent")
    if finding.inferred_from and not finding.origin.layer and finding.operation is None:
        keys.insert(0, f"{finding.cause}/inferred")
    if finding.variant == "own-variables" and Layers(finding.model).is_regularized(
        finding.origin.layer
    ):
        keys.insert(0, f"{finding.cause}/regularized")
    if finding.variant in _CURED_BY_CLIPPING and any(map(_clips, finding.model.optimizers)):
        keys.insert(0, f"{finding.cause}/clipped")
    return next(FIXES[key] for key in keys if key in FIXES)


def _unbounded_recurrence(finding: Finding) -> LayerFacts | None:
    """The recurrent layer at fault whose state nothing bounds; None for none."""
    if finding.cause not in ("exploding-gradient", "range-overflow-risk"):
        return None
    at = "" if finding.operation is None else finding.operation.layer
    return Layers(finding.model).unbounded_recurrence(at)


def _clips(optimizer: OptimizerFacts) -> bool:
    return not (optimizer.clipnorm is optimizer.global_clipnorm is optimizer.clipvalue is None)


def _filled(text: str, finding: Finding) -> str:
    optimizers = finding.model.optimizers
    rates = [each.learning_rate for each in optimizers if each.learning_rate is not None]
    names = [each.class_name for each in optimizers if each.is_builtin]
    if len(names) != 1:
        text = _OPTIMIZER.sub(r"\g<0>  # or your optimizer", text)
    evidence, recurrent = finding.evidence, _unbounded_recurrence(finding)
    words = {
        "recurrent": "LSTM" if recurrent is None else recurrent.class_name.removesuffix("Cell"),
        "activation": "" if recurrent is None else recurrent.activation,
        "batch": str(int(evidence.get("first_batch", 0))),
        "part": finding.related.get("part", "x"),
        "fill_value": _above(abs(evidence.get("fill_value", 0.0))),
        "layer": _where(finding),
        "optimizer": names[0] if len(names) == 1 else "Adam",
        "rate": f"{rates[0] / 10:g}" if len(rates) == 1 else "learning_rate / 10",
    }
    return _PLACEHOLDER.sub(lambda found: words[found[1]], text)


def _above(value: float) -> str:
    """A number that is not above this one and above all others: "9.9e+36", "999"."""
    return f"{value:g}" if value == float(f"{value:g}") else f"{value * 0.99:.1e}"


def _where(finding: Finding) -> str:
    """Where to look: the layer, or those that it may be."""
    related = finding.related
    first, last = related.get("from_layer", ""), related.get("to_layer", "")
    if first != last:
        return f"the layers from {code(first)} to {code(last)}, including those without weights,"
    if "next_layer" in related and not finding.origin.layer:
        return f"everything upstream of {layer(related['next_layer'])}"
    return layer(finding.origin.layer, "the layer at fault")
