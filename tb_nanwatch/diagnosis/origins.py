"""From an event of the cascade to its cause: what made something non-finite."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tb_nanwatch.diagnosis.advice import advice
from tb_nanwatch.diagnosis.cascade import Cascade, Event
from tb_nanwatch.diagnosis.curves import Growth, growth, huge
from tb_nanwatch.diagnosis.finding import CAUSES, Finding, Severity, Victim
from tb_nanwatch.diagnosis.frontier import maker
from tb_nanwatch.diagnosis.run import Run
from tb_nanwatch.diagnosis.words import held, join, named, number, sentence

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
        if found is not None and ran_away and _belongs(found, ran_away[-1]):
            ran_away[-1] = _with(ran_away[-1], found)
        elif found is not None and is_of_magnitude(found):
            ran_away.append(found)
        elif found is not None:
            yield found
        poisoned = _poisoned_statistics(run, event)
        if poisoned is not None:
            yield poisoned
    yield from ran_away


def is_of_magnitude(finding: Finding) -> bool:
    """Whether a finding tells of magnitudes that ran away."""
    if finding.cause == "loss-domain":
        largest = (
            finding.evidence.get(name, 0) for name in ("largest_target", "largest_prediction")
        )
        return max(largest) >= huge("float32")
    if finding.cause == "layer-forward":
        return finding.evidence.get("largest_magnitude_before", 0) >= huge("float32")
    return finding.cause in ("exploding-gradient", "optimizer-overflow")


def _belongs(later: Finding, earlier: Finding) -> bool:
    """Whether a finding is what comes next where magnitudes have run away already."""
    is_data = later.origin.role in ("input", "target")
    return later.step <= earlier.last_step + 1 and not is_data


def _with(finding: Finding, later: Finding) -> Finding:
    origin = later.origin
    reached = Victim(origin.role, origin.layer, origin.tensor, later.step, origin.worker)
    known = {(each.role, each.tensor, each.worker) for each in finding.victims}
    known.add((finding.origin.role, finding.origin.tensor, finding.origin.worker))
    return replace(
        finding,
        last_step=max(finding.last_step, later.last_step),
        victims=(
            *finding.victims,
            *(
                each
                for each in (reached, *later.victims)
                if (each.role, each.tensor, each.worker) not in known
            ),
        ),
    )


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
    if role == "weight" and not _is_trained(run, event):
        return None  # `_poisoned_statistics` says it.
    data = _huge_data(run, event.step)
    if role == "loss" and data and any(each.step <= event.step + 1 for each in overflowing):
        return None  # A loss of Inf stops nothing; what its gradient does to the optimizer does.
    if not data:
        grown = growth_before(run, event.step)
        if grown is not None:
            return _exploding(run, event, grown)
    if role in _FORWARD:
        return _layer_forward(run, event)
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


def counts(run: Run, event: Event) -> dict[str, float]:
    """The elements of the record that holds the event's first step."""
    nan, pos_inf, neg_inf = run.spells.counts[event.spell].astype(np.int64).tolist()
    return {"nan": nan, "pos_inf": pos_inf, "neg_inf": neg_inf}


def _said(
    run: Run,
    event: Event,
    cause: str,
    message: str,
    *,
    variant: str = "",
    layer: str | None = None,
    severity: Severity | None = None,
    evidence: dict[str, float] | None = None,
    turn_on: tuple[str, ...] = (),
) -> Finding:
    place = run.place(event.origin, layer)
    key = f"{cause}/{variant}" if variant else cause
    return Finding(
        cause,
        severity or CAUSES[cause],
        event.step,
        event.last_step,
        place,
        tuple(run.victim(tensor, step) for tensor, step in event.victims.items()),
        {**counts(run, event), **(evidence or {})},
        f"{message} {_aftermath(run, event)}".strip(),
        advice(key, place),
        tuple(role for role in turn_on if not run.records(role)),
    )


def _aftermath(run: Run, event: Event) -> str:
    """What came of it: the weights, and whether the loss shows it."""
    weights = {
        tensor: step
        for tensor, step in event.victims.items()
        if run.history.tensors[tensor].role == "weight" and run.flow.is_trained[tensor]
    }
    parts = []
    if weights:
        count = sum(run.flow.is_trained[t] for t in run.flow.of_role("weight"))
        parts.append(
            f"From step {min(weights.values()):,} on {len(weights):,} of {count:,} trained weights "
            "are non-finite."
        )
        if _spread_by_clipping(run, event):
            parts.append(
                "Weights whose own gradients are finite are among them: clipping by the global "
                "norm spreads one NaN to all."
            )
    if event.victims and _loss_hides(run, event):
        parts.append("The loss stays finite and hides it.")
    return " ".join(parts)


