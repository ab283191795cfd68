"""From an event of the causal chain to a finding: its counts, and what it did to the training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import CAUSES, Consequences, Finding, Severity


class NoFinding:
    """The type of `NO_FINDING`."""


NO_FINDING = NoFinding()
"""What a rule answers where it knows that an event is no trouble, or that another rule finds it."""

Answer = Finding | NoFinding | None
"""Of a rule about an event; None leaves it to the rules after it."""


def counts(run: Run, event: Event) -> dict[str, float]:
    """Non-finite elements in the record of the event's first step."""
    nan, pos_inf, neg_inf = run.intervals.counts[event.interval].astype(np.int64).tolist()
    return {"nan": nan, "pos_inf": pos_inf, "neg_inf": neg_inf}


def known(**numbers: float) -> dict[str, float]:
    """Those of the numbers that are not NaN."""
    return {name: value for name, value in numbers.items() if not np.isnan(value)}


def in_same_step(event: Event) -> set[int]:
    """The event's origin, and the tensors that it affected within its first step."""
    return {event.origin, *(t for t, step in event.affected.items() if step == event.step)}


def finding_from_event(
    run: Run,
    event: Event,
    cause: str,
    *,
    variant: str = "",
    layer: str | None = None,
    severity: Severity | None = None,
    evidence: Mapping[str, float] | None = None,
    related: Mapping[str, str] | None = None,
    inferred_from: str = "",
    record_also: tuple[str, ...] = (),
) -> Finding:
    """The finding that an event of this cause is.

    Args:
      run: the run.
      event: what became non-finite.
      cause: a key of `CAUSES`.
      variant: one of the cause's.
      layer: the culprit, where it is not the layer of the tensor; "" for none.
      severity: where it is not the cause's.
      evidence: numbers besides the counts.
      related: see `Finding`.
      inferred_from: see `Finding`.
      record_also: roles that would tell more; those that were recorded are left out.
    """
    return Finding(
        cause,
        severity or CAUSES[cause].severity,
        event.step,
        event.last_step,
        run.place(event.origin, layer),
        variant=variant,
        evidence={**counts(run, event), **(evidence or {})},
        related=dict(related or {}),
        affected=tuple(run.affected(tensor, step) for tensor, step in event.affected.items()),
        consequences=_consequences(run, event),
        inferred_from=inferred_from,
        masked=event.masked,
        record_also=tuple(role for role in record_also if not run.recorded(role)),
        model=run.history.model,
    )


def _consequences(run: Run, event: Event) -> Consequences:
    lost = {
        tensor: step
        for tensor, step in event.affected.items()
        if run.info(tensor).role == "weight" and run.order.is_trained[tensor]
    }
    return Consequences(
        lost_variables=len(lost),
        variables=sum(bool(run.order.is_trained[t]) for t in run.order.of_role("weight")),
        since=min(lost.values(), default=-1),
        is_spread_by_clipping=bool(lost) and _spread_by_clipping(run, event),
        is_loss_finite=bool(event.affected) and _loss_is_finite(run, event),
    )


def _loss_is_finite(run: Run, event: Event) -> bool:
    """Whether the loss is finite from the event's first to its last step, and later than that."""
    losses = run.recorded("loss")
    spans = run.intervals
    during = (spans.first <= event.last_step) & (spans.last >= event.step)
    shown = np.isin(spans.tensor[during], losses).any()
    return not shown and any(run.histories[t].last[-1] > event.step for t in losses)


def _spread_by_clipping(run: Run, event: Event) -> bool:
    """Whether variables went bad at a step at which their own gradients are finite and others'
    are not, in a training whose optimizers, where they are known, clip by the global norm."""
    optimizers = run.history.model.optimizers
    if optimizers and all(each.global_clipnorm is None for each in optimizers):
        return False
    gradients = {run.info(tensor).given_name for tensor in run.seen_at(event.step, "gradient")}
    now = in_same_step(event)
    bad = {run.info(t).given_name for t in now if run.info(t).role == "gradient"}
    weights = {run.info(t).given_name for t in now - {event.origin} if run.info(t).role == "weight"}
    return bool(bad) and bool(weights & gradients - bad)
