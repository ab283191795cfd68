"""The first difference of two runs: the first step and tensor that differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tb_nanwatch.diagnosis.comparison import Comparison, Difference
from tb_nanwatch.diagnosis.facts.common_stretches import (
    Stream,
    Stretch,
    common_stretches,
    pooled,
    streams,
)
from tb_nanwatch.diagnosis.facts.tensor_history import Steps
from tb_nanwatch.diagnosis.finding import Place
from tb_nanwatch.format.history import History, Series
from tb_nanwatch.format.roles import FLOW
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD
from tb_nanwatch.stats.record import Matrix

_NONFINITE = [COLUMN["nan"], COLUMN["pos_inf"], COLUMN["neg_inf"]]
_NEVER = 2**62
"""A step after all steps."""


@dataclass(frozen=True, order=True)
class _Candidate:
    """How one tensor differs somewhere; the least is the first difference.

    Attributes:
      is_later: than the state before the first step.
      last_step: of the steps among which it is. A norm that differs within steps 32 to 47 comes
        after a NaN of step 37, which may be its reason, and before one of step 48.
      is_finite: whether it is a norm that differs.
      step: the first of those steps.
      rank: place of the tensor's role in a step.
      tensor: index in the left run.
      values: of both runs.
      relative: difference of the norms.
    """

    is_later: bool
    last_step: int
    is_finite: bool
    step: int
    rank: int
    tensor: int
    values: tuple[float, float]
    relative: float


def compare(left: History, right: History, *, tolerance: float) -> Comparison:
    """Compares the tensors that two runs have in common, step by step.

    What is non-finite is compared at every step that both runs recorded. Norms are compared over
    stretches of steps that whole records of both runs make up: the root of the mean square of the
    finite elements, and the largest norm at one step.

    Args:
      left: one run.
      right: the other.
      tolerance: relative difference of norms, |a - b| / max(a, b), beyond which they differ.
    """
    common = _common(left, right)
    found: list[_Candidate] = []
    norm_steps = 0
    for is_later, ours, theirs in (
        (False, left.initial, right.initial),
        (True, left.series, right.series),
    ):
        found += _nonfinite_alone(left, common, ours, theirs, is_later)
        others = list(streams(theirs))
        for one in streams(ours):
            for other in others:
                rows = _common_rows(common, one, other)
                stretches = common_stretches(one, other) if len(rows) else []
                if stretches:
                    found += _different_norms(
                        left, one, other, rows, stretches, tolerance, is_later
                    )
                if is_later:
                    norm_steps = max(norm_steps, sum(s.last - s.first + 1 for s in stretches))
    spans = _span(left.series), _span(right.series)
    first = max(span[0] for span in spans)
    last = min(span[1] for span in spans)
    return Comparison(
        tolerance=tolerance,
        first_step=first if first <= last and common else None,
        last_step=last if first <= last and common else None,
        norm_steps=norm_steps,
        tensors=len(common),
        only=(len(left.tensors) - len(common), len(right.tensors) - len(common)),
        first_difference=_first(left, found),
    )


def _common(left: History, right: History) -> dict[int, int]:
    """Index in `right` of each tensor of `left` that both have: same role, name and worker."""

    def keys(history: History) -> Iterator[tuple[tuple[str, str, str], int]]:
        seen = set()
        named = zip(history.tensors, history.workers, strict=True)
        for index, (tensor, worker) in enumerate(named):
            key = tensor.role, tensor.name, worker
            if key not in seen:
                seen.add(key)
                yield key, index

    theirs = dict(keys(right))
    return {index: theirs[key] for key, index in keys(left) if key in theirs}


def _span(series: Iterable[Series]) -> tuple[int, int]:
    """First and last step of all records; the first beyond the last where there is none."""
    windows = [each.windows for each in series if len(each.windows)]
    if not windows:
        return _NEVER, -_NEVER
    first = min(window[:, WINDOW_FIELD["first_step"]].min() for window in windows)
    last = max(window[:, WINDOW_FIELD["last_step"]].max() for window in windows)
    return int(first), int(last)


@dataclass
class _Health:
    """Of one tensor: the steps recorded, its first non-finite one, and the elements there."""

    first: int = _NEVER
    last: int = -_NEVER
    step: int = _NEVER
    elements: float = 0.0


def _health(series: Iterable[Series]) -> dict[int, _Health]:
    health: dict[int, _Health] = {}
    for each in series:
        counts = each.columns[..., _NONFINITE].sum(axis=-1)
        first_bad = each.columns[..., COLUMN["first_nonfinite_step"]]
        # Infinities that a loss-scaling optimizer handled have no such step.
        bad = (counts > 0) & ~np.isnan(first_bad)
        span = _span([each])
        for row, tensor in enumerate(each.rows.tolist()):
            known = health.setdefault(tensor, _Health())
            known.first, known.last = min(known.first, span[0]), max(known.last, span[1])
            if bad[:, row].any():
                at = int(np.where(bad[:, row], first_bad[:, row], np.inf).argmin())
                if first_bad[at, row] < known.step:
                    known.step, known.elements = int(first_bad[at, row]), float(counts[at, row])
    return health


def _nonfinite_alone(
    left: History,
    common: Mapping[int, int],
    ours: Sequence[Series],
    theirs: Sequence[Series],
    is_later: bool,
) -> Iterator[_Candidate]:
    """The tensors that one run has non-finite at a step at which the other has them finite."""
    health = _health(ours), _health(theirs)
    for tensor, other in common.items():
        if tensor not in health[0] or other not in health[1]:
            continue
        one, two = health[0][tensor], health[1][other]
        step = min(one.step, two.step)
        if one.step != two.step and max(one.first, two.first) <= step <= min(one.last, two.last):
            yield _Candidate(
                is_later=is_later,
                last_step=step,
                is_finite=False,
                step=step,
                rank=_rank(left, tensor),
                tensor=tensor,
                values=(
                    one.elements if one.step == step else 0.0,
                    two.elements if two.step == step else 0.0,
                ),
                relative=1.0,
            )


def _rank(history: History, tensor: int) -> int:
    return FLOW.get(history.tensors[tensor].role, len(FLOW))


def _common_rows(common: Mapping[int, int], one: Stream, other: Stream) -> Steps:
    """Rows of the same tensors in two streams, int64 [tensors, 2]."""
    place = {tensor: row for row, tensor in enumerate(other.rows.tolist())}
    pairs = [
        (row, place[common[tensor]])
        for row, tensor in enumerate(one.rows.tolist())
        if common.get(tensor) in place
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


def _relative(ours: Matrix, theirs: Matrix) -> Matrix:
    """|a - b| / max(a, b); 0 where both are the same, and 1 where one alone is infinite."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.abs(ours - theirs) / np.maximum(ours, theirs)
    return np.where(ours == theirs, 0.0, np.nan_to_num(share, nan=1.0))


