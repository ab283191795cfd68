"""How findings name things."""

from __future__ import annotations

from collections.abc import Mapping

from tb_nanwatch.diagnosis.finding import Place

_ROLE = {
    "input": "input",
    "target": "target",
    "activation": "output of layer",
    "prediction": "prediction",
    "loss": "loss",
    "activation_gradient": "gradient arriving at layer",
    "gradient": "gradient of",
    "slot": "optimizer slot",
    "update": "update of",
    "weight": "weight",
}


def named(place: Place) -> str:
    """The tensor with its role: "the gradient of 'dense/kernel'"."""
    name = place.tensor if place.tensor != place.role else ""
    words = f"the {_ROLE.get(place.role, place.role)}" + (f" {name!r}" if name else "")
    return words + (f" (worker {place.worker})" if place.worker else "")


def held(evidence: Mapping[str, float]) -> str:
    """Counts in words: "3 NaN and 1 +Inf"."""
    labels = {"nan": "NaN", "pos_inf": "+Inf", "neg_inf": "-Inf"}
    parts = [f"{int(evidence[key]):,} {label}" for key, label in labels.items() if evidence[key]]
    if len(parts) > 1:
        parts[-2:] = [f"{parts[-2]} and {parts[-1]}"]
    return ", ".join(parts) or "non-finite values"
