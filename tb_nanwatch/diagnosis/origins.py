"""From an event of the cascade to its cause: what made something non-finite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tb_nanwatch.diagnosis.cascade import Cascade, Event
from tb_nanwatch.diagnosis.curves import LARGEST, huge
from tb_nanwatch.diagnosis.events import counts, told
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.frontier import maker, receiver
from tb_nanwatch.diagnosis.poisoned import goes_on, poisoned_statistics
from tb_nanwatch.diagnosis.run import Run
from tb_nanwatch.diagnosis.runaway import (
    belongs,
    exploding,
    exploding_in_depth,
    growth_before,
    huge_data,
    is_of_magnitude,
    with_later,
)
from tb_nanwatch.diagnosis.words import held, join, named, number, sentence
from tb_nanwatch.format.tensor_info import TensorInfo

_FORWARD = ("activation", "prediction")
_BACKWARD = ("activation_gradient", "gradient")
_OPTIMIZER = ("slot", "update", "weight")


_POOLS = ("pool", "relu", "re_lu", "activation")


def origins(run: Run) -> Iterator[Finding]:
    """A finding for each event that did harm, by step and flow."""
    events = Cascade(run.flow, run.spells, run.tracks).events
    overflowing = [
        event
        for event in events
        if run.history.tensors[event.origin].role in _OPTIMIZER and _is_trained(run, event)
    ]
    ran_away: list[Finding] = []
    for event in events:
        found = _finding(run, event, overflowing)
        if found is not None and ran_away and belongs(found, ran_away[-1]):
            ran_away[-1] = with_later(ran_away[-1], found)
        elif found is not None and is_of_magnitude(found):
            ran_away.append(found)
        elif found is not None:
            yield found
        lost = poisoned_statistics(run, event)
        if lost is not None:
            yield lost
    yield from ran_away


def _finding(run: Run, event: Event, overflowing: Sequence[Event]) -> Finding | None:
    role = run.history.tensors[event.origin].role
    if _is_mask(run, event):
        return None
    if role in ("input", "target"):
        return _nonfinite_data(run, event, role)
    if run.spells.initial[event.spell]:
        return _initial_weight(run, event)
    if role in _FORWARD and not event.reached:
        return _swallowed(run, event)
    is_statistic = role == "weight" and not _is_trained(run, event)
    if is_statistic and goes_on(run, event.step, event.last_step):
        return None  # `poisoned_statistics` says it.
    data = huge_data(run, event.step)
    if role == "loss" and data and any(each.step <= event.step + 1 for each in overflowing):
        return None  # A loss of Inf stops nothing; what its gradient does to the optimizer does.
    if not data:
        grown = growth_before(run, event.step)
        if grown is not None:
            return exploding(run, event, grown)
    if is_statistic:
        return None
    if role in _FORWARD:
        return _between_updates(run, event) or _layer_forward(run, event)
    if role == "loss":
        return _loss(run, event, data)
    if role in _BACKWARD:
        return _backward(run, event)
    return _optimizer(run, event)


def _is_mask(run: Run, event: Event) -> bool:
    """Whether it is -Inf alone, in data or a constant, and nothing ever came of it."""
    nan, pos_inf, _ = run.spells.counts[event.spell]
    is_trained = bool(run.flow.is_trained[event.origin])
    return not (event.victims or nan or pos_inf or is_trained) and (
        run.history.tensors[event.origin].role == "input" or bool(run.spells.initial[event.spell])
    )


def _is_trained(run: Run, event: Event) -> bool:
    return bool(run.flow.is_trained[event.origin])


def _nonfinite_data(run: Run, event: Event, role: str) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    others = [t for t in event.victims if run.history.tensors[t].role == role]
    message = f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,}"
    if others:
        message += f", and so {join([repr(run.history.tensors[t].name) for t in others])}"
    return told(
        run,
        event,
        f"nonfinite-{role}",
        f"{message}: the data itself is not finite.",
        variant="sample_weight" if place.tensor.partition("/")[0] == "sample_weight" else "",
    )


def _initial_weight(run: Run, event: Event) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    return told(
        run,
        event,
        "nonfinite-initial-weight",
        f"{sentence(named(place))} holds {held(evidence)} before step {event.step:,}, the first "
        "one: it was loaded or initialised so.",
    )


def _layer_forward(run: Run, event: Event) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    around = run.magnitude(_before(run, event.origin), event.step)
    if evidence["nan"]:
        variant = "domain"
    elif around >= huge(run.dtype([event.origin])):
        variant = "overflow"
    else:
        variant = "pole"
    came_in = "the inputs are finite" if place.role == "prediction" else "what comes in is finite"
    if np.isfinite(around):
        came_in += f" (largest magnitude {number(around)})"
    message = (
        f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,} while {came_in}"
    )
    words = {
        "domain": "an operation outside of its domain",
        "overflow": "an overflow",
        "pole": "a division by 0, the log of 0 or an exponential",
    }
    message += f": {words[variant]}."
    if event.masked:
        message += " The prediction does not show it."
    if place.role == "prediction" and not run.records("activation"):
        message += " Which layer makes it was not recorded."
    return told(
        run,
        event,
        "layer-forward",
        message,
        variant=variant,
        evidence={} if np.isnan(around) else {"largest_magnitude_before": around},
        turn_on=("activation",) if place.role == "prediction" else (),
    )


def _between_updates(run: Run, event: Event) -> Finding | None:
    """For a layer that gave something finite, was updated within the step, and then gave a NaN.

    As with two optimizers that take turns in one step, by a loss for each.
    """
    infos, flow = run.history.tensors, run.flow
    layer = infos[event.origin].layer
    now = {event.origin, *(t for t, step in event.victims.items() if step == event.step)}
    mine = [t for t in range(len(infos)) if layer and infos[t].layer == layer and t in run.tracks]
    calls = [t for t in mine if infos[t].role == "activation" and t < event.origin]
    updated = [t for t in mine if infos[t].role == "weight" and flow.is_trained[t] and t in now]
    arrived = {infos[t].name for t in mine if infos[t].role == "activation_gradient" and t in now}
    optimizers = {infos[t].name.partition("/")[0] for t in flow.of_role("slot")}
    came_back = [t for t in calls if infos[t].name in arrived and t not in now]
    if not (updated and came_back) or len(optimizers) < 2:
        return None
    losses = _losses_in_turn(run, event)
    bad = [t for t in losses if t in now]
    if bad:
        return _first_in_turn(run, event, losses, bad)
    if run.records("loss"):
        return None
    place = run.place(event.origin)
    return told(
        run,
        event,
        "loss-domain",
        f"{sentence(named(place))} holds {held(counts(run, event))} at step {event.step:,}, after "
        f"{infos[came_back[0]].name!r} was finite and the gradient that came back to it was not: "
        "an update within the step came between. So the loss of the first optimizer is not "
        "finite, or its gradient. It was not recorded.",
        variant="domain",
        layer=layer,
        turn_on=("loss",),
    )


def _losses_in_turn(run: Run, event: Event) -> list[int]:
    """The losses of the event's step and replica in their order, where each trains a part of the
    model of its own, as in a GAN: "loss/critic", "loss/generator". Else none."""
    infos = run.history.tensors
    replica = infos[event.origin].replica
    losses = [
        t
        for t in run.flow.of_role("loss")
        if infos[t].replica == replica and t in run.tracks and run.tracks[t].saw(event.step)
    ]
    parts = {infos[t].name.partition("#")[0] for t in losses}
    return losses if len(parts) > 1 and all(part.startswith("loss/") for part in parts) else []


def _first_in_turn(run: Run, event: Event, losses: Sequence[int], bad: Sequence[int]) -> Finding:
    """For a step of several losses, each with an update: the first of them is at fault.

    Where it is finite itself its gradient is not, and the update came between.
    """
    first = run.history.tensors[losses[0]].name
    if losses[0] in bad:
        return told(
            run,
            replace(event, origin=losses[0]),
            "loss-domain",
            f"The loss {first!r} is not finite at step {event.step:,}, and what the step computes "
            "after the update by it is not either.",
            variant="formula",
            turn_on=("prediction",),
        )
    return told(
        run,
        replace(event, origin=losses[0]),
        "loss-backward",
        f"The loss {first!r} is finite at step {event.step:,} and its gradient is not: the update "
        f"by it came before {run.history.tensors[bad[0]].name!r}, which is not finite.",
        layer="",
    )


def _before(run: Run, tensor: int) -> list[int]:
    """What flows into an activation or a prediction, as far as it is known."""
    flow = run.flow
    forward = flow.of_role("input", "activation")
    return [each for each in forward if flow.rank[each] < flow.rank[tensor]]


def _swallowed(run: Run, event: Event) -> Finding | None:
    """For a NaN that a pooling or ReLU layer dropped; None for what a layer masked on purpose."""
    evidence, flow = counts(run, event), run.flow
    if not evidence["nan"] or run.history.tensors[event.origin].role != "activation":
        return None
    made = [event.origin, *(t for t in event.victims if t in flow.of_role("activation"))]
    end = max(made, key=lambda each: flow.rank[each])
    following = [t for t in flow.of_role("activation") if flow.rank[t] > flow.rank[end]]
    if not following:
        return None
    next_one = run.history.tensors[min(following, key=lambda each: flow.rank[each])]
    if not _drops(next_one, run.history.tensors[end]):
        return None
    place = run.place(event.origin)
    return told(
        run,
        event,
        "swallowed-nonfinite",
        f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,}, and the next "
        f"layer, {next_one.layer!r}, drops it: prediction, loss and gradients look fine.",
    )


def _drops(layer: TensorInfo, before: TensorInfo) -> bool:
    """Whether a layer is of the kind that drops a NaN by its nature: by its name or its shape."""
    name = layer.layer.rpartition("/")[2].lower()
    if any(word in name for word in _POOLS):
        return True
    given, made = (before.shape or ())[1:-1], (layer.shape or ())[1:-1]
    # Fewer places, as many channels: it pools. What is masked keeps its shape.
    is_smaller = len(given) == len(made) > 0 and any(
        0 < new < old for new, old in zip(made, given, strict=True)
    )
    return is_smaller and (before.shape or ())[-1:] == (layer.shape or ())[-1:]


def _loss(run: Run, event: Event, data: str) -> Finding:
    losses = _losses_in_turn(run, event)
    gradients = run.flow.of_role("gradient") if run.records("gradient") else []
    if event.origin in losses[1:] and gradients and _all_bad(run, event, gradients):
        return _first_in_turn(run, event, losses, [event.origin])
    place, evidence = run.place(event.origin), counts(run, event)
    predictions, targets = run.flow.of_role("prediction"), run.flow.of_role("target")
    limit = huge(run.dtype([event.origin]))
    predicted = run.magnitude(predictions, event.step)
    wanted = run.magnitude(targets, event.step)
    numbers = {
        name: value
        for name, value in (("largest_prediction", predicted), ("largest_target", wanted))
        if np.isfinite(value)
    }
    if not data and predicted >= limit:
        return exploding_in_depth(run, event, predicted, "predictions")
    overflows = bool(data) or max(numbers.values(), default=0.0) >= limit
    message = (
        f"{sentence(named(place))} is {held(evidence).split(' ', 1)[-1]} at step "
        f"{event.step:,} while "
    )
    seen = [
        word
        for word, tensors in (("predictions", predictions), ("targets", targets))
        if any(tensor in run.tracks for tensor in tensors)
    ]
    message += f"{join(seen)} are finite" if seen else "nothing before it is seen to be non-finite"
    if overflows:
        largest = max(numbers.values())
        message += f": values of {number(largest)} are too large for what the loss does with them."
    else:
        message += ": the loss takes a log, root or quotient outside of its domain."
    return told(
        run,
        event,
        "loss-domain",
        message,
        variant="overflow" if overflows else _formula(run, predictions),
        evidence=numbers,
        turn_on=("prediction", "target"),
    )


def _formula(run: Run, predictions: Sequence[int]) -> str:
    """ "domain" where predictions may be probabilities, in which case logits are the cure."""
    tracks = [run.tracks[tensor] for tensor in predictions if tensor in run.tracks]
    lowest = min((float(np.nanmin(each.column("min"), initial=0)) for each in tracks), default=0)
    highest = max((float(np.nanmax(each.column("max"), initial=0)) for each in tracks), default=0)
    return "domain" if lowest >= 0 and highest <= 1.001 else "formula"


def _backward(run: Run, event: Event) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    around = run.magnitude(run.flow.of_role(*_BACKWARD), event.step)
    if around >= huge(run.dtype([event.origin])):
        return exploding_in_depth(run, event, around, "gradients")
    if _all_at_once(run, event):
        return told(
            run,
            event,
            "loss-domain",
            f"{sentence(named(place))} and every other gradient become non-finite at step "
            f"{event.step:,}: so is the loss then, most likely, or what comes before it. Neither "
            "was recorded.",
            variant="domain",
            layer="",
            turn_on=("input", "prediction", "loss"),
        )
    bad = {event.origin, *(t for t, step in event.victims.items() if step == event.step)}
    into = receiver(run, bad, event.step)
    if into is not None:
        return _hidden_forward(run, event, into)
    made = maker(run, event.origin, event.step)
    turn_on = () if made.sure else ("activation_gradient",)
    message = f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,}"
    if run.records("loss"):
        message += " while the loss is finite"
    if made.layer is None:
        message += (
            ": the gradient of the loss itself is not finite."
            if made.sure
            else ": the backward pass of the loss makes it, or that of a layer behind."
        )
        where = "the loss" if made.sure else "the loss, and in the layers behind,"
        return told(run, event, "loss-backward", message, layer="", where=where, turn_on=turn_on)
    if made.own:
        message += f": layer {made.layer!r} makes it itself, from something finite."
    elif made.between is None:
        message += f": what comes back to layer {made.layer!r} is finite, what it gives on is not."
    else:
        message += (
            f", and gradients behind layer {made.between[0]!r} are finite from "
            f"{made.between[1]!r} on: the backward pass breaks from the one to the other"
        )
        message += "." if made.layer in made.between else f", most likely in {made.layer!r}."
    if not made.sure and not run.records("activation_gradient"):
        message += " Which layer it is exactly was not recorded."
    where = "" if made.sure or made.between is None else _between(made.between)
    return told(
        run, event, "layer-backward", message, layer=made.layer, where=where, turn_on=turn_on
    )


def _hidden_forward(run: Run, event: Event, into: str) -> Finding:
    """For what a layer made before layer `into`, whose activation function dropped it."""
    depth = run.flow.layers.index(into)
    before = run.flow.layers[depth - 1] if depth else ""
    place, evidence = run.place(event.origin), counts(run, event)
    message = (
        f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,}. What comes into "
        f"layer {into!r} is not finite, as the gradient of its kernel is not and that of its bias "
        "is; its activation function hides that from the prediction. "
    )
    message += (
        f"It is made in or behind layer {before!r}."
        if before
        else "It is made between the input and that layer."
    )
    return told(
        run,
        event,
        "layer-forward",
        message,
        variant="domain",
        layer=before,
        turn_on=("activation",),
    )


def _between(layers: tuple[str, str]) -> str:
    return f"the layers from {layers[0]!r} to {layers[1]!r}, those without weights too,"


def _all_at_once(run: Run, event: Event) -> bool:
    """Whether no loss was seen at the step, and no gradient that is finite."""
    tracks = run.tracks
    seen = [t for t in run.flow.of_role("loss") if t in tracks and tracks[t].saw(event.step)]
    return not seen and _all_bad(run, event, run.flow.of_role(*_BACKWARD))


def _all_bad(run: Run, event: Event, tensors: Sequence[int]) -> bool:
    """Whether all of these that were recorded are non-finite at the event's step."""
    bad = {event.origin, *(t for t, step in event.victims.items() if step == event.step)}
    return all(t in bad for t in tensors if t in run.tracks)


