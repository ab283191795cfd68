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
        "A norm that rises this far above its own earlier level and stays there has exploded; "
        "normal training moves norms by one or two decades.",
    )
    growth_steps: int = _threshold(
        2,
        "records",
        "Growth spans at least this many records in a row; a single jump is not growth.",
    )
    jump_decades: float = _threshold(
        5.0,
        "decades",
        "If a run has only two finite records before it breaks, a jump this large is growth too.",
    )
    trend_records: int = _threshold(
        5, "records", "Finite trends need at least this many records; levels are medians of three."
    )
    trend_steps: int = _threshold(
        16, "steps", "Finite trends need at least this many steps; short runs have no history."
    )
    divergence_decades: float = _threshold(
        2.0,
        "decades",
        "A loss that ends 100x above its start diverges; noise and warm-up stay below that.",
    )
    unbounded_loss: float = _threshold(
        1e6,
        "value",
        "A loss that falls below minus this, by a thousandfold over its start, has no lower bound; "
        "log-likelihoods of images and critics stay above -100,000.",
    )
    stuck_loss: float = _threshold(
        1e6, "value", "A loss above this that does not move was never within reach of the weights."
    )
    stuck_steps: int = _threshold(
        100, "steps", "A loss that has not moved over fewer steps may still begin to."
    )
    amplification: float = _threshold(
        1e5,
        "ratio",
        "Activations or predictions this far above the largest input and target are out of "
        "proportion; logits and regressions stay within 1,000x.",
    )
    exploding_norm: float = _threshold(
        1e3,
        "value",
        "Finite gradients below this norm are not exploding, however much they grew: leaving a "
        "plateau is growth, too.",
    )
    vanishing_ratio: float = _threshold(
        1e-5,
        "ratio",
        "RMS gradient of the first layers over that of the last ones. Below this, training moves "
        "only the last layers; deep residual networks stay above 1e-3.",
    )
    vanishing_layers: int = _threshold(4, "layers", "Fewer layers show no trend over depth.")
    dead_steps: int = _threshold(
        8, "steps", "Gradients that are exactly zero for fewer steps in a row may recover."
    )
    converged_loss: float = _threshold(
        1e-6, "value", "Below this the loss has converged, and zero gradients are expected."
    )
    unscaled_magnitude: float = _threshold(
        100.0,
        "value",
        "Data above this magnitude calls for normalization if trouble follows; it is not a "
        "finding by itself.",
    )
    overflow_decades: float = _threshold(
        1.0, "decades", "Magnitudes this close to the largest number of the dtype are a risk."
    )
    underflow_share: float = _threshold(
        0.2,
        "share of elements",
        "With this share of non-zero elements below the smallest normal number, signal is lost.",
    )
    underflow_rms: float = _threshold(
        10.0,
        "ratio",
        "RMS over the smallest normal number. A fifth of a normal distribution is subnormal at 4; "
        "where it is above 10, a heavy tail dwarfs the elements that underflow: that is healthy.",
    )
    underflow_records: int = _threshold(
        4, "records", "In fewer records a small gradient may be due to a single batch."
    )
    skip_streak: int = _threshold(
        20,
        "steps",
        "Halving 2**15 this often leaves a scale below 1; a healthy start skips about 8 steps.",
    )
    skip_start: int = _threshold(
        10,
        "steps",
        "If not one step was taken in this many from the start, no loss scale helps; a healthy "
        "start skips about 8.",
    )
    scale_floor: float = _threshold(
        1.0, "loss scale", "If a step is skipped at this loss scale, loss scaling cannot help."
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
        """The defaults with these instead, as read from a JSON or TOML file.

        Raises ValueError for an unknown name, naming the known ones, and for a value that is not a
        positive number.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"Expected a mapping of threshold names to numbers, got {values!r}.")
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
