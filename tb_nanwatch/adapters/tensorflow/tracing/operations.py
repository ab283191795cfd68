"""Runs a function eagerly and keeps every operation: what went in and out, and who called it.

TensorFlow tells callbacks of each eager operation (`op_callbacks`, what `tf.debugging` itself
uses). What a gradient tape is asked for is asked of it for every intermediate tensor, too: so the
gradient that arrives at each operation is known, whatever loop or `train_step` owns the tape. A
function with a gradient of its own (`tf.custom_gradient`) counts as one operation, and what that
gradient computes as operations of the backward pass; so does all that a tape computes while another
one records it.
"""

from __future__ import annotations

import functools
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.function_patching import Exchange, exchanged, this_thread
from tb_nanwatch.adapters.tensorflow.graph.operation_callbacks import operations_heard
from tb_nanwatch.adapters.tensorflow.private_api import private

_OURS = os.fspath(Path(os.path.abspath(__file__)).parents[3])
_SITE = os.path.dirname(os.path.dirname(os.path.abspath(tf.__file__)))
_FRAMEWORK = (
    os.path.join(_OURS, ""),
    *(os.path.join(_SITE, name, "") for name in ("tensorflow", "keras")),
)
"""Where code lies that is not the person's own."""

_RUNS = frozenset({"call", "__call__", "apply"})
"""Methods by which layers, modules and optimizers run."""

_STANDARD_LIBRARY = os.path.join(sysconfig.get_path("stdlib"), "")


class Caller(NamedTuple):
    """The line of the person's own source that an operation comes from."""

    file: str
    line: int
    function: str


@dataclass(frozen=True)
class Operation:
    """One operation that ran.

    Attributes:
      type: TensorFlow's name of it; of a function with a gradient of its own the function's.
      inputs, outputs: its tensors.
      attributes: as `backprop._gradient_function` takes them.
      caller: None where no line of the person's own leads there.
      layer: path of the innermost layer that ran it; "" outside of layers.
      optimizer: name of the optimizer whose update it is of; "" for any other.
      is_backward: whether it ran to compute a gradient.
      made: of a function with a gradient of its own what that made, for the inputs; filled in when
        a tape asks for it. None for any other.
    """

    type: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    attributes: tuple[Any, ...]
    caller: Caller | None
    layer: str
    optimizer: str = ""
    is_backward: bool = False
    made: list[Any] | None = None


@dataclass
class Gradients:
    """What a tape was asked for.

    Attributes:
      target: the tensor that was differentiated; of several the first.
      arrived: identity of a tensor to the gradient that arrives at it.
      asked: the gradients that were asked for.
    """

    target: Any
    arrived: dict[int, Any]
    asked: tuple[Any, ...] = ()


@dataclass
class Trace:
    """All that ran, in order.

    Attributes:
      operations: those of the step; of the backward pass only what the module's docstring says.
      gradients: of each tape that was asked.
      updates_from: number of the first operation after the last tape was asked.
      applied: gradients as optimizers got them.
    """

    operations: list[Operation] = field(default_factory=list)
    gradients: list[Gradients] = field(default_factory=list)
    updates_from: int = 0
    applied: list[Any] = field(default_factory=list)


class Place(NamedTuple):
    """What of a program an object is: the path of a layer, or the name of an optimizer."""

    layer: str = ""
    optimizer: str = ""


_tracing: set[int] = set()
"""The threads that keep what runs."""


def is_tracing() -> bool:
    """Whether this thread keeps what runs: an observer of the training should look away then."""
    return this_thread() in _tracing


def identity(tensor: Any) -> int:
    """What tells an eager tensor from every other one."""
    return int(tensor._id)


@contextmanager
def traced(
    place_of: Callable[[Any], Place | None], progress: Callable[[int], None] | None = None
) -> Iterator[Trace]:
    """Keeps what runs eagerly in this thread until the block ends; a `tf.function` runs so, too.

    Args:
      place_of: what an object is whose method runs; None for what is neither layer nor optimizer.
      progress: told the number of operations so far, after each.
    """
    tracer = _Tracer(place_of, progress, sys._getframe(2))
    here = this_thread()
    with exchanged(*tracer.exchanges()), operations_heard(tracer.note):
        _tracing.add(here)
        try:
            yield tracer.trace
        finally:
            _tracing.discard(here)


