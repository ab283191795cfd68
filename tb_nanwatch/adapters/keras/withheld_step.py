"""One step of a model that is trained by `fit`, withheld where it is not finite."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras.step_state import put_back, read
from tb_nanwatch.adapters.keras.withholding import Withheld, WithheldUpdates, Withholding
from tb_nanwatch.adapters.tensorflow.assignments import key_of
from tb_nanwatch.adapters.tensorflow.branch import run_if
from tb_nanwatch.adapters.tensorflow.graphs import in_xla


class WithheldStep(WithheldUpdates):
    """One step of a model, withheld where it is not finite; made before all else of the step.

    Args:
      model: the model that is trained.
      data: the step's batch.
      how: what is withheld, and what for.
    """

    def __init__(self, model: Any, data: Any, how: Withholding):
        super().__init__(how)
        self._model = model
        self._data = data
        # Read and not copied: what assigns to a variable that was read makes a buffer of its own.
        self._kept = how.kept_variables(model)
        self._before = read(self._kept)
        # Of these no more has to be heard.
        self._known = {key_of(each) for each in map(_held_by, self._kept) if each is not None}

    def _hear(self, variable: Any) -> None:
        if key_of(variable) not in self._known:
            super()._hear(variable)

    def end(self) -> Withheld:
        """Puts back what a step moved that is skipped, or held under XLA; else the host does that.

        One whose overflow a LossScaleOptimizer handled is not counted as skipped.
        """
        held = ~(self._is_fine_at_the_end() if self._how.copies else self._goes_on)
        skipped = None
        if self.skips or self._how.copies:
            held &= self._is_armed()
        if self._how.copies:
            run_if(held, self._keep)
        if self.skips:
            left_out = ~self._goes_on & ~held
            skipped = tf.constant(False) if self._is_handled else left_out
            # Not the state of seed generators.
            kept = [*self._model.non_trainable_weights, *self._model.metrics_variables]
            run_if(left_out, lambda: put_back(kept, self._before))
        if self._how.hold is not None and in_xla():
            # Asked again: metrics may have been made in the step.
            now = self._how.kept_variables(self._model)
            run_if(held, lambda: put_back(now, self._before))
        if self._moved:  # Of no layer, metric or optimizer, so seldom.
            run_if(held, self._put_back)
        return Withheld(skipped, held)

    def unwind(self) -> None:
        put_back(self._kept, self._before)
        super().unwind()

    def _keep(self) -> None:
        assert self._how.hold is not None
        self._how.hold.count()
        self._how.hold.keep(self._data, self._kept, list(self._before.values()))

    def outputs(self, outputs: Any) -> Any:
        """What the train step returns: the metrics as they are now, if it returned those."""
        if not self.skips or not isinstance(outputs, dict):
            return outputs
        metrics = self._model.get_metrics_result()
        return metrics if set(metrics) == set(outputs) else outputs


def _held_by(variable: Any) -> Any:
    """The `tf.Variable` of a Keras variable; None where it is none of one replica."""
    inner = getattr(variable, "_value", variable)
    return inner if isinstance(inner, tf.Variable) and hasattr(inner, "handle") else None
