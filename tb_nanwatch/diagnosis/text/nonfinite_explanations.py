"""Why it is known what made NaN or Inf: sentences by cause."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tb_nanwatch.diagnosis.facts.layers import Layers
from tb_nanwatch.diagnosis.finding import Finding, Place
from tb_nanwatch.diagnosis.text.names import (
    code,
    contains,
    elements,
    layer,
    sentence,
    tensor,
)
from tb_nanwatch.diagnosis.text.numbers import listed, number
from tb_nanwatch.diagnosis.text.operation import rows_text


def _data(finding: Finding) -> Iterator[str]:
    others = [code(each.tensor) for each in finding.affected if each.role == finding.origin.role]
    also = f", and so {'do' if len(others) > 1 else 'does'} {listed(others)}" if others else ""
    yield f"{contains(finding)}{also}: the data is not finite before the model sees it."
    if finding.rerun is not None and finding.rerun.examples:
        yield f"Affected: {rows_text(finding.rerun)}."


def _initial_weight(finding: Finding) -> Iterator[str]:
    if finding.variant == "between":
        yield (
            f"A weight was NaN or Inf when step {finding.step:,} began, so that no operation of "
            "the step is at fault. What has written it was the update of an earlier step, another "
            "model or optimizer that shares it, a callback, or an `assign`."
        )
        yield f"{contains(finding)}."
        return
    yield (
        f"{contains(finding).rpartition(' at step')[0]} before step {finding.step:,} begins: it "
        "comes from the checkpoint or the initializer."
    )


def _empty_batch(finding: Finding) -> Iterator[str]:
    yield (
        f"The batch of step {finding.step:,} has 0 rows: inputs and targets have no elements, and "
        "a mean over no elements is NaN."
    )
    first = finding.affected[0] if finding.affected else None
    if first is not None:
        place = Place(first.role, first.layer, first.tensor, first.worker)
        yield f"{sentence(tensor(place))} contains {elements(finding.evidence)}."
    came = finding.consequences
    if came.variables and not came.lost_variables:
        yield "The weights stay finite, and training goes on."


def _label(finding: Finding) -> Iterator[str]:
    label, classes = (int(finding.evidence[name]) for name in ("label", "classes"))
    yield (
        f"The targets of step {finding.step:,} contain the label {label:,}, and the model has "
        f"{classes:,} classes: valid labels are 0 to {classes - 1:,}. A CPU raises an error for "
        "such a label; a GPU, and XLA on any device, return NaN."
    )
    yield f"{contains(finding)}."


def _validation(finding: Finding) -> Iterator[str]:
    named = code(finding.origin.tensor)
    yield f"{named} is NaN or infinite after step {finding.step:,}, and the training is finite."
    evidence = finding.evidence
    if finding.variant == "empty":
        yield "The validation data has no rows, and a mean over nothing is NaN."
    elif finding.variant == "data":
        part, row = code(finding.related["part"]), int(evidence["first_row"])
        yield f"{part} of the validation data is not finite itself, first in row {row:,}."
    elif "first_batch" in evidence:
        batch = int(evidence["first_batch"])
        yield f"It is so from batch {batch:,} of the validation on, counted from 0."


def _metric(finding: Finding) -> Iterator[str]:
    yield (
        f"{code(finding.origin.tensor)} is NaN or infinite after step {finding.step:,}, while the "
        "loss and the weights are finite: the metric divides by zero or takes a log of zero."
    )


def _finite(finding: Finding, what: str, *names: str) -> str:
    """ "although its inputs are finite (max abs 13.6)"."""
    numbers = [number(finding.evidence[name]) for name in names if name in finding.evidence]
    largest = f" (max abs {numbers[0]})" if numbers else ""
    return f"although {what} finite{largest}"


_INVALID = {
    "invalid": "an invalid operation such as 0/0 or the log of a negative number",
    "division": "a division by zero, log(0) or an exponential",
    "overflow": "an overflow",
}


def _layer_forward(finding: Finding) -> Iterator[str]:
    if finding.variant == "hidden":
        yield from _hidden(finding)
        return
    is_prediction = finding.origin.role == "prediction"
    what = "the model's inputs are" if is_prediction else "its inputs are"
    yield (
        f"{contains(finding)} {_finite(finding, what, 'largest_input')}: "
        f"{_INVALID[finding.variant]}."
    )
    if finding.masked:
        yield "The prediction is finite again."
    if "activation" in finding.record_also:
        yield "The layer was not recorded."


def _hidden(finding: Finding) -> Iterator[str]:
    into = layer(finding.related["next_layer"])
    yield (
        f"{contains(finding)}, while the gradient of the bias of {into} is finite. So the input of "
        "that layer is not finite, and ReLU or max-pooling hides it from the loss."
    )
    made = layer(finding.origin.layer, "")
    yield (
        f"It comes from {made} or before." if made else f"It comes from somewhere before {into}."
    )


def _loss_domain(finding: Finding) -> Iterator[str]:
    if finding.inferred_from == "gradient":
        yield (
            f"Every recorded gradient is non-finite at step {finding.step:,}. Most likely the loss "
            "was already, or the forward pass; neither was recorded."
        )
        return
    if finding.inferred_from:
        yield (
            f"{contains(finding)}. Most likely the loss, its gradient or the forward pass was "
            "non-finite first; none of them was recorded."
        )
        return
    evidence = finding.evidence
    known = [
        (word, evidence[name])
        for word, name in (("predictions", "largest_prediction"), ("targets", "largest_target"))
        if name in evidence
    ]
    if not known:
        yield (
            f"{contains(finding)}, and nothing upstream of it was recorded. Either the forward "
            "pass is non-finite already, or the loss takes the log, root or quotient of an invalid "
            "value."
        )
        return
    numbers = " and ".join(number(value) for _, value in known)
    words = " and ".join(word for word, _ in known)
    reasons = {
        "overflow": "values this large overflow in the loss",
        "probabilities": "it takes the log, root or quotient of an invalid value, such as log(0)",
        "formula": "it takes the log, root or quotient of an invalid value",
    }
    yield (
        f"{contains(finding)} although {words} are finite (max abs {numbers}): "
        f"{reasons[finding.variant]}."
    )


def _layer_backward(finding: Finding) -> Iterator[str]:
    related, origin = finding.related, finding.origin
    if finding.inferred_from and finding.inferred_from != "gradient":
        yield (
            f"{contains(finding)} while the loss is finite. Most likely its gradient was "
            "non-finite, or the optimizer made it so; gradients were not recorded."
        )
    elif finding.variant == "own-variables":
        yield (
            f"{contains(finding)}: {layer(origin.layer)} makes it from a finite gradient, while "
            "other layers are finite."
        )
        if Layers(finding.model).is_regularized(finding.origin.layer):
            yield "A regularizer adds to the gradients of this layer's variables."
    elif "from_layer" in related:
        yield (
            f"{contains(finding)}. Gradients are finite from the loss back to "
            f"{layer(related['to_layer'])}, and non-finite from {layer(related['from_layer'])} on."
        )
        if origin.layer not in related.values():
            yield f"Most likely {layer(origin.layer)} in between makes it."
        else:
            yield f"The best guess is {layer(origin.layer)}."
        yield "The exact layer was not recorded."
    elif finding.inferred_from:
        yield f"{contains(finding)}. Most likely {layer(origin.layer)} makes it."
    else:
        yield (
            f"{contains(finding)}: {layer(origin.layer)} receives a finite gradient and returns a "
            "non-finite one."
        )


def _loss_backward(finding: Finding) -> Iterator[str]:
    yield f"{contains(finding)} while the loss is finite."
    if finding.inferred_from:
        yield (
            "The backward pass of the loss makes it, or that of a layer after the last variables; "
            "which one was not recorded."
        )
    else:
        yield "The gradient of the loss itself is not finite."


def _optimizer(finding: Finding) -> Iterator[str]:
    gradients = "every gradient is" if "largest_gradient" in finding.evidence else "gradients are"
    yield f"{contains(finding)} {_finite(finding, gradients, 'largest_gradient')}."
    dtype = finding.related.get("dtype", "its dtype")
    reasons = {
        "squares": (
            f"The squares of the gradients overflow {dtype} in the optimizer update, from step "
            f"{finding.step:,} on."
        ),
        "float16": (
            "The optimizer computes in float16, where the squares of small gradients round to 0 "
            "and a division by them overflows beyond 65,504."
        ),
        "learning-rate": (
            "All elements of all trainable variables are lost at once, as by a learning rate that "
            "is NaN or Inf."
        ),
        "elements": (
            "Only some elements are lost, so it is not the learning rate: the optimizer or a "
            "constraint divides by zero there."
        ),
        "epsilon": (
            "The epsilon of the optimizer is 0, so it divides 0 by 0 where a gradient has always "
            "been zero."
        ),
    }
    if finding.variant in reasons:
        yield reasons[finding.variant]


def _statistics(finding: Finding) -> Iterator[str]:
    others = len(finding.affected)
    more = f", and so {'does' if others == 1 else 'do'} {others:,} more" if others else ""
    if finding.variant == "untrained":
        yield (
            f"{contains(finding)}{more}. The optimizer does not change it, so that something else "
            "has written it: another model or optimizer that shares it, an average of other "
            "weights, or an `assign`."
        )
        return
    yield (
        f"{contains(finding)}{more}. These are non-trainable moving statistics: training "
        "normalizes with the statistics of each batch and continues, but evaluation and inference "
        "use them and will be wrong."
    )


def _swallowed(finding: Finding) -> Iterator[str]:
    yield f"{contains(finding)}."
    yield from hidden_by(finding)


def hidden_by(finding: Finding) -> Iterator[str]:
    hiding = layer(finding.related.get("hiding_layer", ""), "a later layer")
    yield f"{sentence(hiding)} drops it, so prediction, loss and gradients look fine."


EXPLANATIONS: dict[str, Callable[[Finding], Iterator[str]]] = {
    "nonfinite-input": _data,
    "nonfinite-target": _data,
    "nonfinite-initial-weight": _initial_weight,
    "empty-batch": _empty_batch,
    "label-out-of-range": _label,
    "nonfinite-validation": _validation,
    "nonfinite-metric": _metric,
    "layer-forward": _layer_forward,
    "loss-domain": _loss_domain,
    "layer-backward": _layer_backward,
    "loss-backward": _loss_backward,
    "optimizer-overflow": _optimizer,
    "poisoned-statistics": _statistics,
    "swallowed-nonfinite": _swallowed,
}
"""The sentences of each cause that is seen on NaN or Inf."""
