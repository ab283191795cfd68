"""One step of one of several replicas, kept where it is not finite.

No update is withheld there: it belongs to all replicas, and no branch of one can hold what they do
together. The step goes on as it does without; what it found is kept, to be looked at afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tb_nanwatch.adapters.keras.step_state import read
from tb_nanwatch.adapters.keras.withholding import Withheld, WithheldUpdates, Withholding
from tb_nanwatch.adapters.tensorflow.branch import run_if


class ReplicaStep(WithheldUpdates):
    """One step of one replica, made before all else of the step.

    Args:
      model: the model that is trained.
      data: the replica's part of the batch.
      how: has the hold that keeps the step.
    """

    def __init__(self, model: Any, data: Any, how: Withholding):
        super().__init__(how)
        if model.steps_per_execution > 1 and how.hold is not None:
            how.hold.refuse("one call executes several steps of several replicas")
        self._data = data
        # Read and not copied: what assigns to a variable that was read makes a buffer of its own.
        self._before = read(model.variables)
        self._variables = list(model.variables)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Has nothing to hear of: nothing is put back."""
        yield

    def apply(
        self,
        optimizer: Any,
        apply: Callable[[], object],
        gradients: Sequence[Any],
        variables: Sequence[Any],
    ) -> None:
        """Takes in what is applied, and applies it."""
        self._take_in(optimizer, gradients, variables)
        apply()

    def end(self) -> Withheld:
        """Keeps the step where it is not finite and no other is kept."""
        fine = self._is_fine_at_the_end()
        run_if(~fine & ~self._follows & self._is_armed(), self._keep)
        return Withheld(None, None)

    def outputs(self, outputs: Any) -> Any:
        return outputs

    def _keep(self) -> None:
        assert self._how.hold is not None
        self._how.hold.count()
        self._how.hold.keep(self._data, self._variables, list(self._before.values()))