def _different_norms(
    left: History,
    one: Stream,
    other: Stream,
    rows: Steps,
    stretches: Sequence[Stretch],
    tolerance: float,
    is_later: bool,
) -> Iterator[_Candidate]:
    """The tensors whose norms differ in the first stretch in which any of these do."""
    rms, norm = zip(
        pooled(one, rows[:, 0], stretches, 0),
        pooled(other, rows[:, 1], stretches, 1),
        strict=True,
    )
    relative = np.maximum(_relative(*rms), _relative(*norm))
    differs = relative > tolerance
    if not differs.any():
        return
    at = int(differs.any(axis=1).argmax())
    for column in np.flatnonzero(differs[at]).tolist():
        tensor = int(one.rows[rows[column, 0]])
        yield _Candidate(
            is_later=is_later,
            last_step=stretches[at].last,
            is_finite=True,
            step=stretches[at].first,
            rank=_rank(left, tensor),
            tensor=tensor,
            values=(float(rms[0][at, column]), float(rms[1][at, column])),
            relative=float(relative[at, column]),
        )


def _first(left: History, found: Sequence[_Candidate]) -> Difference | None:
    if not found:
        return None
    least = min(found)
    info = left.tensors[least.tensor]
    return Difference(
        step=least.step,
        last_step=least.last_step,
        is_initial=not least.is_later,
        place=Place(info.role, info.layer, info.name, left.workers[least.tensor]),
        kind="norm" if least.is_finite else "nonfinite",
        values=least.values,
        relative_difference=least.relative,
        tensors=sum(
            (each.is_later, each.last_step, each.is_finite)
            == (least.is_later, least.last_step, least.is_finite)
            for each in found
        ),
    )
