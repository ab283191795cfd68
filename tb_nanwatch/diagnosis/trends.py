"""Slow trouble, judged over the run's own history: what grows, fades or stands still."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from tb_nanwatch.diagnosis.advice import advice
from tb_nanwatch.diagnosis.curves import Curve, growth, level
from tb_nanwatch.diagnosis.finding import CAUSES, Finding, Victim
from tb_nanwatch.diagnosis.run import Run
from tb_nanwatch.diagnosis.words import named, number, sentence

_TINY = 1e-46
"""Stands for a root mean square of 0: below every float32."""


def trends(run: Run, *, exploded: bool) -> Iterator[Finding]:
    """The findings about what is finite.

    Args:
      run: the run; what follows its first lasting damage is not judged.
      exploded: whether an error says already that the training ran away.
    """
    if not exploded:
        found = _exploding(run) or _divergence(run)
        if found is not None:
            yield found
    layers = _layers(run)
    faded = _vanishing(run, layers) or _dead(run, layers)
    if faded is not None:
        yield faded


def _said(
    run: Run,
    cause: str,
    tensor: int,
    first: int,
    last: int,
    evidence: dict[str, float],
    message: str,
    *,
    variant: str = "",
    victims: Sequence[Victim] = (),
) -> Finding:
    place = run.place(tensor)
    key = f"{cause}/{variant}" if variant else cause
    return Finding(
        cause,
        CAUSES[cause],
        first,
        last,
        place,
        tuple(victims),
        evidence,
        message,
        advice(key, place),
    )


def _exploding(run: Run) -> Finding | None:
    limits = run.thresholds
    curve = run.norm("gradient").until(run.damaged_from)
    if _is_short(run, curve) or _improves(run):
        return None
    risen = _risen(curve, limits.growth_decades)
    if risen is None or curve.log10[-1] < np.log10(limits.exploding_norm):
        return None
    tensor = _leading(run, "gradient", int(curve.steps[-1]))
    return _said(
        run,
        "exploding-gradient",
        tensor,
        risen.first,
        int(curve.steps[-1]),
        {"growth_decades": risen.decades, "norm": 10 ** curve.log10[-1]},
        f"The norm of the gradients rises by a factor of {number(10**risen.decades)} from step "
        f"{risen.first:,} on, to {number(10 ** curve.log10[-1])} at step {curve.steps[-1]:,}, "
        f"and does not come back. Largest at the end is {named(run.place(tensor))}.",
    )


def _divergence(run: Run) -> Finding | None:
    limits = run.thresholds
    for role, decades in (("loss", limits.divergence_decades), ("weight", limits.growth_decades)):
        curve = run.norm(role).until(run.damaged_from)
        if _is_short(run, curve):
            continue
        risen = _risen(curve, decades)
        if risen is None or (role == "weight" and curve.log10[-1] < 3):
            continue
        if role == "loss" and _improves(run):
            continue  # A log-likelihood falls below zero, and on.
        tensor = _leading(run, role, int(curve.steps[-1]))
        what = "loss" if role == "loss" else "norm of the weights"
        return _said(
            run,
            "divergence",
            tensor,
            risen.first,
            int(curve.steps[-1]),
            {"growth_decades": risen.decades, "value": 10 ** curve.log10[-1]},
            f"The {what} rises by a factor of {number(10**risen.decades)} over its own start, from "
            f"step {risen.first:,} on, to {number(10 ** curve.log10[-1])} at step "
            f"{curve.steps[-1]:,}, and does not come back.",
        )
    return _amplified(run)


def _amplified(run: Run) -> Finding | None:
    """For values that one layer, or the model, makes out of all proportion to what it is given."""
    limits = run.thresholds
    chain = [t for t in run.flow.of_role("activation", "prediction") if t in run.tracks]
    chain.sort(key=lambda tensor: run.flow.rank[tensor])
    given = [t for t in run.flow.of_role("input", "target") if t in run.tracks]
    if not any(run.history.tensors[tensor].role == "target" for tensor in given):
        return None  # Whole numbers are not recorded, and may be as large.
    scale = max(1.0, *(run.largest(tensor) for tensor in given))
    for tensor in chain:
        track = run.tracks[tensor]
        # A large negative number may be a mask, and is meant.
        magnitude = np.where(track.last < run.damaged_from, track.column("max"), np.nan)
        beyond = np.flatnonzero(magnitude > limits.amplification * scale)
        if len(beyond):
            place, first = run.place(tensor), int(track.last[beyond[0]])
            value = float(np.nanmax(magnitude))
            return _said(
                run,
                "divergence",
                tensor,
                first,
                int(track.last[beyond[-1]]),
                {"largest_magnitude": value, "largest_given": scale},
                f"{sentence(named(place))} reaches {number(value)} at step {first:,} while inputs "
                f"and targets are at most {number(scale)}: finite, but out of all proportion.",
            )
        scale = max(scale, float(np.nanmax(magnitude, initial=0.0)))
    return None


def _is_short(run: Run, curve: Curve) -> bool:
    """Whether a curve is too short to judge a trend by it."""
    limits = run.thresholds
    if len(curve) < limits.trend_records:
        return True
    return bool(curve.steps[-1] - max(curve.steps[0], 0) + 1 < limits.trend_steps)


@dataclass(frozen=True)
class _Rise:
    first: int
    decades: float


def _risen(curve: Curve, decades: float) -> _Rise | None:
    """A rise over the curve's own start that is there at its end; None where it came back."""
    start, end = level(curve, first=True), level(curve, first=False)
    top = curve.log10[-1]
    if end - start >= decades:
        rise = end - start
    elif top - start >= decades and growth(curve, decades, 3, np.inf) is not None:
        rise = top - start
    else:
        return None
    below = np.flatnonzero(curve.log10 < start + 0.3 * rise)
    first = int(curve.steps[below[-1]]) + 1 if len(below) else int(curve.steps[0])
    return _Rise(first, float(rise))


