"""How findings name things."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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


def sentence(words: str) -> str:
    """The words with a capital letter in front."""
    return words[:1].upper() + words[1:]


def number(value: float) -> str:
    """With as many digits as a person compares: "3.2e+07", "0.5", "120"."""
    return f"{value:.3g}"


def steps(count: float) -> str:
    """So many steps: "1 step", "31 steps"."""
    return f"{count:,.0f} step" + ("" if count == 1 else "s")


def join(words: Sequence[str]) -> str:
    """A list in words: "a, b and c"; of many the first ones, and how many more."""
    if len(words) > 4:
        return f"{', '.join(words[:3])} and {len(words) - 3:,} more"
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def held(evidence: Mapping[str, float]) -> str:
    """Counts in words: "3 NaN and 1 +Inf"."""
    labels = {"nan": "NaN", "pos_inf": "+Inf", "neg_inf": "-Inf"}
    parts = [f"{int(evidence[key]):,} {label}" for key, label in labels.items() if evidence[key]]
    return join(parts) if parts else "non-finite values"
