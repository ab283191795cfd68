"""Tensors, layers, counts and steps in words; names are code, between backticks."""

from __future__ import annotations

from collections.abc import Mapping

from tb_nanwatch.diagnosis.finding import Finding, Place
from tb_nanwatch.diagnosis.text.numbers import listed

_LONGEST = 60

_TENSOR = {
    "input": "the input",
    "target": "the target",
    "activation": "the output of layer",
    "prediction": "the prediction",
    "loss": "the loss",
    "activation_gradient": "the gradient with respect to the output of layer",
    "gradient": "the gradient of",
    "slot": "the optimizer slot",
    "update": "the update of",
    "weight": "the variable",
}

QUANTITIES = {
    "input": "inputs",
    "target": "targets",
    "activation": "activations",
    "prediction": "predictions",
    "loss": "loss",
    "activation_gradient": "gradients",
    "gradient": "gradients",
    "slot": "optimizer slots",
    "update": "updates",
    "weight": "weights",
}
"""All tensors of a role together."""


def code(name: str) -> str:
    """A name between backticks; of a long one both ends."""
    if len(name) > _LONGEST:
        half = (_LONGEST - 3) // 2
        name = f"{name[:half]}...{name[-half:]}"
    return "`" + name.replace("`", "'") + "`"


def role_words(role: str) -> str:
    """ "activation gradient"."""
    return role.replace("_", " ")


def tensor(place: Place) -> str:
    """ "the gradient of `dense/kernel`"; a name that is the role's says no more."""
    words = _TENSOR.get(place.role, f"the {role_words(place.role)}")
    return words if place.tensor == place.role else f"{words} {code(place.tensor)}"


def sentence(words: str) -> str:
    """The words with a capital letter in front."""
    return words[:1].upper() + words[1:]


def kind(evidence: Mapping[str, float]) -> str:
    """What is non-finite: "NaN", "+Inf", "-Inf", "Inf" for both signs."""
    if evidence.get("nan"):
        return "NaN"
    signs = [
        label for key, label in (("pos_inf", "+Inf"), ("neg_inf", "-Inf")) if evidence.get(key)
    ]
    return ("Inf" if len(signs) > 1 else signs[0]) if signs else "NaN or Inf"


def elements(evidence: Mapping[str, float]) -> str:
    """ "3 NaN and 1 +Inf"."""
    labels = {"nan": "NaN", "pos_inf": "+Inf", "neg_inf": "-Inf"}
    parts = [f"{int(evidence[key]):,} {text}" for key, text in labels.items() if evidence.get(key)]
    return listed(parts) if parts else "NaN or Inf"


def contains(finding: Finding) -> str:
    """ "The gradient of `dense/kernel` contains 3 NaN at step 7", "The loss is NaN at step 7"."""
    if finding.origin.role == "loss":
        what = f"{sentence(tensor(finding.origin))} is {kind(finding.evidence)}"
    else:
        what = f"{sentence(tensor(finding.origin))} contains {elements(finding.evidence)}"
    step = int(finding.evidence.get("first_seen_step", finding.step))
    return f"{what} at step {step:,}"


def steps(finding: Finding) -> str:
    """ "step 7", "steps 7-240"."""
    if finding.last_step > finding.step:
        return f"steps {finding.step:,}-{finding.last_step:,}"
    return f"step {finding.step:,}"


def layer(path: str, otherwise: str = "the layer at fault") -> str:
    """ "layer `dense`"; `otherwise` where there is none."""
    return f"layer {code(path)}" if path else otherwise
