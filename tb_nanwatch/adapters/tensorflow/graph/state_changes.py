"""What a step changes, followed as its operations are added to a graph, by whatever code.

A variable is identified by its handle: the methods of `tf.Variable`, the raw operations of
TensorFlow 1's optimizers, `tf.random.Generator`, the functions that a step calls and the loops in
it all pass that to an operation. A value from before the step costs nothing unless it is used: a
read shares the variable's memory, and an unused read is pruned from the graph.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow import private_api
from tb_nanwatch.adapters.tensorflow.graph.function_patching import FunctionPatch, patch_functions
from tb_nanwatch.adapters.tensorflow.graph.operation_callbacks import on_operation
from tb_nanwatch.adapters.tensorflow.graph.variables import value_at

_ACTS = {
    "PyFunc": "it calls Python in tf.numpy_function",
    "EagerPyFunc": "it calls Python in tf.py_function",
    "WriteFile": "it writes a file",
    "IteratorGetNext": "it reads its data from an iterator, which cannot be rewound",
    "IteratorGetNextAsOptional": "it reads its data from an iterator, which cannot be rewound",
}
"""Operations with side effects besides writing variables, and why they cannot be run again."""

_CALLS_PYTHON = "py_func_common"
"""What `tf.numpy_function` calls, and eagerly is all that it does."""

_READS = (
    "LookupTableFind",
    "LookupTableSize",
    "LookupTableExport",
    "QueueSize",
    "Summary",
    "Destroy",
    "Delete",
)
"""Parts of the names of operations that do not change a resource other than a variable, or not in
a way that matters: summaries are not written in a rerun, and a step destroys only its own."""

_CHANGES = ("LookupTable", "Queue", "Barrier", "Stack", "Stage", "Accumulator", "OrderedMap")
"""Parts of the names of operations that do."""

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
"""Operations that run functions: the functions' operations show what they do."""


@dataclass(frozen=True)
class StateVariable:
    """A variable, or one replica's part of one.

    Attributes:
      handle: its resource.
      spec: shape and dtype.
      owner: the object that wraps it, TensorFlow's or Keras'; None where it is not known.
    """

    handle: Any
    spec: tf.TensorSpec
    owner: Any = None

    @property
    def key(self) -> int:
        """What identifies it, whichever Python object wraps it."""
        return id(self.handle)

    @property
    def nbytes(self) -> int:
        """Bytes of its value; 0 where its shape is not known."""
        return (self.spec.shape.num_elements() or 0) * int(self.spec.dtype.size)

    @property
    def is_symbolic(self) -> bool:
        """Whether it is an argument of the function being traced, which the host cannot access."""
        return not isinstance(self.handle, tf.__internal__.EagerTensor)

    def read(self) -> tf.Tensor:
        """Its value, sharing its memory; no tape records the read."""
        return value_at(self.handle, self.spec.dtype)

    def write(self, value: Any) -> None:
        """Writes `value`, sharing its memory."""
        tf.raw_ops.AssignVariableOp(resource=self.handle, value=value)


def state_variables(variables: Iterable[Any]) -> list[StateVariable]:
    """TensorFlow's or Keras' variables, each once; of replicated ones this replica's copy."""
    found: dict[int, StateVariable] = {}
    for each in variables:
        inner = getattr(each, "_value", each)  # Keras'.
        handle = getattr(inner, "handle", None)
        if handle is not None:
            spec = tf.TensorSpec(inner.shape, inner.dtype)
            found.setdefault(id(handle), StateVariable(handle, spec, each))
    return list(found.values())


def write_all(values: Iterable[tuple[StateVariable, Any]]) -> None:
    """Writes to each variable the value beside it."""
    for variable, value in values:
        variable.write(value)


_adding = threading.local()


@contextmanager
def untracked() -> Iterator[None]:
    """Marks operations that are added within as ours, not the step's: they are not followed.

    In this thread alone. It changes no name in the step either, by which Grappler sorts operations.
    """
    before = is_untracked()
    _adding.ours = True
    try:
        if not tf.inside_function():
            yield
            return
        # A scope that ends with a slash is entered as it is, whatever the current scope.
        with tf.compat.v1.get_default_graph().name_scope("nanwatch/"):
            yield
    finally:
        _adding.ours = before


def is_untracked() -> bool:
    """Whether what runs now in this thread is marked as ours."""
    return bool(getattr(_adding, "ours", False))


