"""Magnitudes: near the limits of their dtype, and data that is not scaled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tb_nanwatch.diagnosis.advice import advice
from tb_nanwatch.diagnosis.curves import LARGEST
from tb_nanwatch.diagnosis.finding import CAUSES, Finding
from tb_nanwatch.diagnosis.run import Run
from tb_nanwatch.diagnosis.runaway import is_of_magnitude
from tb_nanwatch.diagnosis.words import named, number, sentence
from tb_nanwatch.stats.columns import WINDOW_FIELD

_SMALLEST_NORMAL = {
    "float16": 2.0**-14,
    "bfloat16": 2.0**-126,
    "float32": 2.0**-126,
    "float64": 2.0**-1022,
}
_FADING = ("activation_gradient", "gradient")
"""Roles whose small numbers matter: activations and slots near zero are usual."""

_TROUBLE = ("divergence", "range-overflow-risk", "dead-layer")
"""What unscaled data leads to, besides errors about magnitudes."""


def ranges(run: Run, *, overflowed: bool) -> Iterator[Finding]:
    """The findings about dtypes; `overflowed` says that an error tells of an overflow already."""
    if not overflowed:
        risk = _overflow_risk(run)
        if risk is not None:
            yield risk
    underflow = _underflow(run)
    if underflow is not None:
        yield underflow


def unscaled(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """Inputs and targets of large magnitude, where one of `findings` is trouble of magnitudes."""
    trouble = [each for each in findings if is_of_magnitude(each) or each.cause in _TROUBLE]
    if not trouble:
        return
    worst = min(trouble, key=lambda each: each.step)
    for role in ("input", "target"):
        for tensor in run.flow.of_role(role):
            if tensor not in run.tracks:
                continue
            track = run.tracks[tensor]
            magnitude = track.magnitude()
            large = np.flatnonzero(magnitude >= run.thresholds.unscaled_magnitude)
            if not len(large) or track.first[large[0]] > worst.last_step:
                continue
            place, largest = run.place(tensor), float(np.nanmax(magnitude))
            yield Finding(
                f"unscaled-{role}",
                CAUSES[f"unscaled-{role}"],
                int(track.last[large[0]]),
                int(track.last[large[-1]]),
                place,
                (),
                {"largest_magnitude": largest},
                f"{sentence(named(place))} reaches a magnitude of {number(largest)}: large enough "
                f"to lead to the trouble at step {worst.step:,} ({worst.cause}).",
                advice(f"unscaled-{role}", place),
            )


def _overflow_risk(run: Run) -> Finding | None:
    found = []
    for tensor, track in run.tracks.items():
        info = run.history.tensors[tensor]
        limit = LARGEST.get(info.dtype)
        if limit is None:
            continue
        # Of what layers give, a large negative number may be a mask, and is meant.
        is_output = info.role in ("activation", "prediction")
        magnitude = track.column("max") if is_output else track.magnitude()
        edge = limit / 10**run.thresholds.overflow_decades
        squares = info.role == "gradient" and info.dtype != "float16"
        if squares:  # What an optimizer like Adam makes of it.
            edge = float(np.sqrt(limit)) / 10**run.thresholds.overflow_decades
        beyond = np.flatnonzero((magnitude >= edge) & (track.last < run.damaged_from))
        if len(beyond):
            first, last = int(track.last[beyond[0]]), int(track.last[beyond[-1]])
            value = float(np.max(magnitude[beyond]))
            found.append((first, run.flow.rank[tensor], tensor, last, value, limit, squares))
    if not found:
        return None
    first, _, tensor, last, value, limit, squares = min(found)
    place, dtype = run.place(tensor), run.history.tensors[tensor].dtype
    of_what = "the root of the largest number" if squares else "the largest number"
    return Finding(
        "range-overflow-risk",
        CAUSES["range-overflow-risk"],
        first,
        last,
        place,
        tuple(run.victim(each[2], each[0]) for each in sorted(found)[1:]),
        {"largest_magnitude": value, "dtype_largest": limit},
        f"{sentence(named(place))} reaches {number(value)} from step {first:,} on: within a decade "
        f"of {of_what} of {dtype}"
        + (", beyond which an optimizer cannot square it." if squares else f", {number(limit)}."),
        advice("range-overflow-risk", place),
    )


def _underflow(run: Run) -> Finding | None:
    limits = run.thresholds
    is_half = _computes_in_half(run)
    found = []
    for tensor in run.flow.of_role(*_FADING):
        track = run.tracks.get(tensor)
        role, dtype = run.history.tensors[tensor].role, run.history.tensors[tensor].dtype
        if track is None or dtype not in _SMALLEST_NORMAL:
            continue
        if dtype == "float16" and not is_half:
            continue  # Recorded without the loss scale that keeps it in range.
        nonzero = track.column("sampled_elements") - track.column("zero")
        keep = (track.last < run.damaged_from) & (nonzero > 0)
        if np.count_nonzero(keep) < limits.underflow_records:
            continue
        share = float(np.median(track.column("subnormal")[keep] / nonzero[keep]))
        per_step = nonzero[keep] / track.column("sampled_steps")[keep]
        typical = float(np.median(track.column("largest_norm")[keep] / np.sqrt(per_step)))
        if share >= limits.underflow_share:
            found.append((tensor, share, typical, dtype))
        elif (
            is_half
            and (role, dtype) == ("gradient", "float32")
            and typical < _SMALLEST_NORMAL["float16"]
        ):
            # A float32 variable of a layer that computes in float16: its gradient was one. (The
            # gradient that arrives at a float32 layer was none.)
            found.append((tensor, share, typical, "float16"))
    if not found or run.has_converged():
        return None
    tensor, share, typical, dtype = min(found, key=lambda each: each[2])
    track, place, smallest = run.tracks[tensor], run.place(tensor), _SMALLEST_NORMAL[dtype]
    return Finding(
        "range-underflow",
        CAUSES["range-underflow"],
        int(track.first[0]),
        int(track.last[-1]),
        place,
        tuple(run.victim(each, int(run.tracks[each].first[0])) for each, *_ in found[1:]),
        {"subnormal_share": share, "typical_magnitude": typical, "smallest_normal": smallest},
        f"{sentence(named(place))} has non-zero elements of typically {number(typical)}, below "
        f"{number(smallest)}, the smallest normal number of {dtype}: they lose their digits and "
        "then become zero.",
        advice("range-underflow" if dtype == "float16" else "range-underflow/float32", place),
    )


def _computes_in_half(run: Run) -> bool:
    """Whether layers compute in float16 without a loss scale."""
    scales = [panel.windows[:, WINDOW_FIELD["loss_scale"]] for panel in run.panels]
    is_scaled = any(not np.isnan(each).all() for each in scales)
    computed = run.flow.of_role("activation", "prediction", "activation_gradient", "gradient")
    return not is_scaled and any(run.history.tensors[t].dtype == "float16" for t in computed)
