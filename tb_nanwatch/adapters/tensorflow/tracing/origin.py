"""Which operation of a traced step made something non-finite, in which pass, of which elements.

Forward that is the first operation that makes a non-finite value of finite ones, if that value
reaches what was differentiated, or a gradient. What is infinite by a constant, such as a mask, is
no origin; an operation that makes NaN of it is. Backward it is the operation nearest to the loss
whose own gradient is not finite although the gradient that arrives is. Where all gradients are
finite it is the operation that makes a non-finite value of them, on the way to the variables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.private_api import private
from tb_nanwatch.adapters.tensorflow.tracing.operations import Gradients, Operation, Trace, identity
from tb_nanwatch.format.rerun import Pass

_CONSTANT, _DATA, _WEIGHT = -1, -2, -3
"""What made a value non-finite where no operation did: a constant, the batch, a variable."""

_RANDOM = (
    "Random",
    "StatefulUniform",
    "StatefulStandard",
    "StatefulTruncated",
    "Multinomial",
    "TruncatedNormal",
    "ParameterizedTruncatedNormal",
    "RngReadAndSkip",
    "RngSkip",
)

_ASSIGNMENTS = ("AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp", "ResourceScatter")
"""Operations whose last input goes into a variable."""

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Origin:
    """The operation at fault.

    Attributes:
      operation: as it ran.
      direction: the pass.
      result: what is not finite: an output, or the operation's gradient for one of its inputs.
      bad: bool, of the shape of `result`.
    """

    operation: Operation
    direction: Pass
    result: Any
    bad: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Search:
    """What a search found.

    Attributes:
      origin: None where no operation is at fault, or none was found.
      is_nonfinite: whether what was differentiated, or a gradient, is non-finite at all.
      data: the batch's tensors that are non-finite and came to the loss or a gradient.
      by_weight: whether a variable was non-finite before.
      is_random: whether operations drew numbers that cannot be drawn again.
      loss: what was differentiated last, where it is one number; None otherwise.
      gradients: how many gradients were asked for.
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


def find_origin(trace: Trace, batch: Iterable[Any], variables: Iterable[Any] = ()) -> Search:
    """Looks for the origin in a trace.

    Args:
      trace: of a step.
      batch: what the step was fed: tensors, or arrays, of which it makes tensors by itself.
      variables: those that it may read, with the values that it found.
    """
    fed = {_key(each): each for each in batch}
    values = [tf.convert_to_tensor(each) for each in variables]
    sources = _Sources(trace, fed, values)
    random = any(each.type.startswith(_RANDOM) for each in trace.operations)
    is_nonfinite = False
    found: list[int | Origin] = []
    for gradients in trace.gradients:
        if is_bad(gradients.target):
            is_nonfinite = True
            source = sources.of(gradients.target)
            if source is not None:
                found.append(source)
        elif any(map(is_bad, gradients.arrived.values())):
            is_nonfinite = True
            found += _backward(trace, gradients, sources)
    if not is_nonfinite:
        for each in _updates(trace):
            is_nonfinite = True
            source = sources.of(each)
            if source is not None:
                found.append(source)
    # The data explains what else there is, and a weight that was lost before.
    reasons = {each for each in found if isinstance(each, int)}
    data = tuple(filter(_is_bad_part, fed.values())) if _DATA in reasons else ()
    origin = None
    if not data and _WEIGHT not in reasons:
        first = next((each for each in found if each != _CONSTANT), None)
        if first is None and _CONSTANT in reasons:
            first = next(filter(None, map(sources.taker, _differentiated(trace))), None)
        origin = sources.origin(first) if isinstance(first, int) else first
    asked = [each for gradients in trace.gradients for each in gradients.asked]
    return Search(
        origin,
        is_nonfinite,
        data,
        _WEIGHT in reasons,
        random,
        _loss(trace),
        len(asked),
        sum(map(is_bad, asked)),
    )


def _loss(trace: Trace) -> float | None:
    target = trace.gradients[-1].target if trace.gradients else None
    return float(target) if target is not None and target.shape.rank == 0 else None


