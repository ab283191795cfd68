"""Where two runs part: the first step and tensor that differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from tb_nanwatch.diagnosis.finding import Place
from tb_nanwatch.format.history import History, Series
from tb_nanwatch.format.roles import FLOW
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD
from tb_nanwatch.stats.record import Matrix

Steps = npt.NDArray[np.int64]

_NONFINITE = [COLUMN["nan"], COLUMN["pos_inf"], COLUMN["neg_inf"]]
_NEVER = 2**62
"""A step after all steps."""


@dataclass(frozen=True)
class Parting:
    """The first difference of two runs.

    Attributes:
      step: the step; or the first of those among which it is, where the runs' records do not tell.
      last_step: the last of those.
      is_initial: whether the runs differ before `step` already, in the state that it finds.
      place: the tensor, the earliest in the flow of data of those that part there.
      kind: "nonfinite" where it is non-finite in one run alone, or "norm".
      values: of each run: non-finite elements, or the root of the mean square of the finite ones.
      relative_difference: of the two norms, 0 to 1; 1 for "nonfinite".
      tensors: how many tensors part there, this one among them.
    """

    step: int
    last_step: int
    is_initial: bool
    place: Place
    kind: Literal["nonfinite", "norm"]
    values: tuple[float, float]
    relative_difference: float
    tensors: int


@dataclass(frozen=True)
class Comparison:
    """What came of comparing two runs.

    Attributes:
      tolerance: the relative difference of norms from which on they part.
      first_step: of those that both runs recorded; None where there is none.
      last_step: likewise.
      norm_steps: at how many of them norms could be compared, as both runs have records that begin
        and end there.
      tensors: how many tensors both runs have.
      only: how many tensors only the one and only the other has.
      parting: their first difference; None where there is none.
    """

    tolerance: float
    first_step: int | None
    last_step: int | None
    norm_steps: int
    tensors: int
    only: tuple[int, int]
    parting: Parting | None

    def to_json(self) -> dict[str, Any]:
        """`comparison` in `nanwatch report --json`, but for the names of the runs."""
        parting = None
        if self.parting is not None:
            place = self.parting.place
            parting = {
                "step": self.parting.step,
                "last_step": self.parting.last_step,
                "initial": self.parting.is_initial,
                "kind": self.parting.kind,
                "role": place.role,
                "layer": place.layer,
                "tensor": place.tensor,
                **({"worker": place.worker} if place.worker else {}),
                "values": list(self.parting.values),
                "relative_difference": self.parting.relative_difference,
                "tensors": self.parting.tensors,
            }
        return {
            "tolerance": self.tolerance,
            "first_step": self.first_step,
            "last_step": self.last_step,
            "norm_steps": self.norm_steps,
            "tensors": self.tensors,
            "only": list(self.only),
            "parting": parting,
        }


@dataclass(frozen=True)
class _Stream:
    """All records of the same tensors, disjoint and ascending.

    Attributes:
      rows: int64 [rows], index in `History.tensors`.
      first: int64 [records].
      last: int64 [records].
      columns: float64 [records, rows, len(COLUMNS)].
    """

    rows: Steps
    first: Steps
    last: Steps
    columns: Matrix


@dataclass(frozen=True, order=True)
class _Difference:
    """How one tensor differs somewhere; the least is where runs part.

    Attributes:
      is_later: than the state before the first step.
      last_step: of the steps among which it is. A norm that differs within steps 32 to 47 comes
        after a NaN of step 37, which may be its reason, and before one of step 48.
      is_finite: whether it is a norm that differs.
      step: the first of those steps.
      flow: place of the tensor's role in the flow of data.
      tensor: index in the left run.
      values: of both runs.
      relative: difference of the norms.
    """

    is_later: bool
    last_step: int
    is_finite: bool
    step: int
    flow: int
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
      tolerance: relative difference of norms, |a - b| / max(a, b), beyond which they part.
    """
    common = _common(left, right)
    found: list[_Difference] = []
    norm_steps = 0
    for is_later, ours, theirs in (
        (False, left.initial, right.initial),
        (True, left.series, right.series),
    ):
        found += _nonfinite_alone(left, common, ours, theirs, is_later)
        others = list(_streams(theirs))
        for one in _streams(ours):
            for other in others:
                rows = _common_rows(common, one, other)
                stretches = _common_stretches(one, other) if len(rows) else []
                if stretches:
                    found += _norms_apart(left, one, other, rows, stretches, tolerance, is_later)
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
        parting=_parting(left, found),
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
        said = each.columns[..., COLUMN["first_nonfinite_step"]]
        # Infinities that a loss-scaling optimizer handled have no such step.
        bad = (counts > 0) & ~np.isnan(said)
        span = _span([each])
        for row, tensor in enumerate(each.rows.tolist()):
            known = health.setdefault(tensor, _Health())
            known.first, known.last = min(known.first, span[0]), max(known.last, span[1])
            if bad[:, row].any():
                at = int(np.where(bad[:, row], said[:, row], np.inf).argmin())
                if said[at, row] < known.step:
                    known.step, known.elements = int(said[at, row]), float(counts[at, row])
    return health


