"""`range-overflow-risk`, `range-underflow`: magnitudes near the limits of their dtype."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.rules.growth import is_overflow
from tb_nanwatch.diagnosis.rules.trend_finding import finding_of_trend
from tb_nanwatch.stats.columns import WINDOW_FIELD
from tb_nanwatch.stats.floats import COMPONENT, FORMATS, float_format
from tb_nanwatch.stats.histogram import upper_bounds

_COMPUTED = ("activation", "prediction", "activation_gradient", "gradient")
_HALF = FORMATS["float16"]


def overflow_risk(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """One finding at most; none where an error is of an overflow already."""
    if any(map(is_overflow, findings)):
        return
    decade = 10**run.thresholds.overflow_decades
    found = []
    optimizers = run.history.model.optimizers
    clips = bool(optimizers) and all(each.clipvalue is not None for each in optimizers)
    for tensor, history in run.histories.items():
        info = run.info(tensor)
        if info.dtype not in COMPONENT:
            continue
        limit = float_format(info.dtype).largest
        # Of what layers return, a large negative number may be a mask, and is meant.
        is_output = info.role in ("activation", "prediction")
        magnitude = history.column("max") if is_output else history.magnitude()
        # What an optimizer like Adam makes of a gradient is its square, unless it clips it before.
        squares = info.role == "gradient" and info.dtype != "float16" and not clips
        edge = (float(np.sqrt(limit)) if squares else limit) / decade
        beyond = np.flatnonzero((magnitude >= edge) & (history.last < run.damaged_from))
        if len(beyond):
            first, last = int(history.last[beyond[0]]), int(history.last[beyond[-1]])
            value = float(np.max(magnitude[beyond]))
            rank = float(run.order.execution_rank[tensor])
            found.append((first, rank, tensor, last, value, limit, squares))
    if not found:
        return
    first, _, tensor, last, value, limit, squares = min(found)
    yield finding_of_trend(
        run,
        "range-overflow-risk",
        tensor,
        (first, last),
        {"largest_magnitude": value, "dtype_largest": limit},
        variant="squares" if squares else "",
        related={"dtype": run.info(tensor).dtype},
        affected=tuple(run.affected(each[2], each[0]) for each in sorted(found)[1:]),
    )


def underflow(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """One finding at most, of gradients: activations and slots near zero are usual."""
    limits, is_half = run.thresholds, _computes_in_half(run)
    found = []
    for tensor in run.recorded("activation_gradient", "gradient"):
        history, role, dtype = run.histories[tensor], run.info(tensor).role, run.info(tensor).dtype
        if dtype not in COMPONENT or (dtype == "float16" and not is_half):
            continue  # Recorded without the loss scale that keeps it in range.
        nonzero = history.column("sampled_elements") - history.column("zero")
        keep = (history.last < run.damaged_from) & (nonzero > 0)
        if np.count_nonzero(keep) < limits.underflow_records:
            continue
        share = float(np.median(history.column("subnormal")[keep] / nonzero[keep]))
        per_step = nonzero[keep] / np.fmax(history.column("sampled_steps")[keep], 1)
        rms = history.column("largest_norm")[keep] / np.sqrt(per_step)
        typical = float(np.median(rms))
        record = int(np.flatnonzero(keep)[np.argsort(rms)[len(rms) // 2]])
        smallest = float_format(dtype).smallest_normal
        # In a heavy-tailed gradient the many small elements do not matter.
        if share >= limits.underflow_share and typical < limits.underflow_rms * smallest:
            found.append((typical, tensor, share, dtype, record))
        elif (
            is_half and (role, dtype) == ("gradient", "float32") and typical < _HALF.smallest_normal
        ):
            # A float32 variable of a layer that computes in float16: its gradient was one. (The
            # gradient that arrives at a float32 layer was none.)
            found.append((typical, tensor, share, "float16", record))
    if not found or run.has_converged():
        return
    typical, tensor, share, dtype, record = min(found)
    history = run.histories[tensor]
    smallest = float_format(dtype).smallest_normal
    yield finding_of_trend(
        run,
        "range-underflow",
        tensor,
        (int(history.first[0]), int(history.last[-1])),
        {
            "subnormal_share": share,
            "rms": typical,
            "smallest_normal": smallest,
            **_percentiles(run, tensor, record),
        },
        variant="float16" if dtype == "float16" else "float32",
        related={"dtype": dtype},
        affected=tuple(
            run.affected(other, int(run.histories[other].first[0]))
            for _, other, *_ in found
            if other != tensor
        ),
    )


def _percentiles(run: Run, tensor: int, record: int) -> dict[str, float]:
    """What half and what 99 % of the non-zero elements are below, from a record's histogram.

    Empty where it has none.
    """
    history = run.histories[tensor]
    steps = int(history.first[record]), int(history.last[record])
    subnormal = int(history.column("subnormal")[record])
    layout = float_format(run.info(tensor).dtype)
    codes, counts = run.history.histogram(tensor, *steps)
    if not len(codes) + subnormal:
        return {}
    half, most = upper_bounds(layout, codes, counts, subnormal, (0.5, 0.99))
    return {"half_below": half, "99_percent_below": most}


def _computes_in_half(run: Run) -> bool:
    """Whether layers compute in float16 without a loss scale."""
    scales = [matrix.windows[:, WINDOW_FIELD["loss_scale"]] for matrix in run.matrices]
    is_scaled = any(not np.isnan(each).all() for each in scales)
    computed = run.order.of_role(*_COMPUTED)
    return not is_scaled and any(run.info(t).dtype == "float16" for t in computed)
