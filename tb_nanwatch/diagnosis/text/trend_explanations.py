"""Why it is known that magnitudes run away, fade or stand still: sentences by cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.text.names import QUANTITIES, code, contains, layer, sentence, tensor
from tb_nanwatch.diagnosis.text.numbers import growth, number, plural


def _exploding(finding: Finding) -> Iterator[str]:
    evidence = finding.evidence
    quantity = QUANTITIES.get(finding.related.get("quantity", ""), "values")
    what = {
        "gradients": "gradient norm",
        "weights": "weight norm",
        "predictions": "prediction norm",
    }
    if not finding.variant:
        yield (
            f"The gradient norm grew {growth(evidence['growth_decades'])} from step "
            f"{finding.step:,} (to {number(evidence['norm'])} at step {finding.last_step:,}) and "
            f"did not recover. The largest at the end is {tensor(finding.origin)}."
        )
    elif finding.variant == "overflow":
        yield (
            f"The {what.get(quantity, quantity)} grew {growth(evidence['growth_decades'])} from "
            f"step {int(evidence['growth_first_step']):,} to {finding.step:,}{_pace(finding)}, "
            f"then training overflowed. {contains(finding)}."
        )
        rates = [each.learning_rate for each in finding.model.optimizers]
        if len(rates) == 1 and rates[0] is not None:
            yield f"The learning rate is {rates[0]:g}."
    elif finding.related.get("quantity") == "operand":
        came = ""
        if "largest_input" in evidence:
            came = f" from inputs of at most {number(evidence['largest_input'])}"
        yield (
            f"Values overflow within this one step{came}: they are amplified from layer to layer "
            f"(or time step to time step). {contains(finding)}."
        )
    else:
        came = ""
        if "largest_input" in evidence:
            came = f" from inputs of at most {number(evidence['largest_input'])}"
        yield (
            f"Within this one step the {quantity} reach {number(evidence['largest_magnitude'])}"
            f"{came}: they are amplified from layer to layer (or time step to time step). "
            f"{contains(finding)}."
        )


def _pace(finding: Finding) -> str:
    """ ", about 300x a step"; "" for a growth within one step."""
    evidence = finding.evidence
    steps = finding.step - int(evidence["growth_first_step"])
    if steps < 2:
        return ""
    return f", about {growth(evidence['growth_decades'] / steps)} a step"


def _divergence(finding: Finding) -> Iterator[str]:
    evidence = finding.evidence
    if finding.variant == "amplified":
        yield (
            f"{sentence(tensor(finding.origin))} reaches {number(evidence['largest_magnitude'])} "
            f"from step {finding.step:,} on, although everything before it and the targets are at "
            f"most {number(evidence['largest_input'])}: finite, but out of proportion."
        )
        return
    what = "loss" if finding.variant == "loss" else "weight norm"
    yield (
        f"The {what} grew {growth(evidence['growth_decades'])} from step {finding.step:,} (to "
        f"{number(evidence['value'])} at step {finding.last_step:,}) and did not recover."
    )


def _vanishing(finding: Finding) -> Iterator[str]:
    evidence = finding.evidence
    last = finding.related["last_layer"]
    first = finding.origin.layer or finding.origin.tensor
    yield (
        f"Gradient RMS falls from {number(evidence['rms_last_layer'])} in {code(last)} to "
        f"{number(evidence['rms_first_layer'])} in {code(first)} across "
        f"{int(evidence['layers']):,} layers. The first layers barely learn."
    )


def _dead(finding: Finding) -> Iterator[str]:
    others = int(finding.evidence["layers"]) - 1
    what = f"of {layer(finding.origin.layer, code(finding.origin.tensor))}"
    if finding.variant == "loss":
        what = "of the model"
    if others and finding.variant != "loss":
        what += f" and of {plural(others, 'more layer')} before it"
    why = {
        "loss": "the loss does not depend on the weights.",
        "units": "most likely every unit is off, so no gradient passes.",
        "cut": "no gradient has passed since the first step.",
    }
    yield (
        f"From step {finding.step:,} on, every gradient {what} is exactly zero while the loss is "
        f"not: {why[finding.variant]}"
    )


_TROUBLE = {
    "exploding-gradient": "explosion",
    "divergence": "divergence",
    "optimizer-overflow": "optimizer overflow",
    "loss-domain": "overflow of the loss",
    "layer-forward": "overflow",
    "range-overflow-risk": "values close to overflow",
    "dead-layer": "dead layer",
}


def _unscaled(finding: Finding) -> Iterator[str]:
    quantity = sentence(QUANTITIES[finding.origin.role])
    named = (
        "" if finding.origin.tensor == finding.origin.role else f" ({code(finding.origin.tensor)})"
    )
    yield (
        f"{quantity}{named} reach {number(finding.evidence['largest_magnitude'])}, enough to cause "
        f"the {_TROUBLE[finding.related['trouble']]} at step "
        f"{int(finding.evidence['trouble_step']):,}."
    )


def _overflow_risk(finding: Finding) -> Iterator[str]:
    dtype, limit = finding.related["dtype"], finding.evidence["dtype_largest"]
    reaches = (
        f"{sentence(tensor(finding.origin))} reaches "
        f"{number(finding.evidence['largest_magnitude'])} from step {finding.step:,} on"
    )
    if finding.variant == "squares":
        yield f"{reaches}: an optimizer that squares it comes within 10x of overflowing {dtype}."
    else:
        yield f"{reaches}, within 10x of {number(limit)}, the largest number of {dtype}."


def _underflow(finding: Finding) -> Iterator[str]:
    evidence = finding.evidence
    yield (
        f"{sentence(tensor(finding.origin))} has a typical magnitude of "
        f"{number(evidence['typical_magnitude'])}, below the smallest normal number of "
        f"{finding.related['dtype']} ({number(evidence['smallest_normal'])}): precision is lost "
        "and values flush to zero."
    )


def _skipped(finding: Finding) -> str:
    skipped = plural(finding.evidence["skipped_steps"], "step")
    return (
        f"LossScaleOptimizer skipped {skipped} between step {finding.step:,} and step "
        f"{finding.last_step:,}"
    )


def _backoff(finding: Finding) -> Iterator[str]:
    lowest = finding.evidence.get("lowest_loss_scale")
    scale = "" if lowest is None else f": the scale dropped to {number(lowest)}"
    yield f"{_skipped(finding)}{scale} and training continued."
    yield "Skipped steps leave the weights unchanged."


def _collapse(finding: Finding) -> Iterator[str]:
    lowest = finding.evidence.get("lowest_loss_scale")
    scale = "" if lowest is None else f", and the scale dropped to {number(lowest)}"
    yield f"{_skipped(finding)}{scale}."
    streak = int(finding.evidence["longest_streak"])
    what = tensor(finding.origin)
    if streak > 1:
        yield f"{streak:,} of them in a row: {what} is non-finite at any scale."
    else:
        yield f"{sentence(what)} is non-finite even at that scale."


EXPLANATIONS: dict[str, Callable[[Finding], Iterator[str]]] = {
    "exploding-gradient": _exploding,
    "loss-scale-collapse": _collapse,
    "divergence": _divergence,
    "vanishing-gradient": _vanishing,
    "dead-layer": _dead,
    "unscaled-input": _unscaled,
    "unscaled-target": _unscaled,
    "range-overflow-risk": _overflow_risk,
    "range-underflow": _underflow,
    "loss-scale-backoff": _backoff,
}
"""The sentences of each cause that is seen on magnitudes over steps."""
