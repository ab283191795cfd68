"""Which operation of a traced step made something non-finite, in which pass, in which elements.

In the forward pass the origin is the first operation that makes a non-finite value of finite ones,
if that value reaches the loss or a gradient. An infinite constant, such as a mask, is no origin; an
operation that makes NaN of it is. In the backward pass the origin is the operation nearest to the
loss whose own gradient is non-finite although the upstream gradient is finite. Where all gradients
are finite it is the operation that makes a non-finite value of them, on the way to the variables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.rerun import Pass
from tb_nanwatch.stats.floats import holds_nonfinite
from tb_nanwatch.training.failing_step.trace import Gradients, Trace, TracedOperation
from tb_nanwatch.training.protocols import TensorAccess

_CONSTANT, _DATA, _WEIGHT = -1, -2, -3
"""What made a value non-finite where no operation did: a constant, the batch, a variable."""


@dataclass(frozen=True)
class Origin:
    """The operation at fault.

    Attributes:
      operation: as it ran.
      direction: the pass.
      result: the non-finite tensor: an output, or the operation's gradient for one of its inputs.
      nonfinite: bool, of the shape of `result`: True where an element is NaN; where none is, where
        one is infinite.
    """

    operation: TracedOperation
    direction: Pass
    result: Any
    nonfinite: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
      origin: None where no operation is at fault, or none was found.
      is_nonfinite: whether a loss or a gradient is non-finite at all.
      data: the batch's tensors that are non-finite and reached the loss or a gradient.
      by_weight: whether a variable was non-finite before the step.
      is_random: whether operations drew random numbers that cannot be drawn again.
      loss: what was differentiated last, where it is a scalar; None otherwise.
      gradients: how many gradients the step asked for.
      nonfinite_gradients: how many of them are not finite.
    """

    origin: Origin | None
    is_nonfinite: bool
    data: tuple[Any, ...]
    by_weight: bool
    is_random: bool
    loss: float | None = None
    gradients: int = 0
    nonfinite_gradients: int = 0


def find_origin(
    trace: Trace, batch: Iterable[Any], variables: Iterable[Any], access: TensorAccess
) -> Search:
    """Looks for the origin in a trace.

    Args:
      trace: a step.
      batch: what the step was fed: tensors, or arrays of which it makes tensors itself.
      variables: tensors with the values of the variables before the step.
      access: reads the framework's tensors.
    """
    batch_by_key = {_key(each, access): each for each in batch}
    sources = _Sources(trace, batch_by_key, list(variables), access)
    is_random = any(map(access.is_random, trace.operations))
    is_nonfinite = False
    found: list[int | Origin] = []
    for gradients in trace.gradients:
        if access.is_nonfinite(gradients.target):
            is_nonfinite = True
            source = sources.of(gradients.target)
            if source is not None:
                found.append(source)
        elif any(map(access.is_nonfinite, gradients.by_tensor.values())):
            is_nonfinite = True
            found += _backward(trace, gradients, sources, access)
    if not is_nonfinite:
        for each in _updates(trace, access):
            is_nonfinite = True
            source = sources.of(each)
            if source is not None:
                found.append(source)
    # Non-finite data explains all else, and so does a weight that was non-finite before.
    reasons = {each for each in found if isinstance(each, int)}
    data = ()
    if _DATA in reasons:
        data = tuple(each for each in batch_by_key.values() if _is_nonfinite_part(each, access))
    origin = None
    if not data and _WEIGHT not in reasons:
        first = next((each for each in found if each != _CONSTANT), None)
        if first is None and _CONSTANT in reasons:
            targets = (gradients.target for gradients in trace.gradients)
            first = next(filter(None, map(sources.consumer, targets)), None)
        origin = sources.origin(first) if isinstance(first, int) else first
    requested = [each for gradients in trace.gradients for each in gradients.requested]
    return Search(
        origin,
        is_nonfinite,
        data,
        _WEIGHT in reasons,
        is_random,
        _loss(trace),
        len(requested),
        sum(map(access.is_nonfinite, requested)),
    )