def _loss_hides(run: Run, event: Event) -> bool:
    """Whether there is a loss, and it is finite from the event's first to its last step."""
    losses = [t for t in run.flow.of_role("loss") if t in run.tracks]
    spells = run.spells
    during = (spells.first <= event.last_step) & (spells.last >= event.step)
    return bool(losses) and not np.isin(spells.tensor[during], losses).any()


def _spread_by_clipping(run: Run, event: Event) -> bool:
    """Whether weights went bad at a step with both finite and non-finite gradients, all at once."""
    infos = run.history.tensors
    gradients = {
        infos[tensor].name: tensor
        for tensor in run.flow.of_role("gradient")
        if tensor in run.tracks and run.tracks[tensor].saw(event.step)
    }
    bad = {
        infos[t].name
        for t, step in (*event.victims.items(), (event.origin, event.step))
        if step == event.step and infos[t].role == "gradient"
    }
    weights = {
        infos[t].name
        for t, step in event.victims.items()
        if step == event.step and infos[t].role == "weight"
    }
    return bool(bad) and any(name in gradients and name not in bad for name in weights)


def _nonfinite_data(run: Run, event: Event, role: str) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    others = [t for t in event.victims if run.history.tensors[t].role == role]
    message = f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,}"
    if others:
        message += f", and so {join([repr(run.history.tensors[t].name) for t in others])}"
    return _said(run, event, f"nonfinite-{role}", f"{message}: the data itself is not finite.")


def _initial_weight(run: Run, event: Event) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    return _said(
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
    came_in = "its input is finite"
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
    return _said(
        run,
        event,
        "layer-forward",
        message,
        variant=variant,
        evidence={} if np.isnan(around) else {"largest_magnitude_before": around},
        turn_on=("activation",) if place.role == "prediction" else (),
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
    name = next_one.layer.rpartition("/")[2].lower()
    if not any(word in name for word in _POOLS):
        return None
    place = run.place(event.origin)
    return _said(
        run,
        event,
        "swallowed-nonfinite",
        f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,}, and the next "
        f"layer, {next_one.layer!r}, drops it: prediction, loss and gradients look fine.",
    )


def _loss(run: Run, event: Event, data: str) -> Finding:
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
        return _exploding_in_depth(run, event, predicted, "predictions")
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
    return _said(
        run,
        event,
        "loss-domain",
        message,
        variant="overflow" if overflows else "domain",
        evidence=numbers,
        turn_on=("prediction", "target"),
    )


def _backward(run: Run, event: Event) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    around = run.magnitude(run.flow.of_role(*_BACKWARD), event.step)
    if around >= huge(run.dtype([event.origin])):
        return _exploding_in_depth(run, event, around, "gradients")
    if _all_at_once(run, event):
        return _said(
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
    made = maker(run, event.origin, event.step)
    turn_on = () if made.sure else ("activation_gradient",)
    message = f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,}"
    if run.records("loss"):
        message += " while the loss is finite"
    if made.layer is None:
        message += ": the gradient of the loss itself is not finite."
        return _said(run, event, "loss-backward", message, layer="", turn_on=turn_on)
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
    return _said(run, event, "layer-backward", message, layer=made.layer, turn_on=turn_on)


def _all_at_once(run: Run, event: Event) -> bool:
    """Whether no loss was seen at the step, and no gradient that is finite."""
    tracks = run.tracks
    seen = [t for t in run.flow.of_role("loss") if t in tracks and tracks[t].saw(event.step)]
    if seen:
        return False
    bad = {event.origin, *(t for t, step in event.victims.items() if step == event.step)}
    return all(t in bad for t in run.flow.of_role(*_BACKWARD) if t in tracks)


def _optimizer(run: Run, event: Event) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    gradients = run.flow.of_role("gradient")
    around = run.magnitude(gradients, event.step)
    half = run.dtype([event.origin]) == "float16"
    message = f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,}"
    if any(tensor in run.tracks for tensor in gradients):
        message += " while every gradient is finite"
    if np.isfinite(around):
        message += f", the largest {number(around)}"
    message += ": the optimizer's own arithmetic overflows."
    return _said(
        run,
        event,
        "optimizer-overflow",
        message,
        variant="half" if half else "",
        evidence={} if np.isnan(around) else {"largest_gradient": around},
        turn_on=("slot", "update") if place.role == "weight" else (),
    )