def _improves(run: Run) -> bool:
    """Whether the loss, with its sign, ends below its start."""
    for tensor in run.flow.of_role("loss"):
        if tensor not in run.tracks:
            continue
        track = run.tracks[tensor]
        keep = (track.last < run.damaged_from) & (track.column("sampled_finite") > 0)
        values = track.column("sum")[keep] / track.column("sampled_finite")[keep]
        part = max(3, len(values) // 5)
        return len(values) > 3 and bool(np.median(values[-part:]) < np.median(values[:part]))
    return False


def _leading(run: Run, role: str, step: int) -> int:
    """The tensor of a role with the largest norm in the record that ends at `step`."""
    tensors = [t for t in run.flow.of_role(role) if t in run.tracks]

    def norm(tensor: int) -> float:
        track = run.tracks[tensor]
        index = track.record_at(step)
        return -1.0 if index is None else float(np.nan_to_num(track.column("largest_norm")[index]))

    return max(tensors, key=norm)


@dataclass(frozen=True)
class _Layer:
    """What the gradients of one layer are.

    Attributes:
      name: its path.
      tensor: its gradient with the largest root mean square.
      rms: median over the records, of the largest of its gradients; 0 where they are zeros.
      zero_since: step from which on all its gradients are exactly zero; None where they are not.
      zero_steps: number of steps from then on.
    """

    name: str
    tensor: int
    rms: float
    zero_since: int | None
    zero_steps: int


def _layers(run: Run) -> list[_Layer]:
    """The layers with gradients, in the order of execution, those that are judged alone."""
    by_layer: dict[int, list[int]] = {}
    for tensor in run.flow.of_role("gradient"):
        if tensor in run.tracks and run.flow.depth[tensor] >= 0:
            by_layer.setdefault(int(run.flow.depth[tensor]), []).append(tensor)
    found = []
    for depth in sorted(by_layer):
        judged = [_gradient(run, tensor) for tensor in by_layer[depth]]
        steps = min((len(each.rms) for each in judged), default=0)
        if steps < 1:
            continue
        medians = [float(np.median(each.rms)) for each in judged]
        best = int(np.argmax(medians))
        since = [each.zero_from for each in judged]
        latest = max(since)
        is_zero = latest < len(judged[best].rms)
        found.append(
            _Layer(
                run.flow.layers[depth],
                by_layer[depth][best],
                medians[best],
                int(judged[best].first[latest]) if is_zero else None,
                int(judged[best].last[-1] - judged[best].first[latest]) + 1 if is_zero else 0,
            )
        )
    return found


@dataclass(frozen=True)
class _Gradient:
    """One gradient's history: first and last steps and root mean squares [records]; zeros from
    `zero_from` on."""

    first: np.typing.NDArray[np.int64]
    last: np.typing.NDArray[np.int64]
    rms: np.typing.NDArray[np.float64]
    zero_from: int


def _gradient(run: Run, tensor: int) -> _Gradient:
    track = run.tracks[tensor]
    keep = track.last < run.damaged_from
    rms = track.rms()[keep]
    # By the bits of what was sampled; by the norm of every step that nothing else was there.
    sampled = track.column("sampled_elements")[keep]
    is_zero = (rms == 0) & (track.column("zero")[keep] == sampled)
    nonzero = np.flatnonzero(~is_zero)
    return _Gradient(
        track.first[keep], track.last[keep], rms, int(nonzero[-1]) + 1 if len(nonzero) else 0
    )


def _vanishing(run: Run, layers: Sequence[_Layer]) -> Finding | None:
    limits = run.thresholds
    curve = run.norm("gradient").until(run.damaged_from)
    if len(layers) < limits.vanishing_layers or _is_short(run, curve):
        return None
    rms = np.log10(np.fmax([layer.rms for layer in layers], _TINY))
    part = max(1, len(layers) // 4)
    first, last = float(np.median(rms[:part])), float(np.median(rms[-part:]))
    middle = float(np.median(rms[part:-part]))
    falls_steadily = first < middle < last and float(np.diff(rms).max()) < 0.8 * (last - first)
    if last - first < -np.log10(limits.vanishing_ratio) or not falls_steadily:
        return None
    origin = layers[0]
    track = run.tracks[origin.tensor]
    keep = track.last < run.damaged_from
    return _said(
        run,
        "vanishing-gradient",
        origin.tensor,
        int(track.first[keep][0]),
        int(track.last[keep][-1]),
        {"rms_first_layer": origin.rms, "rms_last_layer": layers[-1].rms, "layers": len(layers)},
        f"The gradients fade on their way back: a root mean square of {number(layers[-1].rms)} in "
        f"{layers[-1].name!r}, of {number(origin.rms)} in {origin.name!r}, over {len(layers):,} "
        "layers. The first layers learn next to nothing.",
    )


def _dead(run: Run, layers: Sequence[_Layer]) -> Finding | None:
    limits = run.thresholds
    dead = [layer for layer in layers if layer.zero_steps >= limits.dead_steps]
    if not dead:
        return None
    origin = dead[-1]  # Nearest to the loss: those before it get nothing through it.
    assert origin.zero_since is not None
    if run.has_converged(origin.zero_since):
        return None
    place = run.place(origin.tensor)
    everywhere = len(dead) == len(layers)
    died = origin.zero_since > run.tracks[origin.tensor].first[0]
    message = f"From step {origin.zero_since:,} on every gradient "
    message += "of the model" if everywhere else f"of layer {origin.name!r}"
    if len(dead) > 1 and not everywhere:
        message += f", and of {len(dead) - 1:,} more,"
    message += " is exactly zero while the loss is not: "
    message += (
        "the loss does not depend on the weights." if everywhere else "no unit lets anything back."
    )
    last = int(
        run.tracks[origin.tensor].last[run.tracks[origin.tensor].last < run.damaged_from][-1]
    )
    return _said(
        run,
        "dead-layer",
        origin.tensor,
        origin.zero_since,
        last,
        {"zero_steps": origin.zero_steps, "layers": len(dead)},
        message,
        variant="loss" if everywhere else "units" if died else "cut",
        victims=[
            Victim(place.role, layer.name, run.place(layer.tensor).tensor, layer.zero_since or 0)
            for layer in dead[:-1]
        ],
    )