def _loss(trace: Trace) -> float | None:
    target = np.asarray(trace.gradients[-1].target) if trace.gradients else None
    return float(target) if target is not None and target.ndim == 0 else None


class _Sources:
    """For each non-finite tensor of the step, which operation it comes from."""

    def __init__(
        self, trace: Trace, batch: dict[int, Any], variables: list[Any], access: TensorAccess
    ):
        self._trace = trace
        self._access = access
        self._operations = trace.operations
        self._batch = batch
        self._variables = [np.asarray(each) for each in variables]
        self._nonfinite_variables = [
            np.asarray(each) for each in variables if access.is_nonfinite(each)
        ]
        self._source_of: dict[int, int] = {}
        # For what a constant made non-finite, the operation that consumed the constant.
        self._consumer_of: dict[int, int] = {}
        # What the step itself has written to variables: the value, and what made it non-finite.
        self._assigned: list[tuple[npt.NDArray[Any], int]] = []
        known: set[int] = set()
        for number, operation in enumerate(self._operations):
            bad = [each for each in operation.outputs if access.is_nonfinite(each)]
            source = self._source(number, operation, bad, known) if bad else _CONSTANT
            consumer = None
            if source == _CONSTANT and bad:
                consumer = self._consumer(number, operation, known)
            for each in bad:
                self._source_of.setdefault(access.identity(each), source)
                if consumer is not None:
                    self._consumer_of.setdefault(access.identity(each), consumer)
            for each in operation.outputs:
                known.add(access.identity(each))
            if access.is_assignment(operation):
                self._note_assigned(operation.inputs[-1])

    def _note_assigned(self, value: Any) -> None:
        source = self.of(value)
        if source is not None:
            self._assigned.append((np.asarray(value), source))

    def consumer(self, tensor: Any) -> int | None:
        """Index of the operation by which a non-finite constant came into a tensor; or None."""
        return self._consumer_of.get(self._access.identity(tensor))

    def _consumer(self, number: int, operation: TracedOperation, known: set[int]) -> int | None:
        values = [each for each in operation.inputs if self._access.is_float(each)]
        before = [self.consumer(each) for each in values if self._access.is_nonfinite(each)]
        first = next((each for each in before if each is not None), None)
        is_computed = any(
            self._is_computed(each, known) for each in values if not self._access.is_nonfinite(each)
        )
        return number if first is None and is_computed else first

    def _is_computed(self, tensor: Any, known: set[int]) -> bool:
        """Whether it belongs to the step, and is no constant."""
        return (
            self._access.identity(tensor) in known
            or self._is_of_batch(tensor)
            or self._is_of_variable(tensor)
        )

    def _is_of_batch(self, tensor: Any) -> bool:
        """Whether it is a part of the batch, or made of an array of the batch."""
        if self._access.identity(tensor) in self._batch:
            return True
        array = np.asarray(tensor)
        return any(
            np.shape(each) == array.shape
            and np.array_equal(np.asarray(each).astype(array.dtype), array, equal_nan=True)
            for each in self._batch.values()
            if isinstance(each, np.ndarray) and self._access.is_float(tensor)
        )

    def _source(
        self, number: int, operation: TracedOperation, bad: list[Any], known: set[int]
    ) -> int:
        values = [each for each in operation.inputs if self._access.is_float(each)]
        bad_inputs = [each for each in values if self._access.is_nonfinite(each)]
        if not bad_inputs:
            is_computed = self._is_after_gradients(number) or any(
                self._is_computed(each, known) for each in values
            )
            # Of constants alone it is a constant itself: a -Inf that was cast or filled in. And a
            # read of a variable makes nothing.
            return number if is_computed else self._given(bad[0])
        has_nan = self._access.has_nan
        is_nan = any(map(has_nan, bad))
        # A NaN comes from a NaN before it comes from an infinity.
        for each in sorted(bad_inputs, key=lambda tensor: is_nan and not has_nan(tensor)):
            source = self.of(each)
            if source is not None and source != _CONSTANT:
                return source
        return number if is_nan and not any(map(has_nan, bad_inputs)) else _CONSTANT

    def _is_after_gradients(self, number: int) -> bool:
        """Whether the operation works on gradients, which no operation of the trace made."""
        return self._operations[number].is_backward or number >= self._trace.first_update

    def _is_of_variable(self, tensor: Any) -> bool:
        """Whether a tensor that no operation made was read from a variable."""
        array = np.asarray(tensor)
        return any(np.array_equal(array, each) for each in self._variables)

    def of(self, tensor: Any) -> int | None:
        """Index of the operation, or one of the reasons; None where the tensor is finite."""
        if not self._access.is_nonfinite(tensor):
            return None
        key = self._access.identity(tensor)
        if key in self._source_of:
            return self._source_of[key]
        if self._is_of_batch(tensor):
            return _DATA
        return self._given(tensor)

    def _given(self, tensor: Any) -> int:
        """What a non-finite tensor is that no operation made: a variable's value, or a constant."""
        array = np.asarray(tensor)
        for value, source in reversed(self._assigned):
            if np.array_equal(array, value, equal_nan=True):
                return int(source)
        is_read = any(
            np.array_equal(array, each, equal_nan=True) for each in self._nonfinite_variables
        )
        return _WEIGHT if is_read else _CONSTANT

    def origin(self, number: int) -> Origin | None:
        if number < 0:
            return None
        operation = self._operations[number]
        result = next(each for each in operation.outputs if self._access.is_nonfinite(each))
        direction: Pass = "forward"
        if operation.optimizer or number >= self._trace.first_update > 0:
            direction = "update"
        elif operation.is_backward:
            direction = "backward"
        mask = self._access.nonfinite_mask(result)
        if self._access.has_nan(result):
            # An infinity beside a NaN may be meant, and handled, as that of log(0) in a mask.
            values = np.asarray(result)
            mask = mask & (values != values)
        return Origin(operation, direction, result, mask)


