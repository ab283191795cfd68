"""Why it is known that magnitudes run away, fade or stand still: sentences by cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tb_nanwatch.diagnosis.finding import Finding, Place
from tb_nanwatch.diagnosis.text.names import (
    QUANTITIES,
    code,
    contains,
    elements,
    layer,
    sentence,
    tensor,
)
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
    if finding.variant == "unbounded":
        yield (
            f"{sentence(tensor(finding.origin))} falls to {number(evidence['value'])} at step "
            f"{finding.last_step:,}, {growth(evidence['growth_decades'])} below its start, and "
            "nothing ends its fall: it looks like progress, and is none."
        )
        if evidence["smallest_target"] < 0:
            yield f"Targets go down to {number(evidence['smallest_target'])}."
        return
    what = "loss" if finding.variant == "loss" else "weight norm"
    yield (
        f"The {what} grew {growth(evidence['growth_decades'])} from step {finding.step:,} (to "
        f"{number(evidence['value'])} at step {finding.last_step:,}) and did not recover."
    )


def _not_training(finding: Finding) -> Iterator[str]:
    if finding.variant == "frozen":
        yield (
            f"`trainable` is False for {plural(finding.evidence['variables'], 'variable')} of the "
            "model, and no other is left for the optimizer to update."
        )
        if finding.model.framework == "keras":
            yield "Keras 3 looks at it when the first step is traced, not in `compile`."
        return
    if finding.variant == "no-variables":
        yield "The model has no trainable variables, so that the optimizer has nothing to update."
        if finding.model.framework == "keras":
            yield (
                "Keras 3 knows its own variables alone: a `tf.Variable` in an attribute of a layer "
                "is not one of them."
            )
        return
    evidence = finding.evidence
    yield (
        f"The loss starts at {number(evidence['first'])} and is {number(evidence['last'])} at step "
        f"{finding.last_step:,}: the weights are too far from where it would fall."
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


def _improper(finding: Finding) -> Iterator[str]:
    evidence = finding.evidence
    loss = code(finding.related.get("loss", "the loss"))
    reach = (
        f"Predictions range from {number(evidence['smallest'])} to {number(evidence['largest'])}"
    )
    takes = f"{loss} takes probabilities, as from_logits is False"
    last = layer(finding.origin.layer, "the last layer")
    if finding.variant == "relu":
        yield f"{reach}, and {last} ends in a ReLU, but {takes}."
        yield "A unit at 0 is clipped and has no gradient, and a row of zeros has no probabilities."
    elif finding.variant == "logits":
        yield f"{reach}, but {takes}: values outside of [0, 1] are clipped and have no gradient."
    elif finding.variant == "one-unit":
        yield (
            f"The prediction has one unit, and {loss} compares units with each other: normalized "
            "over one unit, every prediction is 1, so the gradient is zero."
        )
    else:
        yield (
            f"{sentence(last)} ends in a sigmoid, so the units of a row sum up to "
            f"{number(evidence['row_sum'])} on average, but {loss} takes probabilities of classes "
            "that exclude each other, as the targets do: each row has to sum up to 1."
        )


_TROUBLE = {
    "exploding-gradient": "explosion",
    "divergence": "divergence",
    "optimizer-overflow": "optimizer overflow",
    "loss-domain": "overflow of the loss",
    "layer-forward": "overflow",
    "range-overflow-risk": "values close to overflow",
    "dead-layer": "dead layer",
    "not-training": "loss that does not move",
}


def _fill(finding: Finding) -> Iterator[str]:
    evidence, quantity = finding.evidence, QUANTITIES[finding.origin.role]
    yield (
        f"{100 * evidence['fill_share']:.2g}% of the {quantity} other than 0 are "
        f"{number(evidence['fill_value'])}, and all others at most "
        f"{number(evidence['largest_other'])}: it stands for a missing value, and is computed with."
    )
    if finding.severity == "error":
        first = finding.affected[0]
        place = Place(first.role, first.layer, first.tensor, first.worker)
        yield f"{sentence(tensor(place))} contains {elements(evidence)} at step {finding.step:,}."
    else:
        yield (
            f"That is enough to cause the {_TROUBLE[finding.related['trouble']]} at step "
            f"{int(evidence['trouble_step']):,}."
        )


def _unscaled(finding: Finding) -> Iterator[str]:
    if finding.variant == "constant-column":
        yield (
            f"{sentence(layer(finding.origin.layer))} has adapted to a column with a variance of "
            "0. It divides by an epsilon there, so that whatever differs from the column's mean "
            "is multiplied by 10,000,000: enough to cause the "
            f"{_TROUBLE[finding.related['trouble']]} at step "
            f"{int(finding.evidence['trouble_step']):,}."
        )
        return
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
    below = (
        f"below the smallest normal number of {finding.related['dtype']} "
        f"({number(evidence['smallest_normal'])}): precision is lost and values flush to zero."
    )
    what = sentence(tensor(finding.origin))
    if evidence["rms"] < evidence["smallest_normal"]:
        yield f"{what} has an RMS of {number(evidence['rms'])}, {below}"
    else:
        share = f"{100 * evidence['subnormal_share']:.0f}%"
        yield (
            f"{what}: {share} of the non-zero elements are {below} The others are not much "
            f"larger: the RMS is {number(evidence['rms'])}."
        )
    if "half_below" in evidence:
        half, most = number(evidence["half_below"]), number(evidence["99_percent_below"])
        bounds = f"99% below {most}" if half == most else f"half below {half}, 99% below {most}"
        yield f"Of its non-zero elements, {bounds}."


def _skipped(finding: Finding) -> str:
    skipped = plural(finding.evidence["skipped_steps"], "step")
    return (
        f"LossScaleOptimizer skipped {skipped} between step {finding.step:,} and step "
        f"{finding.last_step:,}"
    )


def _backoff(finding: Finding) -> Iterator[str]:
    lowest = finding.evidence.get("lowest_loss_scale")
    scale = "" if lowest is None else f": the scale dropped to {number(lowest)}"
    if finding.variant == "unfinished":
        yield f"{_skipped(finding)}{scale}. No step was taken after them, so it has not recovered."
    else:
        yield f"{_skipped(finding)}{scale} and training continued."
    yield "Skipped steps leave the weights unchanged."


def _collapse(finding: Finding) -> Iterator[str]:
    lowest = finding.evidence.get("lowest_loss_scale")
    scale = "" if lowest is None else f", and the scale dropped to {number(lowest)}"
    yield f"{_skipped(finding)}{scale}."
    streak = int(finding.evidence["longest_streak"])
    what = tensor(finding.origin)
    if finding.variant in ("forward", "not-float16", "range"):
        yield f"{sentence(what)} is non-finite in the forward pass, before any scaling."
        if finding.variant == "not-float16":
            yield "No layer computes in float16, which alone needs a loss scale."
        if finding.variant == "range":
            yield (
                f"Inputs reach {number(finding.evidence['largest_input'])}, and layers cast them "
                "to float16, which ends at 65,504."
            )
    elif streak > 1:
        yield f"{streak:,} of them in a row: {what} is non-finite at any scale."
    else:
        yield f"{sentence(what)} is non-finite even at that scale."


def _id(finding: Finding) -> Iterator[str]:
    value, rows = (int(finding.evidence[name]) for name in ("id", "rows"))
    yield (
        f"{sentence(QUANTITIES['input'])} contain the id {value:,}, and "
        f"{layer(finding.origin.layer)} has {rows:,} rows: valid ids are 0 to {rows - 1:,}. A CPU "
        "raises an error for such an id; a GPU returns zeros, and XLA another row."
    )


EXPLANATIONS: dict[str, Callable[[Finding], Iterator[str]]] = {
    "id-out-of-range": _id,
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
"""The sentences of each cause that is seen on magnitudes over steps."""
