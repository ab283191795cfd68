"""`optimizer-overflow`: slots, updates or weights that are not finite, of finite gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.magnitudes import huge
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.rules.backward import BACKWARD
from tb_nanwatch.diagnosis.rules.event_finding import (
    Answer,
    counts,
    finding_from_event,
    in_same_step,
    known,
)
from tb_nanwatch.diagnosis.rules.growth import huge_data
from tb_nanwatch.stats.floats import COMPONENT, float_format


def unseen_gradients(run: Run, event: Event) -> Answer:
    """For what went bad in a step of which no gradient was seen: most likely that was bad first."""
    if run.seen_at(event.step, *BACKWARD):
        return None
    role = run.info(event.origin).role
    if run.seen_at(event.step, "loss"):
        return finding_from_event(
            run,
            event,
            "layer-backward",
            layer="",
            inferred_from=role,
            record_also=("gradient",),
        )
    return finding_from_event(
        run,
        event,
        "loss-domain",
        variant="formula",
        layer="",
        inferred_from=role,
        record_also=("prediction", "loss", "gradient"),
    )


def optimizer_overflow(run: Run, event: Event) -> Answer:
    """For any other slot, update or weight."""
    around = run.magnitude(run.order.of_role("gradient"), event.step)
    dtype = run.dtype([event.origin])
    is_weight = run.info(event.origin).role == "weight"
    since = _squares_overflow(run, event) if is_weight else event.step
    data = huge_data(run, event.step)
    if dtype == "float16":
        variant = "float16"
    elif since < event.step or around >= huge(dtype):
        variant = "squares"
    elif _is_everywhere(run, event):
        variant = "learning-rate"
    else:
        variant = "epsilon" if _has_no_epsilon(run) else "elements"
    return finding_from_event(
        run,
        replace(event, step=since),
        "optimizer-overflow",
        variant=variant,
        related={"dtype": dtype} | ({"quantity": data} if variant == "squares" and data else {}),
        evidence=known(largest_gradient=around) | {"first_seen_step": event.step},
        record_also=("slot", "update") if is_weight else (),
    )


def _has_no_epsilon(run: Run) -> bool:
    return any(each.epsilon == 0 for each in run.history.model.optimizers)


def _is_everywhere(run: Run, event: Event) -> bool:
    """Whether all elements of all that is trained are lost, as by a rate that is not finite."""
    origin = run.info(event.origin)
    size = int(np.prod(origin.shape or ()))
    alike = run.recorded(origin.role)
    if origin.role != "update":
        alike = [t for t in alike if run.order.is_trained[t]]
    return sum(counts(run, event).values()) >= size and in_same_step(event).issuperset(alike)


def _squares_overflow(run: Run, event: Event) -> int:
    """The step from which on, up to the event, a gradient's square is beyond its dtype.

    Where slots were not recorded this is when they overflowed: it shows on the weights one step
    later. The event's own step where no square overflows.
    """
    steps = [event.step]
    for tensor in run.recorded("gradient"):
        dtype, history = run.info(tensor).dtype, run.histories[tensor]
        if dtype in COMPONENT:
            limit = np.sqrt(float_format(dtype).largest)
            beyond = (history.magnitude() > limit) & (history.last < event.step)
            steps += history.last[beyond].tolist()
    return min(steps)