def _nonfinite_alone(
    left: History,
    common: Mapping[int, int],
    ours: Sequence[Series],
    theirs: Sequence[Series],
    is_later: bool,
) -> Iterator[_Difference]:
    """The tensors that one run has non-finite at a step at which the other has them finite."""
    health = _health(ours), _health(theirs)
    for tensor, other in common.items():
        if tensor not in health[0] or other not in health[1]:
            continue
        one, two = health[0][tensor], health[1][other]
        step = min(one.step, two.step)
        if one.step != two.step and max(one.first, two.first) <= step <= min(one.last, two.last):
            yield _Difference(
                is_later=is_later,
                last_step=step,
                is_finite=False,
                step=step,
                flow=_flow(left, tensor),
                tensor=tensor,
                values=(
                    one.elements if one.step == step else 0.0,
                    two.elements if two.step == step else 0.0,
                ),
                relative=1.0,
            )


def _flow(history: History, tensor: int) -> int:
    return FLOW.get(history.tensors[tensor].role, len(FLOW))


def _streams(series: Iterable[Series]) -> Iterator[_Stream]:
    """The series, those of the same tensors together."""
    by_rows: dict[bytes, list[Series]] = {}
    for each in series:
        by_rows.setdefault(each.rows.tobytes(), []).append(each)
    for parts in by_rows.values():
        windows = np.concatenate([part.windows for part in parts])
        columns = np.concatenate([part.columns for part in parts])
        first, last = (windows[:, WINDOW_FIELD[name]] for name in ("first_step", "last_step"))
        order = np.argsort(first, kind="stable")
        yield _Stream(
            parts[0].rows,
            first[order].astype(np.int64),
            last[order].astype(np.int64),
            columns[order],
        )


def _common_rows(common: Mapping[int, int], one: _Stream, other: _Stream) -> Steps:
    """Rows of the same tensors in two streams, int64 [tensors, 2]."""
    place = {tensor: row for row, tensor in enumerate(other.rows.tolist())}
    pairs = [
        (row, place[common[tensor]])
        for row, tensor in enumerate(one.rows.tolist())
        if common.get(tensor) in place
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


class _Stretch(NamedTuple):
    """Steps that whole records of both runs make up: from `begin` to `end` - 1 of each."""

    first: int
    last: int
    begin: tuple[int, int]
    end: tuple[int, int]


def _common_stretches(one: _Stream, other: _Stream) -> list[_Stretch]:
    """The shortest stretches of steps that both streams cover with whole records."""
    first = one.first.tolist(), other.first.tolist()
    last = one.last.tolist(), other.last.tolist()
    at = [0, 0]
    stretches = []
    while at[0] < len(first[0]) and at[1] < len(first[1]):
        starts = first[0][at[0]], first[1][at[1]]
        if starts[0] != starts[1]:
            at[starts[0] > starts[1]] += 1
            continue
        begin, end = tuple(at), list(at)
        while last[0][end[0]] != last[1][end[1]]:
            side = int(last[0][end[0]] > last[1][end[1]])
            step = last[side][end[side]]
            end[side] += 1
            if end[side] == len(first[side]) or first[side][end[side]] != step + 1:
                break  # A gap before both end together.
        else:
            stretches.append(
                _Stretch(starts[0], last[0][end[0]], (begin[0], begin[1]), (end[0] + 1, end[1] + 1))
            )
            end = [end[0] + 1, end[1] + 1]
        at = end
    return stretches


def _pooled(
    stream: _Stream, rows: Steps, stretches: Sequence[_Stretch], side: int
) -> tuple[Matrix, Matrix]:
    """Root of the mean square and largest norm over each stretch, both [stretches, tensors]."""
    begin = np.array([stretch.begin[side] for stretch in stretches])
    end = np.array([stretch.end[side] for stretch in stretches])
    at = np.stack([begin, end], axis=1).reshape(-1)

    def pool(ufunc: np.ufunc, name: str) -> Matrix:
        values = stream.columns[:, rows, COLUMN[name]]
        # Every other result is of a stretch; one record more, so that every end is an index.
        pooled: Matrix = ufunc.reduceat(np.concatenate([values, values[-1:]]), at, axis=0)[::2]
        return pooled

    elements = np.maximum(pool(np.add, "elements"), 1)
    rms = np.sqrt(pool(np.add, "sum_squares") / elements)
    return rms, np.nan_to_num(pool(np.fmax, "largest_norm"))


def _relative(ours: Matrix, theirs: Matrix) -> Matrix:
    """|a - b| / max(a, b); 0 where both are the same, and 1 where one alone is infinite."""
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.abs(ours - theirs) / np.maximum(ours, theirs)
    return np.where(ours == theirs, 0.0, np.nan_to_num(share, nan=1.0))


def _norms_apart(
    left: History,
    one: _Stream,
    other: _Stream,
    rows: Steps,
    stretches: Sequence[_Stretch],
    tolerance: float,
    is_later: bool,
) -> Iterator[_Difference]:
    """The tensors whose norms part in the first stretch in which any of these do."""
    rms, norm = zip(
        _pooled(one, rows[:, 0], stretches, 0),
        _pooled(other, rows[:, 1], stretches, 1),
        strict=True,
    )
    relative = np.maximum(_relative(*rms), _relative(*norm))
    parted = relative > tolerance
    if not parted.any():
        return
    at = int(parted.any(axis=1).argmax())
    for column in np.flatnonzero(parted[at]).tolist():
        tensor = int(one.rows[rows[column, 0]])
        yield _Difference(
            is_later=is_later,
            last_step=stretches[at].last,
            is_finite=True,
            step=stretches[at].first,
            flow=_flow(left, tensor),
            tensor=tensor,
            values=(float(rms[0][at, column]), float(rms[1][at, column])),
            relative=float(relative[at, column]),
        )


def _parting(left: History, found: Sequence[_Difference]) -> Parting | None:
    if not found:
        return None
    least = min(found)
    info = left.tensors[least.tensor]
    return Parting(
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
