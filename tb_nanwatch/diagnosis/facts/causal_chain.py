"""Which non-finite tensor explains which, step after step: origins, and what they affect.

A tensor that becomes non-finite is explained by what flows into it and became non-finite at the
same step, by data that is non-finite at that step, by a weight or slot that the step before left
non-finite, or by a gradient that the optimizer has accumulated since. What nothing explains is an
origin. Old trouble that did no harm before (a masked -Inf, data that the model leaves out) explains
no new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tb_nanwatch.diagnosis.facts.nonfinite_intervals import Flags, NonfiniteIntervals, Steps
from tb_nanwatch.diagnosis.facts.step_order import StepOrder
from tb_nanwatch.diagnosis.facts.tensor_history import TensorHistory

_DATA = ("input", "target")
_FORWARD = ("activation", "prediction")
_BACKWARD = ("activation_gradient", "gradient")
_OPTIMIZER = ("slot", "update", "weight")


@dataclass
class Event:
    """Something became non-finite of itself.

    Attributes:
      origin: index in `History.tensors` of the first tensor.
      step: when.
      interval: index in `NonfiniteIntervals`.
      affected: the others that it explains, and when each was first non-finite.
      last_step: the last step at which any of them is.
      reached: whether it came to the loss, a gradient, the optimizer or a weight.
      masked: whether what a layer made was finite again in the prediction of the same step.
    """

    origin: int
    step: int
    interval: int
    last_step: int
    affected: dict[int, int] = field(default_factory=dict)
    reached: bool = False
    masked: bool = False


class _Step:
    """What explains what within one step: the events of its stages."""

    def __init__(self) -> None:
        self.data: Event | None = None
        self.by_role: dict[str, Event] = {}
        self.forward: Event | None = None
        self.loss: Event | None = None
        self.backward: Event | None = None
        self.optimizer: Event | None = None
        self.statistics: Event | None = None

    def any(self) -> Event | None:
        """The first of them in the step that is more than a mask."""
        forward = self.forward
        if forward is not None and forward.masked and not forward.reached:
            forward = None
        return self.data or forward or self.loss or self.backward or self.optimizer


class CausalChain:
    """Follows the intervals of a run through its steps.

    Args:
      order, intervals, histories: of the run.
      kept_steps: for so many steps an optimizer keeps gradients before it updates; 0 for none.

    Attributes:
      events: the origins found, by step and by their order within it.
    """

    def __init__(
        self,
        order: StepOrder,
        intervals: NonfiniteIntervals,
        histories: Mapping[int, TensorHistory],
        kept_steps: int = 0,
    ):
        self._kept_steps = kept_steps
        count = len(order.tensors)
        self.events: list[Event] = []
        self._order, self._intervals, self._histories = order, intervals, histories
        self._roles = [info.role for info in order.tensors]
        self._is_data = np.isin(self._roles, _DATA)
        self._is_loss = np.isin(self._roles, ["loss"])
        self._is_gradient = np.isin(self._roles, ["gradient"])
        self._by_role = {
            role: np.array(order.of_role(role), np.int64) for role in dict.fromkeys(self._roles)
        }
        # Of each tensor's latest interval: state after step `since`, before `recovered_at`.
        self._since = np.full(count, np.iinfo(np.int64).max)
        self._last = np.full(count, -1)
        self._recovered_at = np.full(count, -1)
        self._lasting = np.zeros(count, bool)
        self._owner = np.full(count, None, object)
        self._known: dict[tuple[bytes, ...], npt.NDArray[np.object_]] = {}
        for step in np.unique(intervals.first).tolist():
            self._follow(step)

    def _follow(self, step: int) -> None:
        begin, end = np.searchsorted(self._intervals.first, [step, step + 1])
        indices = np.arange(begin, end)
        before = self._intervals.initial[indices]
        for group in (indices[before], indices[~before]):
            group = group[np.argsort(self._order.execution_rank[self._intervals.tensor[group]])]
            self._explain(step, group)
            self._start(group, step)

    def _start(self, indices: Steps, step: int) -> None:
        """Takes these intervals for the latest of their tensors."""
        tensors = self._intervals.tensor[indices]
        initial = self._intervals.initial[indices]
        self._since[tensors] = step - initial
        self._last[tensors] = self._intervals.last[indices]
        self._recovered_at[tensors] = self._intervals.recovered_at[indices]
        self._lasting[tensors] = self._order.is_state[tensors] & (
            self._order.is_trained[tensors] | initial
        )

    def _explain(self, step: int, indices: Steps) -> None:
        """Finds the event of each of these intervals, which begin at `step` and stand by rank."""
        intervals = self._intervals
        tensors = intervals.tensor[indices]
        lasting = self._lasting & (self._since < step) & (self._recovered_at >= step)
        bad = (self._since <= step) & (self._last >= step)
        bad[tensors] = True
        # What flickers for a whole run is the same again and again, and is explained once.
        key = (tensors.tobytes(), bad.tobytes(), lasting.tobytes())
        if key in self._known:
            self._owner[tensors] = self._known[key]
            for index, event in zip(indices.tolist(), self._known[key], strict=True):
                event.last_step = max(event.last_step, int(intervals.last[index]))
            return
        state = self._owner_of(lasting)
        now = _Step()
        data = self._owner_of(bad & self._is_data)
        now.data = data if data is not None and data.affected else None
        now.loss = self._owner_of(bad & self._is_loss)
        for index, tensor in zip(indices.tolist(), tensors.tolist(), strict=True):
            role = "initial" if intervals.initial[index] else self._roles[tensor]
            if role in ("initial", *_DATA):
                event = now.by_role[role] = self._join(now.by_role.get(role), index, step)
                now.data = now.data or (event if role in _DATA else None)
            else:
                event = self._join(state or self._within(now, tensor, step, bad), index, step)
                self._note(now, event, tensor)
            self._owner[tensor] = event
        self._known[key] = self._owner[tensors]

    def _owner_of(self, which: Flags) -> Event | None:
        """The event that owns the first of these tensors in the step; None where there is none."""
        found = np.flatnonzero(which)
        for tensor in found[np.argsort(self._order.execution_rank[found])].tolist():
            owner: Event | None = self._owner[tensor]
            if owner is not None:
                return owner
        return None

    def _join(self, event: Event | None, index: int, step: int) -> Event:
        """Adds an interval to the event that explains it, or to a new one that it begins."""
        tensor, last = int(self._intervals.tensor[index]), int(self._intervals.last[index])
        if event is None:
            event = Event(tensor, step, index, last)
            self.events.append(event)
        elif tensor != event.origin:
            event.affected.setdefault(tensor, step)
        event.last_step = max(event.last_step, last)
        event.reached |= self._roles[tensor] not in _FORWARD
        return event

    def _note(self, now: _Step, event: Event, tensor: int) -> None:
        """Lets the tensor explain what flows on from it."""
        role = self._roles[tensor]
        if role in _FORWARD:
            now.forward = now.forward or event
        elif role == "loss":
            now.loss = now.loss or event
            now.by_role.setdefault(self._loss_of(tensor), event)
        elif role in _BACKWARD:
            now.backward = now.backward or event
        elif role == "weight" and not self._order.is_trained[tensor]:
            now.statistics = now.statistics or event
        else:
            now.optimizer = now.optimizer or event

    def _within(self, now: _Step, tensor: int, step: int, bad: Flags) -> Event | None:
        """The event of this step that explains the tensor; None where it is an origin."""
        role = self._roles[tensor]
        if role in _FORWARD:
            return now.data or now.forward
        if role == "loss":
            forward = now.forward
            if forward is not None and self._is_finite(("prediction",), step, bad):
                forward.masked = True
                forward = None
            return now.data or forward or now.by_role.get(self._loss_of(tensor))
        if role in _BACKWARD:
            forward = now.forward
            if (
                forward is not None
                and now.loss is None
                and self._is_finite(("prediction",), step, bad)
            ):
                forward.masked = True
                if not self._comes_back(forward, step, bad):
                    forward = None
            elif forward is not None and forward.masked:
                forward = None
            return now.data or forward or now.loss or now.backward
        if role == "weight" and not self._order.is_trained[tensor]:
            if self._is_finite(_FORWARD, step, bad):
                return now.data or now.statistics
            return now.data or now.forward or now.loss or now.statistics
        if role in _OPTIMIZER and self._is_finite(("gradient",), step, bad):
            kept = self._is_gradient & (step - self._last < self._kept_steps) & (self._last < step)
            return now.optimizer or self._owner_of(kept)
        return now.any() or self._owner_of(bad & self._is_gradient)

    def _loss_of(self, tensor: int) -> str:
        """The key of a replica's first loss: a further one comes after an update by that."""
        return f"loss {self._order.tensors[tensor].replica}"

    def _is_finite(self, roles: Iterable[str], step: int, bad: Flags) -> bool:
        """Whether tensors of these roles were seen at the step, all of them finite."""
        tensors = np.concatenate([self._by_role.get(role, np.zeros(0, np.int64)) for role in roles])
        if not len(tensors) or bad[tensors].any():
            return False
        seen = [self._histories[t].saw(step) for t in tensors.tolist() if t in self._histories]
        return bool(seen) and all(seen)

    def _comes_back(self, forward: Event, step: int, bad: Flags) -> bool:
        """Whether gradients become non-finite where a masked activation is.

        Either behind it, where a layer multiplies what it got with its gradient, or in its own
        backward pass. Anywhere else they have another origin.
        """
        depth = self._order.depth
        backward = np.concatenate(
            [self._by_role.get(role, np.zeros(0, np.int64)) for role in _BACKWARD]
        )
        backward = backward[[self._roles[t] == "gradient" or bool(bad[t]) for t in backward]]
        made = [t for t in (forward.origin, *forward.affected) if self._roles[t] == "activation"]
        if not made or not len(backward):
            return True
        frontier = int(depth[backward[bad[backward]]].max())
        first, last = int(depth[made].min()), int(depth[made].max())
        behind = depth[backward][depth[backward] > last]
        before = depth[backward][depth[backward] <= first]
        latest = int(behind.min()) if len(behind) else last
        earliest = int(before.max()) if len(before) else first
        return earliest <= frontier <= latest