class _Sources:
    """Of each non-finite tensor of the step, which operation it comes from."""

    def __init__(self, trace: Trace, fed: dict[int, Any], variables: list[Any]):
        self._trace = trace
        self._operations = trace.operations
        self._fed = fed
        self._variables = [np.asarray(each) for each in variables]
        self._bad_variables = [np.asarray(each) for each in variables if is_bad(each)]
        self._made: dict[int, int] = {}
        # Of what a constant has made non-finite, the operation that took that in.
        self._takers: dict[int, int] = {}
        known: set[int] = set()
        for number, operation in enumerate(self._operations):
            bad = [each for each in operation.outputs if is_bad(each)]
            source = self._source(number, operation, bad, known) if bad else _CONSTANT
            taker = self._taker(number, operation, known) if source == _CONSTANT and bad else None
            for each in bad:
                self._made.setdefault(identity(each), source)
                if taker is not None:
                    self._takers.setdefault(identity(each), taker)
            for each in operation.outputs:
                known.add(identity(each))

    def taker(self, tensor: Any) -> int | None:
        """Number of the operation by which a non-finite constant came into a tensor; or None."""
        return self._takers.get(identity(tensor))

    def _taker(self, number: int, operation: Operation, known: set[int]) -> int | None:
        values = [each for each in operation.inputs if _is_number(each)]
        before = [self.taker(each) for each in values if is_bad(each)]
        first = next((each for each in before if each is not None), None)
        is_computed = any(self._is_computed(each, known) for each in values if not is_bad(each))
        return number if first is None and is_computed else first

    def _is_computed(self, tensor: Any, known: set[int]) -> bool:
        """Whether it is of the step, and no constant."""
        return identity(tensor) in known or self._is_fed(tensor) or self._is_read(tensor)

    def _is_fed(self, tensor: Any) -> bool:
        """Whether it is the batch's, or made of an array of it."""
        if identity(tensor) in self._fed:
            return True
        array = np.asarray(tensor)
        return any(
            np.shape(each) == array.shape
            and np.array_equal(np.asarray(each).astype(array.dtype), array, equal_nan=True)
            for each in self._fed.values()
            if isinstance(each, np.ndarray) and _is_number(tensor)
        )

    def _source(self, number: int, operation: Operation, bad: list[Any], known: set[int]) -> int:
        values = [each for each in operation.inputs if _is_number(each)]
        wrong = [each for each in values if is_bad(each)]
        if not wrong:
            # Of nothing but constants it is one itself: a -Inf that was cast or filled in.
            is_computed = self._is_late(number) or any(
                self._is_computed(each, known) for each in values
            )
            return number if is_computed else _CONSTANT
        is_nan = any(map(_has_nan, bad))
        # A NaN comes from a NaN before it comes from an infinity.
        for each in sorted(wrong, key=lambda tensor: is_nan and not _has_nan(tensor)):
            source = self.of(each)
            if source is not None and source != _CONSTANT:
                return source
        return number if is_nan and not any(map(_has_nan, wrong)) else _CONSTANT

    def _is_late(self, number: int) -> bool:
        """Whether the operation has gradients to work on, which no operation of the trace made."""
        return self._operations[number].is_backward or number >= self._trace.updates_from

    def _is_read(self, tensor: Any) -> bool:
        """Whether a tensor that no operation made was read of a variable."""
        array = np.asarray(tensor)
        return any(np.array_equal(array, each) for each in self._variables)

    def of(self, tensor: Any) -> int | None:
        """Number of the operation, or one of the reasons; None where it is finite."""
        if not is_bad(tensor):
            return None
        key = identity(tensor)
        if key in self._made:
            return self._made[key]
        if self._is_fed(tensor):
            return _DATA
        # Of no operation: a constant, or what was read of a variable.
        array = np.asarray(tensor)
        is_read = any(np.array_equal(array, each, equal_nan=True) for each in self._bad_variables)
        return _WEIGHT if is_read else _CONSTANT

    def origin(self, number: int) -> Origin | None:
        if number < 0:
            return None
        operation = self._operations[number]
        result = next(each for each in operation.outputs if is_bad(each))
        direction: Pass = "forward"
        if operation.optimizer or number >= self._trace.updates_from > 0:
            direction = "update"
        elif operation.is_backward:
            direction = "backward"
        return Origin(operation, direction, result, _bad(result))