def _key(part: Any, access: TensorAccess) -> int:
    return id(part) if isinstance(part, np.ndarray) else access.identity(part)


def _is_nonfinite_part(part: Any, access: TensorAccess) -> bool:
    if isinstance(part, np.ndarray):
        return bool(holds_nonfinite(part.dtype) and not np.all(np.isfinite(part)))
    return access.is_nonfinite(part)


def _updates(trace: Trace, access: TensorAccess) -> Iterator[Any]:
    """The non-finite tensors that go into optimizers and variables, in order."""
    yield from filter(access.is_nonfinite, trace.applied_gradients)
    for operation in trace.operations:
        if access.is_assignment(operation) and access.is_nonfinite(operation.inputs[-1]):
            yield operation.inputs[-1]


def _backward(
    trace: Trace, gradients: Gradients, sources: _Sources, access: TensorAccess
) -> Iterator[int | Origin]:
    """What makes the gradients non-finite: operations or reasons, the nearest to the loss first."""
    by_tensor = gradients.by_tensor
    for operation in reversed(trace.operations):
        upstream = [by_tensor.get(access.identity(each)) for each in operation.outputs]
        if all(each is None for each in upstream) or any(map(access.is_nonfinite, upstream)):
            continue
        downstream = [
            by_tensor.get(access.identity(each))
            for each in operation.inputs
            if access.is_float(each)
        ]
        if not any(map(access.is_nonfinite, downstream)):
            continue
        custom = operation.custom_gradients
        local = access.local_gradients(operation, upstream) if custom is None else custom
        for result in local:
            if not access.is_nonfinite(result):
                continue
            inner = None if custom is None else sources.of(result)
            if inner is not None and inner != _CONSTANT:
                yield inner
                break
            before = [sources.of(each) for each in operation.inputs if access.is_float(each)]
            made = [each for each in before if each is not None and each != _CONSTANT]
            if made:
                yield made[0]
            else:
                dense = access.dense(result)
                yield Origin(operation, "backward", dense, access.nonfinite_mask(dense))
            break
