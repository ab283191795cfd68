"""What an adapter implements for a framework: all that the neutral half asks of one.

- `Sink`: where records go.
- `TensorAccess`: what the search for the first non-finite operation asks of tensors.
- `UpdateGuard`: what an instrumented training step calls around its losses and updates;
  `GuardFactory` makes one for each step, `StepOutcome` is what it did.
- `FailingStepAnalyzer`: what an instrumented train function calls around each call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from tensorboard.compat.proto.summary_pb2 import Summary

from tb_nanwatch.training.failing_step.trace import TracedOperation


class Sink(Protocol):
    """Where events go. Any of its methods may raise OSError or its backend's own error."""

    def write(self, values: Sequence[Summary.Value], step: int) -> None:
        """Adds one event."""

    def flush(self) -> None:
        """Returns when everything written is in the file."""

    def close(self) -> None:
        """Flushes and closes."""


class TensorAccess(Protocol):
    """What the search for the origin asks of a framework's tensors and operations.

    A tensor is `Any` here: dense or sparse, of any dtype, or no tensor at all.
    """

    def identity(self, tensor: Any) -> int:
        """A number that no other tensor of the step has."""

    def is_float(self, tensor: Any) -> bool:
        """Whether its elements are floating-point or complex numbers."""

    def is_nonfinite(self, tensor: Any) -> bool:
        """Whether an element is NaN or infinite; False for what is no float tensor."""

    def has_nan(self, tensor: Any) -> bool:
        """Whether an element of a float tensor is NaN."""

    def is_array(self, value: Any) -> bool:
        """Whether it is a tensor whose elements NumPy can read."""

    def dtype_name(self, tensor: Any) -> str:
        """The framework's name of its dtype, which for numbers is NumPy's."""

    def dense(self, tensor: Any) -> Any:
        """The tensor, sparse gradients as dense ones."""

    def nonfinite_mask(self, tensor: Any) -> npt.NDArray[np.bool_]:
        """Of a dense tensor, True where an element is NaN or infinite."""

    def input_names(self, operation: TracedOperation) -> Sequence[str]:
        """What the framework calls the inputs of an operation."""

    def local_gradients(self, operation: TracedOperation, upstream: Sequence[Any]) -> Sequence[Any]:
        """The gradients of an operation's inputs, given those of its outputs (None for zero).

        Empty where the framework has no gradient for the operation.
        """

    def is_random(self, operation: TracedOperation) -> bool:
        """Whether it draws random numbers that cannot be drawn again."""

    def is_assignment(self, operation: TracedOperation) -> bool:
        """Whether it writes its last input to a variable."""


class StepOutcome(NamedTuple):
    """What a guard did with a step: bool scalars of the framework, or None where it never does.

    Attributes:
      skipped: the step is left out of the training, and has changed nothing.
      deferred: the step has changed nothing yet; the host runs it again.
    """

    skipped: Any = None
    deferred: Any = None


class UpdateGuard(Protocol):
    """Checks losses and gradients of one step before they reach a weight."""

    def hooks_installed(self) -> AbstractContextManager[None]:
        """While the step runs: follows what it changes."""

    def add_loss(self, loss: Any) -> None:
        """Takes a loss of the step, before the update that uses it."""

    def apply(
        self,
        optimizer: Any,
        apply: Callable[[], object],
        gradients: Sequence[Any],
        variables: Sequence[Any],
    ) -> None:
        """Runs `apply`, an optimizer's update, with a check of its gradients before."""

    def refuse_inner_update(self) -> bool:
        """For an update in an inner graph, which cannot be checked.

        From now on no step is captured. Returns whether the user asked to skip such updates.
        """

    @property
    def saw_nothing(self) -> bool:
        """Whether there was neither a loss nor an optimizer's update to check."""

    @property
    def has_tripped(self) -> bool:
        """In a step that runs eagerly: whether a loss or a gradient was not finite."""

    def end(self) -> StepOutcome:
        """At the end of the step, after its last operation."""


class FailingStepAnalyzer(Protocol):
    """Runs a step again that went non-finite, and writes down what it found."""

    def before_call(self, model: Any, batches: Any) -> Any:
        """On the host, before a call of the train function: the iterator to call it with."""

    def after_call(
        self, model: Any, train_step: Callable[[Any], Any], run: Callable[[Any], Any], outputs: Any
    ) -> Any:
        """On the host, after a call that signaled: analyzes its failing step.

        Args:
          model: the model.
          train_step: its own, bound.
          run: the train function, which records; deferred steps are run with it.
          outputs: of the call.

        Returns:
          The outputs of the call, or of the deferred steps.
        """

    def after_error(
        self, model: Any, train_step: Callable[[Any], Any], record: Callable[[Any], Any]
    ) -> None:
        """On the host, after a call that raised: analyzes the step that it captured, if any.

        Args:
          model, train_step: as for `after_call`.
          record: the step as it is recorded; run eagerly where the call has not come to that.
        """

    def refuse_deferral(self, why: str) -> None:
        """Has no further step deferred; `why` is the reason."""


class GuardFactory(Protocol):
    """Makes the guard of each step of a training."""

    @property
    def skips(self) -> bool:
        """Whether steps that are not finite are skipped."""

    def make(self, batch: Any) -> UpdateGuard | None:
        """The guard of a step that is about to be traced or run with this batch; None for none."""

    def refuse(self, why: str) -> None:
        """Has no further step captured or deferred; `why` is the reason."""
