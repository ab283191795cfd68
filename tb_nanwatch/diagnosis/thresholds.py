"""Every number that a rule compares with: what it is, its unit, and why it is what it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any


def _threshold(default: float, unit: str, reason: str) -> Any:
    return field(default=default, metadata={"unit": unit, "reason": reason})


@dataclass(frozen=True)
class Thresholds:
    """The thresholds of every rule; `thresholds()` lists them with units and reasons.

    Whole numbers are given where a threshold counts something.
    """

    growth_decades: float = _threshold(
        3.0,
        "decades",
        "A norm that rises this far over its own earlier level, and stays there, has run away: "
        "training moves norms by one or two.",
    )
    growth_steps: int = _threshold(
        2, "records", "Growth is a rise over so many records in a row at least: one jump is none."
    )
    jump_decades: float = _threshold(
        5.0,
        "decades",
        "Where a run has only two finite records before it breaks, such a jump is growth too.",
    )
    trend_records: int = _threshold(
        5, "records", "A finite trend is not judged over less: its levels are medians of three."
    )
    trend_steps: int = _threshold(
        16, "steps", "A finite trend is not judged over less: short runs have no history."
    )
    divergence_decades: float = _threshold(
        2.0,
        "decades",
        "A loss that ends a hundred times above its start diverges; noise and warm-up stay below.",
    )
    amplification: float = _threshold(
        1e5,
        "ratio",
        "Activations or predictions so far above the largest input and target are out of "
        "proportion: logits and regressions stay within a thousand times.",
    )
    exploding_norm: float = _threshold(
        1e3,
        "value",
        "Gradients whose norm is below this are not called exploding while finite, however much "
        "they grew: leaving a plateau is growth too.",
    )
    vanishing_ratio: float = _threshold(
        1e-5,
        "ratio",
        "First layers' root mean square gradient over the last layers': below it, float32 "
        "training moves the last layers alone. Deep residual networks stay above 1e-3.",
    )
    vanishing_layers: int = _threshold(
        4, "layers", "Fewer layers give no trend over depth to judge."
    )
    dead_steps: int = _threshold(
        8, "steps", "Gradients that are exactly zero for fewer steps in a row may come back."
    )
    converged_loss: float = _threshold(
        1e-6, "value", "Below it the loss is near zero, and zero gradients are what is wanted."
    )
    unscaled_magnitude: float = _threshold(
        100.0,
        "value",
        "Data whose largest magnitude is above it calls for normalisation where trouble follows; "
        "alone it is no finding.",
    )
    overflow_decades: float = _threshold(
        1.0, "decades", "Magnitudes this near to the dtype's largest number are a risk."
    )
    underflow_share: float = _threshold(
        0.2,
        "share of elements",
        "So many non-zero elements under the smallest normal number are a loss of signal.",
    )
    underflow_records: int = _threshold(
        4, "records", "In fewer a small gradient may be a matter of one batch."
    )
    skip_streak: int = _threshold(
        20,
        "steps",
        "Halving 2**15 so often leaves a scale below 1: a healthy start needs about 8 skips.",
    )
    scale_floor: float = _threshold(
        1.0, "loss scale", "A loss scale that falls to it and is refused again cannot help."
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            kind = "a whole number" if each.type == "int" else "a number"
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not math.isfinite(value) or value <= 0:
                raise ValueError(f"Expected {each.name} to be {kind} above 0, got {value!r}.")
            if each.type == "int" and value != int(value):
                raise ValueError(f"Expected {each.name} to be {kind}, got {value!r}.")

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Thresholds:
        """The defaults with these put in their place, as read from a JSON or TOML file.

        Raises ValueError for a name that is none, naming the known ones, and for a value that is
        no positive number.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"Expected thresholds as names with numbers, got {values!r}.")
        known = [each.name for each in fields(cls)]
        unknown = [name for name in values if name not in known]
        if unknown:
            raise ValueError(
                f"Unknown threshold {unknown[0]!r}. Known thresholds: {', '.join(known)}."
            )
        return cls(**values)


@dataclass(frozen=True)
class Threshold:
    """One threshold: its name, default, unit and reason."""

    name: str
    default: float
    unit: str
    reason: str


def thresholds() -> tuple[Threshold, ...]:
    """Every threshold, in the order of `Thresholds`."""
    return tuple(
        Threshold(each.name, each.default, each.metadata["unit"], each.metadata["reason"])  # type: ignore[arg-type]
        for each in fields(Thresholds)
    )