class StateChanges:
    """The variables that the operations of one graph read and change.

    Args:
      graph: the graph of the step.
      on_change: called before an operation that may change a variable is added.

    Attributes:
      seen: the variables that an operation has used so far, by key.
    """

    def __init__(self, graph: Any, on_change: Callable[[], None] | None = None):
        self._graph = graph
        self._on_change = on_change
        # Replicas build one graph, each in a thread of its own. A single replica's update is merged
        # in another thread than its step.
        context = tf.distribute.get_replica_context()
        several = context is not None and context.num_replicas_in_sync > 1
        self._thread = threading.get_ident() if several else None
        self._error = ""
        # Operations that may change variables, with the variables' values before each of them.
        self._given: list[tuple[Any, dict[int, tuple[StateVariable, tf.Tensor]]]] = []
        # Operations on resources that are no variables, and those that run functions.
        self._others: list[Any] = []
        # The identity of each captured tensor in the graph to the tensor outside of it.
        self._captured: dict[int, Any] = {}
        self.seen: dict[int, StateVariable] = {}

    @contextmanager
    def track(self) -> Iterator[None]:
        """Follows the operations that are added until the block ends."""
        with ExitStack() as stack:
            works = False
            with suppress(Exception):  # The step then is not analyzed, and goes on all the same.
                intercepted = private_api.on_operation_added(self._graph, self._on_operation)
                works = stack.enter_context(intercepted)
            if not (works and private_api.can_follow_changes()):
                self._error = "this version of TensorFlow does not show what it changes"
            yield

    def changed(self) -> dict[int, tuple[StateVariable, tf.Tensor]]:
        """The variables that may have been changed so far, each with its value before."""
        found: dict[int, tuple[StateVariable, tf.Tensor]] = {}
        for operation, given in self._given:
            for handle in private_api.changed_inputs(operation):
                key = id(self._outer(handle))
                if key in given:
                    found.setdefault(key, given[key])
        return found

    def refusal(self) -> str:
        """Why the step cannot be run again without side effects; "" where it can."""
        with self._safely():
            return self._error or self._refusal()
        return self._error

    def _refusal(self) -> str:
        if any(variable.is_symbolic for variable, _ in self.changed().values()):
            return "it changes a variable that is passed as an argument"
        refusals = (
            _refusal(
                {operation.type, *_types_within(operation, self._graph)},
                private_api.changed_inputs(operation),
            )
            for operation in self._others
        )
        return next(filter(None, refusals), "")

    def _outer(self, tensor: Any) -> Any:
        """The tensor outside of the graph that is captured as this one of the graph; or itself."""
        if getattr(tensor, "graph", None) is not self._graph:
            return tensor
        if id(tensor) not in self._captured:  # Not each time: a graph may capture thousands.
            self._captured = {id(inner): outer for outer, inner in tensor.graph.captures}
        return self._captured.get(id(tensor), tensor)

    def _on_operation(self, operation_type: str, inputs: list[Any]) -> Callable[[Any], None] | None:
        after: Callable[[Any], None] | None = None
        with self._safely():
            after = self._before(operation_type, inputs)
        if after is None:
            return None

        def after_operation(operation: Any) -> None:
            with self._safely():
                after(operation)

        return after_operation

    @contextmanager
    def _safely(self) -> Iterator[None]:
        """Keeps our errors away from the training, whose operation is being added."""
        try:
            yield
        except Exception as error:
            self._error = f"its changes cannot be determined ({type(error).__name__}: {error})"

    def _before(self, operation_type: str, inputs: list[Any]) -> Callable[[Any], None] | None:
        handles = [each for each in inputs if getattr(each, "dtype", None) == tf.resource]
        is_other = operation_type in _ACTS or operation_type in _CALLS
        is_elsewhere = self._thread not in (None, threading.get_ident())
        if is_untracked() or is_elsewhere or not (handles or is_other):
            return None
        with untracked():
            variables: list[StateVariable] = []
            for handle in map(self._outer, handles):
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


@contextmanager
def on_unrepeatable_operation(refuse: Callable[[str], None]) -> Iterator[None]:
    """Calls `refuse` with the reason where an operation in the block cannot be run again.

    Only for operations, and for `tf.numpy_function`, which eagerly is none: other side effects of
    Python code are not seen.
    """

    def note(op_type: Any, inputs: Sequence[Any], *_: Any, graph: Any = None, **__: Any) -> None:
        name = op_type if isinstance(op_type, str) else op_type.decode()
        handles = [each for each in inputs if getattr(each, "dtype", None) == tf.resource]
        is_read = private_api.is_read_only(name)
        types = {name, *private_api.types_within(name)}
        refusal = "" if graph is not None else _refusal(types, () if is_read else handles)
        if refusal:
            refuse(refusal)

    def call_python(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if tf.executing_eagerly():
            refuse(_ACTS["PyFunc"])
        return original(*args, **kwargs)

    script_ops = private_api.private("script_ops")
    patches = [] if script_ops is None else [FunctionPatch(script_ops, _CALLS_PYTHON, call_python)]
    with on_operation(note), patch_functions(*patches):
        yield


def _refusal(types: Collection[str], changed: Iterable[Any]) -> str:
    """Why an operation cannot be run again; "" where it can.

    Args:
      types: its own, and those of the operations of the functions that it runs.
      changed: the resources that it may change.
    """
    for each in sorted(set(_ACTS) & set(types)):
        return _ACTS[each]
    if all(private_api.variable_spec(each) is not None for each in changed):
        return ""
    others = [each for each in sorted(types) if not any(name in each for name in _READS)]
    if len(types) > 1:  # Of functions it is not known which operation changes it.
        others = [each for each in others if any(name in each for name in _CHANGES)]
    return f"it changes state outside of variables ({others[0]})" if others else ""


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
