"""`loss-domain`: a loss that is not finite, of finite predictions and targets."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.magnitudes import huge
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.rules.event_finding import (
    NO_FINDING,
    Answer,
    finding_from_event,
    known,
)
from tb_nanwatch.diagnosis.rules.growth import grown_within_step, huge_data


def infinite_loss_beside_overflow(run: Run, event: Event) -> Answer:
    """No finding: a loss of Inf stops nothing; what its gradient does to the optimizer does."""
    if run.info(event.origin).role != "loss" or not huge_data(run, event.step):
        return None
    overflows = (
        each
        for each in run.events
        if run.info(each.origin).role in ("slot", "update", "weight")
        and run.order.is_trained[each.origin]
    )
    return NO_FINDING if any(each.step <= event.step + 1 for each in overflows) else None


def loss_domain(run: Run, event: Event) -> Answer:
    """For a loss."""
    if run.info(event.origin).role != "loss":
        return None
    predictions, targets = run.order.of_role("prediction"), run.order.of_role("target")
    limit = huge(run.dtype([event.origin]))
    predicted = run.magnitude(predictions, event.step)
    wanted = run.magnitude(targets, event.step)
    is_of_data = bool(huge_data(run, event.step))
    if not is_of_data and predicted >= limit:
        return grown_within_step(run, event, predicted, "prediction")
    largest = np.fmax(predicted, wanted)
    variant = _variant(run, predictions)
    if is_of_data or largest >= limit:
        variant = "overflow"
    return finding_from_event(
        run,
        event,
        "loss-domain",
        variant=variant,
        evidence=known(largest_prediction=predicted, largest_target=wanted),
        record_also=("prediction", "target"),
    )


def _variant(run: Run, predictions: Sequence[int]) -> str:
    """ "probabilities" where predictions may be some, in which case logits are the cure."""
    if any(loss.from_logits for loss in run.history.model.losses):
        return "formula"
    histories = [run.histories[tensor] for tensor in predictions if tensor in run.histories]
    lowest = min((float(np.nanmin(h.column("min"), initial=0)) for h in histories), default=0)
    highest = max((float(np.nanmax(h.column("max"), initial=0)) for h in histories), default=0)
    return "probabilities" if lowest >= 0 and highest <= 1.001 else "formula"
