"""One run as the rules look at it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from tb_nanwatch.diagnosis.curves import Curve, norm_curve
from tb_nanwatch.diagnosis.finding import Place, Victim
from tb_nanwatch.diagnosis.flow import flow
from tb_nanwatch.diagnosis.spells import NEVER, Spells, find_spells
from tb_nanwatch.diagnosis.thresholds import Thresholds
from tb_nanwatch.diagnosis.tracks import panels, tracks
from tb_nanwatch.format.history import History
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD


class Run:
    """A history with what every rule asks of it.

    Attributes:
      history: what was recorded.
      thresholds: what the rules compare with.
      flow: where each tensor stands in a step.
      panels: the records by tensors that share them.
      tracks: the records of each tensor that has any.
      spells: when each tensor was non-finite, loss scaling left out.
    """

    def __init__(self, history: History, thresholds: Thresholds):
        self.history, self.thresholds = history, thresholds
        self.flow = flow(history.tensors)
        self.panels = panels(history)
        self.tracks = tracks(self.panels)
        self._norms: dict[str, Curve] = {}
        self.spells: Spells = find_spells(history, self.panels, is_state=self.flow.is_state)

    @cached_property
    def last_step(self) -> int:
        return max((int(panel.last.max()) for panel in self.panels), default=0)

    @cached_property
    def damaged_from(self) -> int:
        """The step from which on a trained weight or slot stays non-finite; NEVER for none."""
        lasting = self.flow.is_trained[self.spells.tensor] & (self.spells.healed == NEVER)
        return int(self.spells.first[lasting].min(initial=NEVER))

    def has_converged(self, since: int = 0) -> bool:
        """Whether the loss ends near zero, where small and zero gradients are what is wanted.

        Judged over the last five records that begin at `since` or later.
        """
        tensors = [t for t in self.flow.of_role("loss") if t in self.tracks]
        ends = [
            float(np.median(norms[-5:]))
            for track in (self.tracks[tensor] for tensor in tensors)
            if len(norms := np.nan_to_num(track.column("largest_norm"))[track.first >= since])
        ]
        return bool(ends) and max(ends) <= self.thresholds.converged_loss

    def largest(self, tensor: int) -> float:
        """The largest finite magnitude of a tensor over all records; 0 for none."""
        return float(np.nanmax(self.tracks[tensor].magnitude(), initial=0.0))

    def place(self, tensor: int, layer: str | None = None) -> Place:
        """Of a tensor; `layer` stands for its own where that made what is seen on the tensor."""
        info = self.history.tensors[tensor]
        worker = self.history.workers[tensor]
        return Place(info.role, info.layer if layer is None else layer, info.name, worker)

    def victim(self, tensor: int, step: int) -> Victim:
        place = self.place(tensor)
        return Victim(place.role, place.layer, place.tensor, step, place.worker)

    def records(self, *roles: str) -> bool:
        """Whether tensors of one of these roles have records."""
        return any(tensor in self.tracks for tensor in self.flow.of_role(*roles))

    def norm(self, role: str) -> Curve:
        """The norm of all tensors of a role together, without untrained weights."""
        if role not in self._norms:
            tensors = [
                tensor
                for tensor in self.flow.of_role(role)
                if tensor in self.tracks and (role != "weight" or self.flow.is_trained[tensor])
            ]
            curve = norm_curve(self.tracks[tensor] for tensor in tensors)
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
        """Largest finite magnitude of these tensors in the last two records up to `step`."""
        found = [
            np.fmax.reduce(track.magnitude()[track.first <= step][-2:])
            for tensor in tensors
            if (track := self.tracks.get(tensor)) is not None and np.any(track.first <= step)
        ]
        return float(np.fmax.reduce(found)) if found else float("nan")

    def dtype(self, tensors: Sequence[int]) -> str:
        """The narrowest dtype of these tensors; "float32" for none."""
        names = [self.history.tensors[tensor].dtype for tensor in tensors]
        for name in ("float16", "bfloat16", "float32", "complex64", "float64", "complex128"):
            if name in names:
                return name
        return "float32"
