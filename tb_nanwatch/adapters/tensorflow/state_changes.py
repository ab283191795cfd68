"""What a step changes, heard of as its operations are added to a graph, whoever adds them.

A variable is known by its handle: the methods of `tf.Variable`, the raw operations of the
optimizers of TensorFlow 1, `tf.random.Generator`, the functions that a step calls and the loops in
it all hand that to an operation. What a variable held before costs nothing unless somebody holds on
to it: a read shares the variable's memory, and what nobody uses is dropped from the graph.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow import private_api

_ACTS = {
    "PyFunc": "it calls Python by tf.numpy_function",
    "EagerPyFunc": "it calls Python by tf.py_function",
    "IteratorGetNext": "it takes its data from an iterator, which cannot be asked again",
    "IteratorGetNextAsOptional": "it takes its data from an iterator, which cannot be asked again",
}
"""Operations that act on the world outside of variables, and what to say of them."""

_CALLS = frozenset(
    {
        "PartitionedCall",
        "StatefulPartitionedCall",
        "If",
        "StatelessIf",
        "While",
        "StatelessWhile",
        "Case",
        "StatelessCase",
    }
)
"""Operations that run functions: what is in these says what they do."""


@dataclass(frozen=True)
class StateVariable:
    """A variable, or one replica's part of one.

    Attributes:
      handle: its resource.
      spec: shape and dtype.
      owner: the object that it was found in, TensorFlow's or Keras's; None where it is not known.
    """

    handle: Any
    spec: tf.TensorSpec
    owner: Any = None

    @property
    def key(self) -> int:
        """What tells it from every other one, whichever object stands for it."""
        return id(self.handle)

    @property
    def nbytes(self) -> int:
        """Bytes of what it holds; 0 where its shape is not known."""
        return (self.spec.shape.num_elements() or 0) * int(self.spec.dtype.size)

    @property
    def is_symbolic(self) -> bool:
        """Whether it is an argument of the function being traced: out of the host's reach."""
        return not isinstance(self.handle, tf.__internal__.EagerTensor)

    def read(self) -> tf.Tensor:
        """What it holds, sharing its memory; no tape hears of it."""
        return tf.raw_ops.ReadVariableOp(resource=self.handle, dtype=self.spec.dtype)

    def write(self, value: Any) -> None:
        """Has it hold `value`, sharing its memory."""
        tf.raw_ops.AssignVariableOp(resource=self.handle, value=value)


def state_variables(variables: Iterable[Any]) -> list[StateVariable]:
    """Those of TensorFlow's or Keras's variables, each once; of replicas the one that runs now."""
    found: dict[int, StateVariable] = {}
    for each in variables:
        inner = getattr(each, "_value", each)  # Keras's.
        handle = getattr(inner, "handle", None)
        if handle is not None:
            spec = tf.TensorSpec(inner.shape, inner.dtype)
            found.setdefault(id(handle), StateVariable(handle, spec, each))
    return list(found.values())


class StateChanges:
    """What the operations of one graph read and change.

    Args:
      graph: the graph of the step.
      on_change: called before an operation that may change a variable is added.

    Attributes:
      seen: the variables that an operation was given so far, by their keys.
    """

    def __init__(self, graph: Any, on_change: Callable[[], None] | None = None):
        self._graph = graph
        self._on_change = on_change
        self._is_paused = False
        self._trouble = ""
        # Operations that may change variables, and what these held before each of them.
        self._given: list[tuple[Any, dict[int, tuple[StateVariable, tf.Tensor]]]] = []
        # Those that are given what is no variable, and those that run functions.
        self._others: list[Any] = []
        self.seen: dict[int, StateVariable] = {}

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hears of the operations that are added until the block ends."""
        with ExitStack() as stack:
            works = False
            with suppress(Exception):  # Then it is not looked into, and goes on all the same.
                intercepted = private_api.operations_intercepted(self._graph, self._hear)
                works = stack.enter_context(intercepted)
            if not works:
                self._trouble = "this version of TensorFlow does not tell what it changes"
            yield

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Does not hear of what is added within, which is ours."""
        before, self._is_paused = self._is_paused, True
        try:
            yield
        finally:
            self._is_paused = before

    def changed(self) -> dict[int, tuple[StateVariable, tf.Tensor]]:
        """The variables that may have been changed so far, and what each held before."""
        found: dict[int, tuple[StateVariable, tf.Tensor]] = {}
        outside = self._outside()
        for operation, given in self._given:
            for handle in private_api.changed_inputs(operation):
                key = id(outside.get(id(handle), handle))
                if key in given:
                    found.setdefault(key, given[key])
        return found

    def refusal(self) -> str:
        """Why the step cannot be run once more without a trace; "" where it can."""
        if self._trouble:
            return self._trouble
        if any(variable.is_symbolic for variable, _ in self.changed().values()):
            return "it changes a variable that it is given as an argument"
        for operation in self._others:
            types = {operation.type} | _types_within(operation, self._graph)
            for each in sorted(types & set(_ACTS)):
                return _ACTS[each]
            is_summary = operation.type.startswith("Write") or "Summary" in operation.type
            for handle in private_api.changed_inputs(operation):
                # Summaries are switched off when a step is run again.
                if private_api.variable_spec(handle) is None and not is_summary:
                    return f"it changes what no variable holds ({operation.type})"
        return ""

    def _outside(self) -> dict[int, Any]:
        """By the identity of a tensor in the graph what it stands for outside of it."""
        return {id(inner): outer for outer, inner in self._graph.captures}

    def _hear(self, operation_type: str, inputs: list[Any]) -> Callable[[Any], None] | None:
        try:
            return self._before(operation_type, inputs)
        except Exception as error:  # The operation, which is the training's, is added all the same.
            self._trouble = f"what it changes could not be told ({type(error).__name__}: {error})"
            return None

    def _before(self, operation_type: str, inputs: list[Any]) -> Callable[[Any], None] | None:
        handles = [each for each in inputs if getattr(each, "dtype", None) == tf.resource]
        is_other = operation_type in _ACTS or operation_type in _CALLS
        if self._is_paused or not (handles or is_other):
            return None
        with self.paused():
            outside = self._outside() if handles else {}
            variables: list[StateVariable] = []
            for handle in handles:
                handle = outside.get(id(handle), handle)
                spec = private_api.variable_spec(handle)
                if spec is not None:
                    variable = StateVariable(handle, spec)
                    variables.append(self.seen.setdefault(variable.key, variable))
            is_other |= len(variables) < len(handles)
            if private_api.is_read_only(operation_type):
                return None
            if variables and self._on_change is not None:
                self._on_change()
            given = {each.key: (each, each.read()) for each in variables}
        return functools.partial(self._after, given, is_other)

    def _after(
        self, given: dict[int, tuple[StateVariable, tf.Tensor]], is_other: bool, operation: Any
    ) -> None:
        if given:
            self._given.append((operation, given))
        if is_other:
            self._others.append(operation)


def _types_within(operation: Any, graph: Any) -> set[str]:
    """The types of the operations of the functions that an operation runs."""
    if operation.type not in _CALLS:
        return set()
    functions = [
        function.name
        for attribute in operation.node_def.attr.values()
        for function in (attribute.func, *attribute.list.func)
        if function.name
    ]
    return {kind for name in functions for kind in private_api.types_within(name, graph)}