def _key(part: Any) -> int:
    return id(part) if isinstance(part, np.ndarray) else identity(part)


def _is_bad_part(part: Any) -> bool:
    if isinstance(part, np.ndarray):
        return bool(np.issubdtype(part.dtype, np.inexact) and not np.all(np.isfinite(part)))
    return is_bad(part)


def _differentiated(trace: Trace) -> Iterator[Any]:
    """What tapes were asked to differentiate."""
    for gradients in trace.gradients:
        yield gradients.target


def _updates(trace: Trace) -> Iterator[Any]:
    """What goes non-finite into optimizers and variables, in order."""
    yield from filter(is_bad, trace.applied)
    for operation in trace.operations:
        if operation.type.startswith(_ASSIGNMENTS) and is_bad(operation.inputs[-1]):
            yield operation.inputs[-1]


def _backward(trace: Trace, gradients: Gradients, sources: _Sources) -> Iterator[int | Origin]:
    """What makes the gradients non-finite: operations or reasons, the nearest to the loss first."""
    arrived = gradients.arrived
    for operation in reversed(trace.operations):
        upstream = [arrived.get(identity(each)) for each in operation.outputs]
        if all(each is None for each in upstream) or any(map(is_bad, upstream)):
            continue
        reached = [arrived.get(identity(each)) for each in operation.inputs if _is_number(each)]
        if not any(map(is_bad, reached)):
            continue
        for result in _own_gradients(operation, upstream):
            if not is_bad(result):
                continue
            inner = sources.of(result) if operation.made is not None else None
            if inner is not None and inner != _CONSTANT:
                yield inner
                break
            before = [sources.of(each) for each in operation.inputs if _is_number(each)]
            made = [each for each in before if each is not None and each != _CONSTANT]
            if made:
                yield made[0]
            else:
                dense = tf.convert_to_tensor(result)
                yield Origin(operation, "backward", dense, _bad(dense))
            break


def _own_gradients(operation: Operation, upstream: list[Any]) -> list[Any]:
    """The gradients that the operation alone gives its inputs; [] where that cannot be told."""
    if operation.made is not None:
        return operation.made
    filled = [
        tf.zeros_like(output) if each is None else each
        for output, each in zip(operation.outputs, upstream, strict=True)
    ]
    gradient_function = private("gradient_function")
    if gradient_function is None:
        return []
    try:
        made = gradient_function(
            operation.type,
            operation.attributes,
            len(operation.inputs),
            list(operation.inputs),
            list(operation.outputs),
            filled,
            (),
            "",
        )
    except LookupError:  # No gradient is registered.
        return []
    return list(made) if isinstance(made, (list, tuple)) else [made]


def _is_number(tensor: Any) -> bool:
    dtype = getattr(tensor, "dtype", None)
    return isinstance(dtype, tf.DType) and (dtype.is_floating or dtype.is_complex)


def _values(tensor: Any) -> Any:
    return tensor.values if isinstance(tensor, tf.IndexedSlices) else tensor


def is_bad(tensor: Any) -> bool:
    values = _values(tensor)
    return _is_number(values) and not bool(tf.reduce_all(tf.math.is_finite(_parts(values))))


def _has_nan(tensor: Any) -> bool:
    return bool(tf.reduce_any(tf.math.is_nan(_parts(_values(tensor)))))


def _parts(tensor: Any) -> Any:
    if tensor.dtype.is_complex:
        return tf.stack([tf.math.real(tensor), tf.math.imag(tensor)])
    return tensor


def _bad(tensor: Any) -> npt.NDArray[np.bool_]:
    array = np.asarray(tensor)
    kind = np.complex128 if np.iscomplexobj(array) else np.float64
    return np.asarray(~np.isfinite(array.astype(kind)))
