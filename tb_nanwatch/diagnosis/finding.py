"""What a diagnosis finds: facts, without a sentence. `diagnosis.text` puts them into words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from tb_nanwatch.format.facts import UNKNOWN_MODEL, ModelFacts
from tb_nanwatch.format.rerun import Operation, Rerun

Severity = Literal["error", "warning", "info"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
"""The most important first."""


class CauseInfo(NamedTuple):
    """The severity of a cause, and the variants that have texts of their own."""

    severity: Severity
    variants: tuple[str, ...] = ("",)


CAUSES: dict[str, CauseInfo] = {
    "nonfinite-input": CauseInfo("error"),
    "nonfinite-target": CauseInfo("error", ("", "sample-weight")),
    "nonfinite-initial-weight": CauseInfo("error", ("", "between")),
    "empty-batch": CauseInfo("error"),
    "label-out-of-range": CauseInfo("error"),
    "id-out-of-range": CauseInfo("warning"),
    "layer-forward": CauseInfo("error", ("invalid", "division", "overflow", "hidden")),
    "loss-domain": CauseInfo("error", ("probabilities", "formula", "overflow")),
    "layer-backward": CauseInfo("error", ("", "own-variables", "between")),
    "loss-backward": CauseInfo("error"),
    "optimizer-overflow": CauseInfo(
        "error", ("squares", "learning-rate", "elements", "epsilon", "float16", "operation")
    ),
    "poisoned-statistics": CauseInfo("error", ("", "untrained")),
    "swallowed-nonfinite": CauseInfo("error"),
    "nonfinite-validation": CauseInfo("error", ("", "data", "empty")),
    "nonfinite-metric": CauseInfo("warning"),
    "exploding-gradient": CauseInfo("warning", ("", "overflow", "depth")),
    "loss-scale-collapse": CauseInfo("error", ("forward", "not-float16", "range", "backward")),
    "divergence": CauseInfo("warning", ("loss", "weight", "amplified", "unbounded")),
    "not-training": CauseInfo("warning", ("frozen", "no-variables", "stuck")),
    "vanishing-gradient": CauseInfo("warning"),
    "dead-layer": CauseInfo("warning", ("units", "cut", "loss")),
    "improper-output": CauseInfo("warning", ("logits", "relu", "one-unit", "sigmoid")),
    "fill-value": CauseInfo("warning", ("input", "target")),
    "unscaled-input": CauseInfo("warning", ("", "constant-column")),
    "unscaled-target": CauseInfo("warning"),
    "range-overflow-risk": CauseInfo("warning", ("", "squares")),
    "range-underflow": CauseInfo("warning", ("float16", "float32")),
    "loss-scale-backoff": CauseInfo("info", ("", "unfinished")),
}
"""Every cause. `exploding-gradient` and `fill-value` are errors where they end non-finite."""


@dataclass(frozen=True)
class Place:
    """A watched tensor, or the layer that made what was seen on it.

    Attributes:
      role: one of `format.roles`.
      layer: path of the layer; "" where there is none or it is not known.
      tensor: name of the tensor.
      worker: which worker or replica saw it; "" where there is one alone.
    """

    role: str
    layer: str
    tensor: str
    worker: str = ""


@dataclass(frozen=True)
class Affected:
    """A tensor that a non-finite value spread to; the attributes of `Place`, and the first step."""

    role: str
    layer: str
    tensor: str
    step: int
    worker: str = ""


@dataclass(frozen=True)
class Consequences:
    """What a non-finite value did to the training.

    Attributes:
      lost_variables: trainable variables that became non-finite.
      variables: trainable variables that were recorded.
      since: the first step at which one was; -1 for none.
      is_spread_by_clipping: whether variables are lost whose own gradients are finite, as clipping
        by the global norm does.
      is_loss_finite: whether the loss stays finite, so that its curve does not show it.
    """

    lost_variables: int = 0
    variables: int = 0
    since: int = -1
    is_spread_by_clipping: bool = False
    is_loss_finite: bool = False


NO_CONSEQUENCES = Consequences()


@dataclass(frozen=True)
class Finding:
    """One diagnosed event, found once however long it lasts.

    Attributes:
      cause: a key of `CAUSES`.
      severity: how serious it is.
      step: the exact step where it begins; of a trend, where it departs from the run's own past.
      last_step: the last step at which it is seen.
      origin: the tensor on which it was seen first; its `layer` is the culprit where that is known.
      variant: one of the cause's variants.
      evidence: numbers by name; `nan`, `pos_inf` and `neg_inf` count the origin's elements in the
        record of `step`. Units are in the name or those of the tensor; no number is NaN.
      related: names that the evidence speaks of, by what they are to it: `next_layer`,
        `last_layer`, `from_layer`, `to_layer`, `hiding_layer`, `quantity` (a role), `trouble` (a
        cause), `dtype`, `part` (of the validation data).
      affected: what it spread to, by step and by the order within it.
      consequences: what it did to the training.
      inferred_from: the role of the only tensors that show it, where nothing closer to the origin
        was recorded: the cause is then the most likely one. "" where it is known.
      masked: whether the prediction of the same step is finite again.
      record_also: roles that were not recorded, and would tell more.
      rerun: what running the step again found; None where it was not.
      is_partial: whether records of the run are missing.
      model: what the framework reported of the model.
    """

    cause: str
    severity: Severity
    step: int
    last_step: int
    origin: Place
    variant: str = ""
    evidence: Mapping[str, float] = field(default_factory=dict)
    related: Mapping[str, str] = field(default_factory=dict)
    affected: tuple[Affected, ...] = ()
    consequences: Consequences = NO_CONSEQUENCES
    inferred_from: str = ""
    masked: bool = False
    record_also: tuple[str, ...] = ()
    rerun: Rerun | None = None
    is_partial: bool = False
    model: ModelFacts = UNKNOWN_MODEL

    @property
    def operation(self) -> Operation | None:
        """The operation at fault, where running the step again found one."""
        return None if self.rerun is None else self.rerun.operation