def _optimizer(run: Run, event: Event) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    gradients = run.flow.of_role("gradient")
    if not _saw(run, _BACKWARD, event.step):
        return _unseen(run, event)
    around = run.magnitude(gradients, event.step)
    dtype = run.dtype([event.origin])
    message = f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,}"
    if any(tensor in run.tracks for tensor in gradients):
        message += " while every gradient is finite"
    if np.isfinite(around):
        message += f", the largest {number(around)}"
    since = _squares_overflow(run, event) if place.role == "weight" else event.step
    if since < event.step:
        message += f": their squares are beyond {dtype} from step {since:,} on."
    elif dtype == "float16" or around >= huge(dtype):
        message += ": the optimizer's own arithmetic overflows."
    else:
        message += ": it is the optimizer or a constraint that makes it, and not of large numbers."
    variant = "rate" if _is_everywhere(run, event) else "elements"
    if since < event.step or around >= huge(dtype):
        variant = ""
    return told(
        run,
        replace(event, step=since),
        "optimizer-overflow",
        message,
        variant="half" if dtype == "float16" else variant,
        evidence={} if np.isnan(around) else {"largest_gradient": around},
        turn_on=("slot", "update") if place.role == "weight" else (),
    )


def _saw(run: Run, roles: Sequence[str], step: int) -> bool:
    """Whether any tensor of these roles was seen at the step."""
    return any(t in run.tracks and run.tracks[t].saw(step) for t in run.flow.of_role(*roles))


