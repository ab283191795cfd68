"""Runs a function eagerly and keeps every operation: what went in and out, and who called it.

TensorFlow tells callbacks of each eager operation (`op_callbacks`, what `tf.debugging` itself
uses). What a gradient tape is asked for is asked of it for every intermediate tensor, too: so the
gradient that arrives at each operation is known, whatever loop or `train_step` owns the tape.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, NamedTuple

import tensorflow as tf
from tensorflow.python.framework import op_callbacks

_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SITE = os.path.dirname(os.path.dirname(os.path.abspath(tf.__file__)))
_FRAMEWORK = (
    os.path.join(_OURS, ""),
    *(os.path.join(_SITE, name, "") for name in ("tensorflow", "keras")),
)
"""Where code lies that is not the person's own."""

_STANDARD_LIBRARY = os.path.join(sysconfig.get_path("stdlib"), "")
_PACKAGES = f"{os.sep}site-packages{os.sep}"


class Caller(NamedTuple):
    """The line of the person's own source that an operation comes from."""

    file: str
    line: int
    function: str


@dataclass(frozen=True)
class Operation:
    """One operation that ran.

    Attributes:
      type: TensorFlow's name of it.
      inputs, outputs: its tensors.
      attributes: as `backprop._gradient_function` takes them.
      caller: None where no line of the person's own leads there.
      layer: path of the innermost layer that ran it; "" outside of layers.
    """

    type: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    attributes: tuple[Any, ...]
    caller: Caller | None
    layer: str


@dataclass
class Gradients:
    """What a tape was asked for.

    Attributes:
      target: the tensor that was differentiated; of several the first.
      arrived: identity of a tensor to the gradient that arrives at it.
    """

    target: Any
    arrived: dict[int, Any]


@dataclass
class Trace:
    """All that ran, in order.

    Attributes:
      operations: those of the forward pass.
      gradients: of each tape that was asked.
    """

    operations: list[Operation] = field(default_factory=list)
    gradients: list[Gradients] = field(default_factory=list)


def identity(tensor: Any) -> int:
    """What tells an eager tensor from every other one."""
    return int(tensor._id)


@contextmanager
def traced(
    layer_of: Callable[[Any], str | None], progress: Callable[[int], None] | None = None
) -> Iterator[Trace]:
    """Keeps what runs eagerly in this thread until the block ends.

    Args:
      layer_of: path of the layer that an object is; None where it is none.
      progress: told the number of operations so far, after each.
    """
    trace = Trace()
    boundary = sys._getframe(2)
    is_paused = False
    original = tf.GradientTape.gradient

    def note(
        op_type: str | bytes,
        inputs: Sequence[Any],
        attributes: Sequence[Any],
        outputs: Sequence[Any],
        op_name: str | None = None,
        graph: Any = None,
    ) -> None:
        if is_paused or graph is not None:
            return
        name = op_type if isinstance(op_type, str) else op_type.decode()
        caller, layer = _called_from(sys._getframe(1), boundary, layer_of)
        trace.operations.append(
            Operation(name, tuple(inputs), tuple(outputs), tuple(attributes), caller, layer)
        )
        if progress is not None:
            progress(len(trace.operations))

    def gradient(tape: Any, target: Any, sources: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal is_paused
        if is_paused:
            return original(tape, target, sources, *args, **kwargs)
        # Inputs too: the reading of a variable is no operation that callbacks hear of.
        tensors = {
            identity(each): each
            for operation in trace.operations
            for each in (*operation.inputs, *operation.outputs)
            if each.dtype.is_floating or each.dtype.is_complex
        }
        is_paused = True
        try:
            wanted, arrived = original(
                tape, target, [sources, list(tensors.values())], *args, **kwargs
            )
        finally:
            is_paused = False
        known = {key: each for key, each in zip(tensors, arrived, strict=True) if each is not None}
        first = tf.nest.flatten(target)[0]
        trace.gradients.append(Gradients(tf.convert_to_tensor(first), known))
        return wanted

    was_eager = tf.config.functions_run_eagerly()
    tf.GradientTape.gradient = gradient
    tf.config.run_functions_eagerly(True)
    op_callbacks.add_op_callback(note)
    try:
        yield trace
    finally:
        op_callbacks.remove_op_callback(note)
        tf.config.run_functions_eagerly(was_eager)
        tf.GradientTape.gradient = original


def _called_from(
    frame: FrameType | None, boundary: FrameType, layer_of: Callable[[Any], str | None]
) -> tuple[Caller | None, str]:
    """The innermost line of the person's own, and the innermost layer, up to the boundary."""
    caller, layer = None, None
    while frame is not None and frame is not boundary and (caller is None or layer is None):
        code = frame.f_code
        if caller is None and _is_own(code.co_filename):
            caller = Caller(code.co_filename, frame.f_lineno, code.co_name)
        if layer is None and code.co_name == "call" and code.co_varnames[:1] == ("self",):
            layer = layer_of(frame.f_locals["self"])
        frame = frame.f_back
    return caller, layer or ""


def _is_own(file: str) -> bool:
    if file.startswith(("<", *_FRAMEWORK)):
        return False
    return _PACKAGES in file or not file.startswith(_STANDARD_LIBRARY)
