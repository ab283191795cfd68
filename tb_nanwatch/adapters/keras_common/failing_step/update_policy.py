"""What happens to a step that is not finite."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tb_nanwatch.adapters.keras_common.failing_step.captured_step import StepCapture
from tb_nanwatch.adapters.keras_common.failing_step.deferred_steps import DeferredSteps
from tb_nanwatch.adapters.tensorflow.graph.state_changes import StateChanges

MAX_COPIED_BYTES = 256 * 2**20
"""What a step may copy, each time it runs, of what it updates before its last update."""


@dataclass(frozen=True)
class UpdatePolicy:
    """What happens to a step that is not finite.

    Attributes:
      skips: whether it is left out of the training.
      checks_updates: whether the result of an update is checked too: a step whose gradients are
        finite and whose update is not is then captured, or skipped. That takes a copy of what is
        updated, in each step.
      capture: captures such a step, to be analyzed; None for never.
      deferred: defers such a step, where XLA compiles it; None for never.
      kept_alive: what traced steps use for as long as they may run: a graph does not keep a queue.
    """

    skips: bool = False
    checks_updates: bool = False
    capture: StepCapture | None = None
    deferred: DeferredSteps | None = None
    kept_alive: list[Any] = field(default_factory=list)

    def refuse(self, why: str) -> None:
        """Has no further step captured or deferred; `why` is the reason."""
        for each in (self.capture, self.deferred):
            if each is not None:
                each.refuse(why)

    def allows_copies(self, copied: int) -> bool:
        """Whether a step may copy so many bytes; if not, none is captured or deferred."""
        if copied <= MAX_COPIED_BYTES or self.checks_updates:
            return True
        self.refuse(
            "it updates weights more than once, and copying what the first updates change would "
            f"take {copied:,} bytes, more than {MAX_COPIED_BYTES:,}"
        )
        return False

    def refuse_for(self, changes: StateChanges) -> None:
        """Has no step captured or deferred if it changes what cannot be restored."""
        try:
            refusal = changes.refusal()
        except Exception as error:
            refusal = f"its changes cannot be determined ({type(error).__name__}: {error})"
        if refusal:
            self.refuse(refusal)