def growth_before(run: Run, step: int) -> tuple[str, Growth] | None:
    """What grew and how, of gradients, weights, predictions and loss up to a step."""
    limits = run.thresholds
    for name in ("gradient", "weight", "prediction", "loss"):
        curve = run.norm(name).until(step + 1)
        grown = growth(curve, limits.growth_decades, limits.growth_steps, limits.jump_decades)
        # On its way to where squares overflow: what stays moderate has not made it.
        if grown is not None and curve.log10[-1] + 3 * grown.pace >= np.log10(huge("float32")):
            return name, grown
    return None


def _exploding(run: Run, event: Event, grown: tuple[str, Growth]) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    what, rise = grown
    words = {
        "gradient": "norm of the gradients",
        "weight": "norm of the weights",
        "prediction": "norm of the predictions",
    }
    return _said(
        run,
        event,
        "exploding-gradient",
        f"The {words.get(what, what)} grows by a factor of {number(10**rise.decades)} "
        f"from step {rise.first:,} to step {event.step:,}, where {named(place)} holds "
        f"{held(evidence)}: the training runs away and overflows.",
        severity="error",
        evidence={"growth_decades": rise.decades, "growth_first_step": rise.first},
    )


def _exploding_in_depth(run: Run, event: Event, largest: float, what: str) -> Finding:
    place, evidence = run.place(event.origin), counts(run, event)
    came_in = run.magnitude(run.flow.of_role("input"), event.step)
    message = (
        f"{sentence(named(place))} holds {held(evidence)} at step {event.step:,}: within this "
        f"one step the {what} reach {number(largest)}"
    )
    if np.isfinite(came_in):
        message += f" from inputs of {number(came_in)}"
    return _said(
        run,
        event,
        "exploding-gradient",
        f"{message}. The layers amplify, one after another or time step after time step.",
        variant="depth",
        severity="error",
        evidence={"largest_magnitude": largest},
    )


def _huge_data(run: Run, step: int) -> str:
    """The role of data whose magnitude alone explains an overflow; "" for none."""
    for role in ("target", "input"):
        tensors = run.flow.of_role(role)
        if tensors and run.magnitude(tensors, step) >= huge(run.dtype(tensors)):
            return role
    return ""


def _poisoned_statistics(run: Run, event: Event) -> Finding | None:
    """For state that is not trained and stays non-finite while the training goes on well."""
    flow, spells = run.flow, run.spells
    statistics = {
        tensor: step
        for tensor, step in {event.origin: event.step, **event.victims}.items()
        if run.history.tensors[tensor].role == "weight" and not flow.is_trained[tensor]
    }
    if not statistics or spells.initial[event.spell]:
        return None
    first = min(statistics, key=lambda tensor: (statistics[tensor], flow.rank[tensor]))
    step = statistics[first]
    mine = next(
        index
        for index in range(len(spells))
        if spells.tensor[index] == first and spells.first[index] == step
    )
    is_origin = first == event.origin
    if not is_origin and not _goes_on(run, step, int(spells.last[mine])):
        return None
    others = [tensor for tensor in statistics if tensor != first]
    own = Event(
        first,
        step,
        mine,
        max(int(spells.last[mine]), step),
        {tensor: statistics[tensor] for tensor in others},
    )
    place, evidence = run.place(first), counts(run, own)
    message = (
        f"{sentence(named(place))}, a statistic that training keeps and does not train, holds "
        f"{held(evidence)} from step {step:,} on"
    )
    if others:
        message += f", with {len(others):,} more"
    message += (
        ". Training uses the statistics of each batch and goes on; evaluation and prediction use "
        "these, and are lost."
    )
    return _said(run, own, "poisoned-statistics", message)


def _goes_on(run: Run, step: int, until: int) -> bool:
    """Whether the training is healthy at some step after `step`, up to `until`."""
    spells = run.spells
    trained = run.flow.is_trained[spells.tensor]
    if np.any(trained & (spells.first <= step) & (spells.healed > step + 1)):
        return False
    for tensor in run.flow.of_role("loss", "gradient"):
        if tensor in run.tracks:
            track = run.tracks[tensor]
            later = (track.first > step) & (track.last <= until)
            return bool(np.any(later & (track.column("nonfinite_steps") == 0)))
    return False
