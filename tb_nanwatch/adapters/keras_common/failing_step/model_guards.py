"""Makes the guard of each step of a Keras model."""

from __future__ import annotations

from typing import Any

from tb_nanwatch.adapters.keras_common.failing_step.compiled_guard import CompiledStepGuard
from tb_nanwatch.adapters.keras_common.failing_step.step_guard import StepGuard
from tb_nanwatch.adapters.keras_common.failing_step.update_guard import BaseGuard, StepState
from tb_nanwatch.adapters.keras_common.failing_step.update_policy import UpdatePolicy
from tb_nanwatch.adapters.keras_common.instrument.model_state import model_variables, seed_variables
from tb_nanwatch.adapters.tensorflow.graph.context import in_xla


class ModelGuards:
    """`protocols.GuardFactory` of a Keras model.

    Args:
      model: the model.
      policy: what happens to its steps that are not finite.
    """

    def __init__(self, model: Any, policy: UpdatePolicy):
        self._model = model
        self._policy = policy

    @property
    def skips(self) -> bool:
        return self._policy.skips

    def make(self, batch: Any) -> BaseGuard | None:
        model, deferred = self._model, self._policy.deferred
        if in_xla() and not self.skips and (deferred is None or deferred.refusal):
            return None  # Another Callback could not see the update in the branch of the guard.
        state = StepState(lambda: model_variables(model), lambda: seed_variables(model))
        if in_xla():
            return CompiledStepGuard(self._policy, state)
        return StepGuard(self._policy, batch, state)

    def refuse(self, why: str) -> None:
        self._policy.refuse(why)
