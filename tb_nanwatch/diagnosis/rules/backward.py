"""`layer-backward`, `loss-backward`: gradients that are not finite under a finite forward pass."""

from __future__ import annotations

from dataclasses import replace

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.magnitudes import huge
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.rules.backward_origin import locate_backward_origin
from tb_nanwatch.diagnosis.rules.event_finding import Answer, finding_from_event, in_same_step
from tb_nanwatch.diagnosis.rules.growth import grown_within_step

BACKWARD = ("activation_gradient", "gradient")


def update_between_losses(run: Run, event: Event) -> Answer:
    """For a loss that follows the update by an earlier one, in a step of several optimizers.

    The earlier loss is finite and every gradient is not: its gradient made the update that the
    later forward pass ran into.
    """
    if len(run.history.model.optimizers) < 2:
        return None
    replica = run.info(event.origin).replica
    losses = [t for t in run.seen_at(event.step, "loss") if run.info(t).replica == replica]
    now, gradients = in_same_step(event), run.recorded("gradient")
    is_later = losses[:1] != [event.origin] and now.isdisjoint(losses[:1]) and now & {*losses}
    if not is_later or not gradients or not now.issuperset(gradients):
        return None
    return finding_from_event(run, replace(event, origin=losses[0]), "loss-backward", layer="")


def overflowing_gradients(run: Run, event: Event) -> Answer:
    """For gradients that were huge before one overflowed."""
    if run.info(event.origin).role not in BACKWARD:
        return None
    around = run.magnitude(run.order.of_role(*BACKWARD), event.step)
    if around < huge(run.dtype([event.origin])) or around != around:
        return None
    return grown_within_step(run, event, around, "gradient")


def every_gradient(run: Run, event: Event) -> Answer:
    """For gradients that are all non-finite in a step of which no loss was seen: most likely the
    loss is not finite, or what comes before it."""
    if run.info(event.origin).role not in BACKWARD or run.seen_at(event.step, "loss"):
        return None
    if not in_same_step(event).issuperset(run.recorded(*BACKWARD)):
        return None
    return finding_from_event(
        run,
        event,
        "loss-domain",
        variant="formula",
        layer="",
        inferred_from="gradient",
        record_also=("input", "prediction", "loss"),
    )


def backward(run: Run, event: Event) -> Answer:
    """For any other gradient."""
    if run.info(event.origin).role not in BACKWARD:
        return None
    made = locate_backward_origin(run, event.origin, event.step)
    record_also = () if made.is_known else ("activation_gradient",)
    inferred_from = "" if made.is_known else "gradient"
    if made.layer is None:
        return finding_from_event(
            run,
            event,
            "loss-backward",
            layer="",
            inferred_from=inferred_from,
            record_also=record_also,
        )
    variant = "own-variables" if made.is_of_variables else "between" if made.between else ""
    related = {}
    if made.between is not None:
        related = dict(zip(("from_layer", "to_layer"), made.between, strict=True))
    return finding_from_event(
        run,
        event,
        "layer-backward",
        variant=variant,
        layer=made.layer,
        related=related,
        inferred_from=inferred_from,
        record_also=record_also,
    )
