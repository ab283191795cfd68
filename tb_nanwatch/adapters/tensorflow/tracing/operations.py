"""Runs a function eagerly and keeps every operation: inputs, outputs, and the line that called it.

TensorFlow calls `op_callbacks` after each eager operation, as `tf.debugging` uses them. When the
step asks a gradient tape for gradients, the tape is asked for those of every intermediate tensor,
too: so the gradient at each operation is known, whatever loop or `train_step` owns the tape. A
function with a custom gradient (`tf.custom_gradient`) counts as one operation, and what its
gradient computes as operations of the backward pass; so does all that a tape computes while
another one records it.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.function_patching import (
    FunctionPatch,
    patch_functions,
    this_thread,
)
from tb_nanwatch.adapters.tensorflow.graph.operation_callbacks import on_operation
from tb_nanwatch.adapters.tensorflow.graph.tapes import is_recorded
from tb_nanwatch.adapters.tensorflow.private_api import private
from tb_nanwatch.training.failing_step.trace import (
    CallSite,
    Gradients,
    Owner,
    Trace,
    TracedOperation,
)

_OURS = os.fspath(Path(os.path.abspath(__file__)).parents[3])
_PACKAGES = ("tensorflow", "keras", "tf_keras", "optree", "tree", "wrapt")
_FRAMEWORK = (
    os.path.join(_OURS, ""),
    *(
        os.path.join(os.path.abspath(folder), "")
        for spec in map(importlib.util.find_spec, _PACKAGES)
        for folder in (spec is not None and spec.submodule_search_locations) or ()
    ),
)
"""Folders with code that is not the user's: the frameworks, and what calls back for them."""

_RUNS = frozenset({"call", "__call__", "apply", "apply_gradients"})
"""Methods by which layers, modules and optimizers run."""

_STANDARD_LIBRARY = os.path.join(sysconfig.get_path("stdlib"), "")


_tracing: set[int] = set()
"""The threads that are tracing."""


def is_tracing() -> bool:
    """Whether this thread is tracing a step, which then is not to be recorded."""
    return this_thread() in _tracing


def identity(tensor: Any) -> int:
    """A number that no other eager tensor has."""
    return int(tensor._id)


@contextmanager
def trace_operations(
    owner_of: Callable[[Any], Owner | None], progress: Callable[[int], None] | None = None
) -> Iterator[Trace]:
    """Traces what runs in this thread until the block ends; `tf.function`s run eagerly.

    Args:
      owner_of: which layer or optimizer an object is; None for neither.
      progress: called with the number of operations so far, after each.
    """
    tracer = _Tracer(owner_of, progress, sys._getframe(2))
    here = this_thread()
    with patch_functions(*tracer.patches()), on_operation(tracer.note):
        _tracing.add(here)
        try:
            yield tracer.trace
        finally:
            _tracing.discard(here)