def _unseen(run: Run, event: Event) -> Finding:
    """For what went bad in a step of which no gradient was seen: most likely that was bad first."""
    place, evidence = run.place(event.origin), counts(run, event)
    message = f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,}"
    if _saw(run, ("loss",), event.step):
        return told(
            run,
            event,
            "layer-backward",
            f"{message} while the loss is finite: so was its gradient before, most likely, or the "
            "optimizer made it. Gradients were not recorded.",
            where="the loss and the layers",
            turn_on=("gradient",),
        )
    return told(
        run,
        event,
        "loss-domain",
        f"{message}: so was the loss before, most likely, or its gradient, or what comes before "
        "them. None was recorded.",
        variant="formula",
        layer="",
        turn_on=("prediction", "loss", "gradient"),
    )


def _is_everywhere(run: Run, event: Event) -> bool:
    """Whether all elements of all that is trained are lost, as by a rate that is not finite."""
    origin = run.history.tensors[event.origin]
    size = int(np.prod(origin.shape or ()))
    alike = [t for t in run.flow.of_role(origin.role) if t in run.tracks and run.flow.is_trained[t]]
    if origin.role == "update":
        alike = [t for t in run.flow.of_role("update") if t in run.tracks]
    lost = {event.origin, *(t for t, step in event.victims.items() if step == event.step)}
    return sum(counts(run, event).values()) >= size and lost.issuperset(alike)


def _squares_overflow(run: Run, event: Event) -> int:
    """The step from which on, up to the event, a gradient's square is beyond its dtype.

    Where slots were not recorded this is when they overflowed: it shows on the weights one step
    later. The event's own step where no square overflows.
    """
    steps = [event.step]
    for tensor in run.flow.of_role("gradient"):
        limit = np.sqrt(LARGEST.get(run.history.tensors[tensor].dtype, np.inf))
        if tensor in run.tracks:
            track = run.tracks[tensor]
            beyond = (track.magnitude() > limit) & (track.last < event.step)
            steps += track.last[beyond].tolist()
    return min(steps)
