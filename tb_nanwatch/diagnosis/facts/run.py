"""One run as the rules look at it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from tb_nanwatch.diagnosis.facts.causal_chain import CausalChain, Event
from tb_nanwatch.diagnosis.facts.curves import Curve, norm_curve
from tb_nanwatch.diagnosis.facts.layers import Layers
from tb_nanwatch.diagnosis.facts.nonfinite_intervals import (
    NEVER,
    NonfiniteIntervals,
    find_nonfinite_intervals,
)
from tb_nanwatch.diagnosis.facts.step_order import step_order
from tb_nanwatch.diagnosis.facts.tensor_history import record_matrices, tensor_histories
from tb_nanwatch.diagnosis.finding import Affected, Place
from tb_nanwatch.diagnosis.thresholds import Thresholds
from tb_nanwatch.format.history import History
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD


class Run:
    """A history with what every rule asks of it. Tensors are indices in `History.tensors`.

    Attributes:
      history: what was recorded.
      thresholds: what the rules compare with.
      order: the order of the tensors within a step.
      layers: what each layer is.
      matrices: the records by tensors that share them.
      histories: the records of each tensor that was seen in one.
      intervals: when each tensor was non-finite, loss scaling left out.
    """

    def __init__(self, history: History, thresholds: Thresholds):
        self.history, self.thresholds = history, thresholds
        self.order = step_order(history.tensors, history.model)
        self.layers = Layers(history.model)
        self.matrices = record_matrices(history)
        self.histories = tensor_histories(self.matrices)
        self._norms: dict[str, Curve] = {}
        self.intervals: NonfiniteIntervals = find_nonfinite_intervals(
            history, self.matrices, is_state=self.order.is_state
        )

    @cached_property
    def events(self) -> Sequence[Event]:
        """What became non-finite of itself, by step and by the order within it."""
        optimizers = self.history.model.optimizers
        kept = max((each.gradient_accumulation_steps for each in optimizers), default=0)
        return CausalChain(self.order, self.intervals, self.histories, kept).events

    def info(self, tensor: int) -> TensorInfo:
        """What the tensor is."""
        return self.history.tensors[tensor]

    def recorded(self, *roles: str) -> list[int]:
        """The tensors of these roles that were seen, in model order."""
        return [tensor for tensor in self.order.of_role(*roles) if tensor in self.histories]

    def integers(self, role: str) -> list[int]:
        """The inputs or targets in whole numbers that were seen, in model order."""
        return [tensor for tensor in self.order.integers(role) if tensor in self.histories]

    def seen_at(self, step: int, *roles: str) -> list[int]:
        """Those of them that were seen at this very step."""
        return [t for t in self.recorded(*roles) if self.histories[t].saw(step)]

    def bad_at(self, step: int) -> set[int]:
        """The tensors that are non-finite at a step, as far as intervals tell."""
        spans = self.intervals
        return set(spans.tensor[(spans.first <= step) & (spans.last >= step)].tolist())

    @cached_property
    def damaged_from(self) -> int:
        """The step from which on a trained weight or slot stays non-finite; NEVER for none."""
        spans = self.intervals
        lasting = self.order.is_trained[spans.tensor] & (spans.recovered_at == NEVER)
        return int(spans.first[lasting].min(initial=NEVER))

    def has_converged(self, since: int = 0) -> bool:
        """Whether the loss ends near zero, where small and zero gradients are what is wanted.

        Judged over the last five records that begin at `since` or later.
        """
        ends = [
            float(np.median(norms[-5:]))
            for history in (self.histories[tensor] for tensor in self.recorded("loss"))
            if len(norms := np.nan_to_num(history.column("largest_norm"))[history.first >= since])
        ]
        return bool(ends) and max(ends) <= self.thresholds.converged_loss

    def largest(self, tensor: int) -> float:
        """The largest finite magnitude of a tensor over all records; 0 for none."""
        return float(np.nanmax(self.histories[tensor].magnitude(), initial=0.0))

    def place(self, tensor: int, layer: str | None = None) -> Place:
        """Of a tensor; `layer` instead of its own where that made what is seen on the tensor."""
        info = self.info(tensor)
        worker = self.history.workers[tensor]
        return Place(info.role, info.layer if layer is None else layer, info.name, worker)

    def affected(self, tensor: int, step: int) -> Affected:
        """The tensor as one that something spread to at that step."""
        place = self.place(tensor)
        return Affected(place.role, place.layer, place.tensor, step, place.worker)

    def norm(self, role: str) -> Curve:
        """The norm of all tensors of a role together, without untrained weights."""
        if role not in self._norms:
            tensors = [
                tensor
                for tensor in self.recorded(role)
                if role != "weight" or self.order.is_trained[tensor]
            ]
            curve = norm_curve(self.histories[tensor] for tensor in tensors)
            self._norms[role] = self._with_initial(curve, tensors) if role == "weight" else curve
        return self._norms[role]

    def _with_initial(self, curve: Curve, tensors: Sequence[int]) -> Curve:
        """The curve with the norm before the first step of all in front, where that is known."""
        if not self.history.initial:
            return curve
        first = self.history.initial[0]
        rows = np.isin(first.rows, tensors)
        step = int(first.windows[0, WINDOW_FIELD["first_step"]]) - 1
        norm = float(np.linalg.norm(np.nan_to_num(first.columns[0, rows, COLUMN["largest_norm"]])))
        if norm <= 0 or (len(curve) and curve.steps[0] <= step):
            return curve
        return Curve(
            np.concatenate([[step], curve.steps]), np.concatenate([[np.log10(norm)], curve.log10])
        )

    def magnitude(self, tensors: Iterable[int], step: int) -> float:
        """Largest finite magnitude of these tensors in the last two records up to `step`; NaN
        where none is known."""
        found = [
            np.fmax.reduce(history.magnitude()[history.first <= step][-2:])
            for tensor in tensors
            if (history := self.histories.get(tensor)) is not None and np.any(history.first <= step)
        ]
        return float(np.fmax.reduce(found)) if found else float("nan")

    def dtype(self, tensors: Sequence[int]) -> str:
        """The narrowest dtype of these tensors; "float32" for none."""
        names = [self.info(tensor).dtype for tensor in tensors]
        for name in ("float16", "bfloat16", "float32", "complex64", "float64", "complex128"):
            if name in names:
                return name
        return "float32"
