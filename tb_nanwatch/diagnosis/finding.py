"""What a diagnosis says: findings, and their form as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tb_nanwatch.format.rerun import Rerun, operation_to_json

Severity = Literal["error", "warning", "info"]

CAUSES: dict[str, Severity] = {
    "nonfinite-input": "error",
    "nonfinite-target": "error",
    "nonfinite-initial-weight": "error",
    "layer-forward": "error",
    "loss-domain": "error",
    "layer-backward": "error",
    "loss-backward": "error",
    "optimizer-overflow": "error",
    "poisoned-statistics": "error",
    "swallowed-nonfinite": "error",
    "exploding-gradient": "warning",
    "loss-scale-collapse": "error",
    "divergence": "warning",
    "vanishing-gradient": "warning",
    "dead-layer": "warning",
    "unscaled-input": "warning",
    "unscaled-target": "warning",
    "range-overflow-risk": "warning",
    "range-underflow": "warning",
    "loss-scale-backoff": "info",
}
"""Every cause and its severity. `exploding-gradient` is an error where it ends non-finite."""


@dataclass(frozen=True)
class Place:
    """A watched tensor, or the layer that made what was seen on it.

    Attributes:
      role: one of `format.roles`.
      layer: path of the layer; "" where there is none or it cannot be told.
      tensor: name of the tensor.
      worker: which worker or replica saw it; "" where there is one alone.
    """

    role: str
    layer: str
    tensor: str
    worker: str = ""


@dataclass(frozen=True)
class Victim:
    """Where a non-finite value only arrived; the attributes of `Place`, and the first step."""

    role: str
    layer: str
    tensor: str
    step: int
    worker: str = ""


@dataclass(frozen=True)
class Finding:
    """One diagnosed event, said once however long it lasts.

    Attributes:
      cause: a key of `CAUSES`.
      severity: "error", "warning" or "info".
      step: its first step.
      last_step: the last step at which it, or what it led to, is seen.
      origin: where it began.
      victims: what else it reached, in the order in which that happened.
      evidence: the numbers that it rests on; counts are of the record that holds `step`.
      message: what, where and when, in a short paragraph.
      advice: what to do.
      turn_on: roles whose recording would give the exact reading.
      aftermath: the part of `message` that says what came of it.
      rerun: what running the step again, operation by operation, has found; None where it was not.
    """

    cause: str
    severity: Severity
    step: int
    last_step: int
    origin: Place
    victims: tuple[Victim, ...]
    evidence: Mapping[str, float]
    message: str
    advice: str
    turn_on: tuple[str, ...] = ()
    aftermath: str = ""
    rerun: Rerun | None = None


def to_json(finding: Finding) -> dict[str, Any]:
    """The finding as an element of `findings` in `nanwatch report --json`, version 1.

    The keys `worker` and `turn_on`, and those of a rerun (`operation` and `examples` of the origin,
    `rerun`), are there only where they say something.
    """
    origin, rerun = finding.origin, finding.rerun
    answer: dict[str, Any] = {
        "cause": finding.cause,
        "severity": finding.severity,
        "step": finding.step,
        "last_step": finding.last_step,
        "origin": _place(origin.role, origin.layer, origin.tensor, origin.worker),
        "victims": [
            {**_place(each.role, each.layer, each.tensor, each.worker), "step": each.step}
            for each in finding.victims
        ],
        "evidence": dict(finding.evidence),
        "headline": headline(finding),
        "message": finding.message,
        "advice": finding.advice,
    }
    if rerun is not None:
        if rerun.operation is not None:
            answer["origin"]["operation"] = operation_to_json(rerun.operation)
        if rerun.examples:
            answer["origin"]["examples"] = list(rerun.examples)
        answer["rerun"] = {
            "reproduced": rerun.reproduced,
            "mode": rerun.mode,
            "note": rerun.note,
        }
    if finding.turn_on:
        answer["turn_on"] = list(finding.turn_on)
    return answer


def _place(role: str, layer: str, tensor: str, worker: str) -> dict[str, str]:
    place = {"role": role, "layer": layer, "tensor": tensor}
    return {**place, "worker": worker} if worker else place


def headline(finding: Finding) -> str:
    """The finding in one line."""
    return short_text(finding)


def short_text(finding: Finding) -> str:
    """The finding in one line, for the console of a training that runs."""
    message = " ".join(finding.message.split())
    to_do = finding.advice.split(". ")[0].removesuffix(".")
    return f"{finding.cause} at step {finding.step}: {message} {to_do}."