class _Tracer:
    """Keeps what runs in one thread.

    Args:
      place_of, progress: as `traced` takes them.
      boundary: the frame that no caller is looked for beyond.
    """

    def __init__(
        self,
        place_of: Callable[[Any], Place | None],
        progress: Callable[[int], None] | None,
        boundary: FrameType,
    ):
        self.trace = Trace()
        self._place_of = place_of
        self._progress = progress
        self._boundary = boundary
        self._is_paused = False
        # Of what runs within a gradient of its own: the operation that it is the gradient of.
        self._inside: list[Operation] = []
        self._asked = 0
        self._is_eager = True

    def exchanges(self) -> Iterator[Exchange]:
        """What is to be exchanged for it to hear of all."""
        yield Exchange(tf.GradientTape, "gradient", self._gradient)
        record, def_function = private("record"), private("def_function")
        if record is not None:
            yield Exchange(record, "record_operation", self._record_operation)
        # `tf.config.run_functions_eagerly` is a flag of the whole process. TensorFlow itself turns
        # it off for a while where it cannot do without a graph, as in `tf.vectorized_map`.
        if def_function is not None:
            function = def_function.Function
            yield Exchange(function, "_run_functions_eagerly", self._runs_eagerly)
        for module in filter(None, (def_function, private("eager_function_run"))):
            yield Exchange(module, "functions_run_eagerly", self._runs_eagerly)
            yield Exchange(module, "run_functions_eagerly", self._run_eagerly)

    def _runs_eagerly(self, original: Callable[..., bool], *function: Any) -> bool:
        return self._is_eager

    def _run_eagerly(self, original: Callable[..., None], run_eagerly: bool) -> None:
        self._is_eager = bool(run_eagerly)

    def note(
        self,
        op_type: str | bytes,
        inputs: Sequence[Any],
        attributes: Sequence[Any],
        outputs: Sequence[Any],
        op_name: str | None = None,
        graph: Any = None,
    ) -> None:
        """As TensorFlow calls it for each operation."""
        if self._is_paused or graph is not None:
            return
        name = op_type if isinstance(op_type, str) else op_type.decode()
        self._add(name, inputs, outputs, tuple(attributes), sys._getframe(1))

    def _add(
        self,
        name: str,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        attributes: tuple[Any, ...],
        frame: FrameType,
        made: list[Any] | None = None,
    ) -> Operation:
        caller, place = called_from(frame, self._boundary, self._place_of)
        operation = Operation(
            name,
            tuple(inputs),
            tuple(outputs),
            attributes,
            caller,
            place.layer or (self._inside[-1].layer if self._inside else ""),
            place.optimizer,
            bool(self._inside) or self._asked > 0,
            made,
        )
        self.trace.operations.append(operation)
        if self._progress is not None:
            self._progress(len(self.trace.operations))
        return operation

    def _record_operation(
        self,
        original: Callable[..., Any],
        op_type: str,
        output_tensors: Any,
        input_tensors: Any,
        backward_function: Any,
        forward_function: Any = None,
    ) -> Any:
        """As TensorFlow calls it, also by these names, for what has a gradient of its own."""

        def recorded(backward: Any) -> Any:
            return original(op_type, output_tensors, input_tensors, backward, forward_function)

        if self._is_paused or op_type == "ReadVariableOp" or not tf.executing_eagerly():
            return recorded(backward_function)
        inputs, outputs = _tensors(input_tensors), _tensors(output_tensors)
        made: list[Any] = []
        frame = sys._getframe(1)
        operation = self._add(op_type, inputs, outputs, (), frame, made)

        def traced_backward(*upstream: Any) -> Any:
            before, self._is_paused = self._is_paused, False
            self._inside.append(operation)
            try:
                results = backward_function(*upstream)
            finally:
                self._is_paused = before
                self._inside.pop()
            made[:] = tf.nest.flatten(results)
            return results

        return recorded(traced_backward)

    def _gradient(
        self,
        original: Callable[..., Any],
        tape: Any,
        target: Any,
        sources: Any,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        if self._is_paused:
            return original(tape, target, sources, *args, **kwargs)
        # Inputs too: the reading of a variable is no operation that callbacks hear of.
        tensors = {
            identity(each): each
            for operation in self.trace.operations
            for each in (*operation.inputs, *operation.outputs)
            if each.dtype.is_floating or each.dtype.is_complex
        }
        if tape._recording and not tape._persistent:
            tape._pop_tape()  # As `gradient` does first; then only other tapes are left.
        self._is_paused = not is_recorded()
        self._asked += 1
        try:
            wanted, arrived = original(
                tape, target, [sources, list(tensors.values())], *args, **kwargs
            )
        finally:
            self._is_paused = False
            self._asked -= 1
        known = {key: each for key, each in zip(tensors, arrived, strict=True) if each is not None}
        first = tf.nest.flatten(target)[0]
        asked = tuple(each for each in tf.nest.flatten(wanted) if each is not None)
        self.trace.gradients.append(Gradients(tf.convert_to_tensor(first), known, asked))
        self.trace.updates_from = len(self.trace.operations)
        return wanted


def is_recorded() -> bool:
    """Whether a tape records what runs now."""
    record = private("record")
    return record is not None and bool(record.could_possibly_record())


def _tensors(values: Any) -> list[Any]:
    """The eager tensors among values of any nesting, of variables what they hold."""
    leaves = tf.nest.flatten(values, expand_composites=False)
    return [each for each in leaves if isinstance(each, tf.Tensor) and hasattr(each, "_id")]


def called_from(
    frame: FrameType | None, boundary: FrameType, place_of: Callable[[Any], Place | None]
) -> tuple[Caller | None, Place]:
    """The innermost line of the person's own, and the innermost layer or optimizer."""
    caller, installed, place = None, None, None
    while frame is not None and frame is not boundary and (caller is None or place is None):
        code = frame.f_code
        if caller is None:
            kind = _kind(code.co_filename)
            if kind is _OWN:
                caller = Caller(code.co_filename, frame.f_lineno, code.co_name)
            elif kind is _INSTALLED and installed is None:
                installed = Caller(code.co_filename, frame.f_lineno, code.co_name)
        if place is None and code.co_name in _RUNS and code.co_varnames[:1] == ("self",):
            place = place_of(frame.f_locals["self"])
        frame = frame.f_back
    return caller or installed, place or Place()


_OWN, _INSTALLED, _FOREIGN = "own", "installed", "foreign"


@functools.cache
def _kind(file: str) -> str:
    """Whose a file of source is; of installed packages it may be, where nothing else is."""
    if file.startswith(_FRAMEWORK) or (file.startswith("<") and not file.startswith("<ipython")):
        return _FOREIGN
    if any(f"{os.sep}{name}{os.sep}" in file for name in ("site-packages", "dist-packages")):
        return _INSTALLED
    return _FOREIGN if file.startswith(_STANDARD_LIBRARY) else _OWN