class _Tracer:
    """Traces what runs in one thread.

    Args:
      owner_of, progress: as `traced` takes them.
      boundary: the frame beyond which no call site is looked for.
    """

    def __init__(
        self,
        owner_of: Callable[[Any], Owner | None],
        progress: Callable[[int], None] | None,
        boundary: FrameType,
    ):
        self.trace = Trace()
        self._owner_of = owner_of
        self._progress = progress
        self._boundary = boundary
        self._is_paused = False
        # The operations whose custom gradients are being computed.
        self._inside: list[TracedOperation] = []
        self._gradient_depth = 0
        self._is_eager = True

    def patches(self) -> Iterator[FunctionPatch]:
        """The functions to replace, to see everything."""
        yield FunctionPatch(tf.GradientTape, "gradient", self._gradient)
        record, def_function = private("record"), private("def_function")
        if record is not None:
            yield FunctionPatch(record, "record_operation", self._record_operation)
        # `tf.config.run_functions_eagerly` is a flag of the whole process. TensorFlow itself turns
        # it off for a while where it cannot do without a graph, as in `tf.vectorized_map`.
        if def_function is not None:
            function = def_function.Function
            yield FunctionPatch(function, "_run_functions_eagerly", self._runs_eagerly)
        for module in filter(None, (def_function, private("eager_function_run"))):
            yield FunctionPatch(module, "functions_run_eagerly", self._runs_eagerly)
            yield FunctionPatch(module, "run_functions_eagerly", self._run_eagerly)

    def _runs_eagerly(self, original: Callable[..., bool], *function: Any) -> bool:
        return self._is_eager

    def _run_eagerly(self, original: Callable[..., None], run_eagerly: bool) -> None:
        self._is_eager = bool(run_eagerly)

    def note(
        self,
        op_type: str | bytes,
        inputs: Sequence[Any],
        attributes: Sequence[Any],
        outputs: Sequence[Any] | None,
        op_name: str | None = None,
        graph: Any = None,
    ) -> None:
        """Adds an operation, as TensorFlow calls `op_callbacks`."""
        if self._is_paused or graph is not None:
            return
        name = op_type if isinstance(op_type, str) else op_type.decode()
        self._add(name, inputs, outputs or (), tuple(attributes), sys._getframe(1))

    def _add(
        self,
        name: str,
        inputs: Sequence[Any],
        outputs: Sequence[Any],
        attributes: tuple[Any, ...],
        frame: FrameType,
        custom_gradients: list[Any] | None = None,
    ) -> TracedOperation:
        call_site, owner = called_from(frame, self._boundary, self._owner_of)
        operation = TracedOperation(
            name,
            tuple(inputs),
            tuple(outputs),
            attributes,
            call_site,
            owner.layer or (self._inside[-1].layer if self._inside else ""),
            owner.optimizer,
            bool(self._inside) or self._gradient_depth > 0,
            custom_gradients,
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
        """Replaces TensorFlow's, with its argument names: adds a function with its own gradient."""

        def record_with(backward: Any) -> Any:
            return original(op_type, output_tensors, input_tensors, backward, forward_function)

        if self._is_paused or op_type == "ReadVariableOp" or not tf.executing_eagerly():
            return record_with(backward_function)
        inputs, outputs = _tensors(input_tensors), _tensors(output_tensors)
        custom_gradients: list[Any] = []
        frame = sys._getframe(1)
        operation = self._add(op_type, inputs, outputs, (), frame, custom_gradients)

        def traced_backward(*upstream: Any) -> Any:
            before, self._is_paused = self._is_paused, False
            self._inside.append(operation)
            try:
                results = backward_function(*upstream)
            finally:
                self._is_paused = before
                self._inside.pop()
            custom_gradients[:] = tf.nest.flatten(results)
            return results

        return record_with(traced_backward)

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
        # Inputs too: callbacks are not called for the read of a variable.
        tensors = {
            identity(each): each
            for operation in self.trace.operations
            for each in (*operation.inputs, *operation.outputs)
            if each.dtype.is_floating or each.dtype.is_complex
        }
        if tape._recording and not tape._persistent:
            tape._pop_tape()  # As `gradient` does first. Then only other tapes are left.
        self._is_paused = not is_recorded()
        self._gradient_depth += 1
        try:
            wanted, gradients = original(
                tape, target, [sources, list(tensors.values())], *args, **kwargs
            )
        finally:
            self._is_paused = False
            self._gradient_depth -= 1
        known = {
            key: each for key, each in zip(tensors, gradients, strict=True) if each is not None
        }
        first = tf.nest.flatten(target)[0]
        requested = tuple(each for each in tf.nest.flatten(wanted) if each is not None)
        self.trace.gradients.append(Gradients(tf.convert_to_tensor(first), known, requested))
        self.trace.first_update = len(self.trace.operations)
        return wanted


def _tensors(values: Any) -> list[Any]:
    """The eager tensors among nested values."""
    leaves = tf.nest.flatten(values, expand_composites=False)
    return [each for each in leaves if isinstance(each, tf.Tensor) and hasattr(each, "_id")]


def called_from(
    frame: FrameType | None, boundary: FrameType, owner_of: Callable[[Any], Owner | None]
) -> tuple[CallSite | None, Owner]:
    """The innermost line of the user's code, and the innermost layer or optimizer."""
    call_site, installed, owner = None, None, None
    while frame is not None and frame is not boundary and (call_site is None or owner is None):
        code = frame.f_code
        if call_site is None:
            kind = _kind(code.co_filename)
            if kind is _OWN:
                call_site = _as_written(frame) or _call_site(code, frame.f_lineno, frame.f_lasti)
            elif kind is _INSTALLED and installed is None:
                installed = _call_site(code, frame.f_lineno, frame.f_lasti)
        if owner is None and code.co_name in _RUNS and code.co_varnames[:1] == ("self",):
            # Attributes of the user's objects, which may be properties that raise.
            with suppress(Exception):
                owner = owner_of(frame.f_locals["self"])
        frame = frame.f_back
    return call_site or installed, owner or Owner()


def _as_written(frame: FrameType) -> CallSite | None:
    """The user's line of which AutoGraph has made that of the frame; None for code as written.

    Keras 2 runs a loss of the user's own so, also eagerly. What calls the generated function holds
    a map of its lines.
    """
    file, line = frame.f_code.co_filename, frame.f_lineno
    if not os.path.basename(file).startswith("__autograph_generated_file"):
        return None
    caller = frame.f_back
    while caller is not None:
        lines = getattr(caller.f_locals.get("converted_f"), "ag_source_map", {})
        for generated, origin in lines.items():
            if (generated.filename, generated.lineno) == (file, line):
                return CallSite(origin.loc.filename, origin.loc.lineno, origin.function_name, None)
        caller = caller.f_back
    return None


@functools.lru_cache(maxsize=4096)
def _call_site(code: CodeType, line: int, instruction: int) -> CallSite:
    columns = None
    if hasattr(code, "co_positions"):  # Since Python 3.11.
        first, last, start, end = next(islice(code.co_positions(), instruction // 2, None))
        if first == last == line and start is not None and end is not None:
            columns = start, end
    return CallSite(code.co_filename, line, code.co_name, columns)


_OWN, _INSTALLED, _FOREIGN = "own", "installed", "foreign"


@functools.cache
def _kind(file: str) -> str:
    """Whose code a file is. An installed package counts as the user's if nothing else does."""
    if file.startswith(_FRAMEWORK) or (file.startswith("<") and not file.startswith("<ipython")):
        return _FOREIGN
    if any(f"{os.sep}{name}{os.sep}" in file for name in ("site-packages", "dist-packages")):
        return _INSTALLED
    return _FOREIGN if file.startswith(_STANDARD_LIBRARY) else _OWN
