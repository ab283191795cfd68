"""Runs a step of a Keras model once more, operation by operation, and leaves all as it was."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras.instrument.call_graph import is_pass_through
from tb_nanwatch.adapters.keras.instrument.method_patching import Spies, Spy
from tb_nanwatch.adapters.keras.instrument.model_state import variables_of
from tb_nanwatch.adapters.keras.instrument.optimizers import applied_by, find_optimizers
from tb_nanwatch.adapters.keras.instrument.paths import Paths
from tb_nanwatch.adapters.tensorflow import private_api
from tb_nanwatch.adapters.tensorflow.graph.operation_callbacks import operations_heard
from tb_nanwatch.adapters.tensorflow.graph.state_changes import (
    StateVariable,
    state_variables,
    write_all,
)
from tb_nanwatch.adapters.tensorflow.graph.variables import value_of
from tb_nanwatch.adapters.tensorflow.tensors import variable_path
from tb_nanwatch.adapters.tensorflow.tracing.operations import Place, Trace, traced
from tb_nanwatch.adapters.tensorflow.tracing.origin import Search, find_origin, is_bad
from tb_nanwatch.adapters.tensorflow.tracing.variable_hooks import heard, key_of, read_by


def examine(
    model: Any, train_step: Callable[[Any], Any], data: Any, progress: Callable[[int], None]
) -> Search:
    """Runs the step eagerly, with its update where that is finite, and looks for the origin.

    Args:
      model: the model, in the state before the step.
      train_step: its own, bound.
      data: the batch.
      progress: told the number of operations so far, after each.
    """

    paths = Paths(model)

    def place(owner: Any) -> Place | None:
        return None if owner is model else place_of(owner, paths)

    read = [each.value for each in model.variables if tf.as_dtype(each.dtype).is_floating]
    values = [tf.convert_to_tensor(each) for each in read]
    with without_a_trace(), traced(place, progress) as trace:
        spied = [Spy(each, "apply", partial(_apply, trace)) for each in find_optimizers(model)]
        spies: Spies[str] = Spies()
        with spies.report_to("rerun", spied):
            train_step(data)
    return find_origin(trace, tensors_of(data), values)


class ExaminedFunction:
    """A step function of a custom loop, run operation by operation.

    Args:
      function: does the step of a batch.
      known: keys of the variables that hold what they did before the step.
    """

    def __init__(self, function: Callable[[Any], Any], known: Collection[int] | None = None):
        self._function = function
        self._known = known
        self._found: dict[int, tuple[Any, tf.Tensor]] = {}

    def examine(self, batch: Any, progress: Callable[[int], None]) -> Search:
        """Runs the step eagerly, with its update where that is finite; puts back what it moved."""

        def find(variable: Any) -> None:
            if key_of(variable) not in self._found:
                self._found[key_of(variable)] = variable, value_of(variable)

        with (
            without_a_trace() as changed,
            read_by(find),
            heard(find),
            traced(place_of, progress) as trace,
            applied_by(partial(_apply, trace)),
        ):
            self._function(batch)
        # What the step has changed since, nobody knows from before it.
        unknown = set() if self._known is None else changed - set(self._known)
        values = [
            value
            for key, (_, value) in self._found.items()
            if value.dtype.is_floating and key not in unknown
        ]
        return find_origin(trace, tensors_of(batch), values)

    def state(self) -> dict[str, Any]:
        """What the variables held that the step read or assigned to, by number and name."""
        return {
            f"{number:06d}/{variable_path(variable)}": value.numpy()
            for number, (variable, value) in enumerate(self._found.values())
        }

    def restore(self, state: Mapping[str, Any]) -> list[str]:
        """Sets the variables to such a state, by their names; those for which there is none.

        They are known when the step has run once.
        """
        found: dict[str, list[Any]] = {}
        for variable, _ in self._found.values():
            found.setdefault(variable_path(variable), []).append(variable)
        missing = []
        for key in sorted(state):
            name = key.partition("/")[2]
            waiting = found.get(name, [])
            if waiting and tuple(waiting[0].shape) == state[key].shape:
                waiting.pop(0).assign(state[key])
            else:
                missing.append(name)
        self._found.clear()
        return missing


def arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by their places or names: a batch."""
    return {**{str(number): each for number, each in enumerate(args)}, **kwargs}


def call_with(function: Callable[..., Any], batch: Mapping[str, Any]) -> Any:
    """Calls a function with such a batch."""
    places = sorted((key for key in batch if key.isdigit()), key=int)
    named = {key: each for key, each in batch.items() if not key.isdigit()}
    return function(*(batch[key] for key in places), **named)


def tensors_of(data: Any) -> list[Any]:
    """The tensors and arrays of a batch."""
    leaves = tf.nest.flatten(data, expand_composites=True)
    return [leaf for leaf in leaves if isinstance(leaf, (tf.Tensor, np.ndarray))]


def place_of(owner: Any, paths: Paths | None = None) -> Place | None:
    """What of a program an object is; layers by their paths in the model, where there is one."""
    if isinstance(owner, keras.optimizers.Optimizer):
        name = type(owner).__name__
        is_kerass = type(owner).__module__.partition(".")[0] == "keras"
        return Place(optimizer=f"keras.optimizers.{name}" if is_kerass else name)
    if isinstance(owner, keras.Operation):
        if is_pass_through(owner):
            return None
        if paths is not None and isinstance(owner, keras.layers.Layer):
            return Place(paths.layer(owner))
        return Place(getattr(owner, "path", None) or owner.name)
    if isinstance(owner, tf.Module):
        return Place(owner.name_scope.name.strip("/"))
    return None


def _apply(
    trace: Trace, observer: Any, original: Callable[..., Any], grads: Any, *args: Any, **kwargs: Any
) -> None:
    """In place of an optimizer's `apply`: of gradients that are not finite nothing is made."""
    grads = list(grads)
    found = [tf.convert_to_tensor(each) for each in grads if each is not None]
    trace.applied += found
    if not any(map(is_bad, found)):
        original(grads, *args, **kwargs)


@contextmanager
def as_before(before: Iterable[tuple[StateVariable, Any]]) -> Iterator[None]:
    """Until the block ends variables hold what they did before, in each of several replicas."""
    parts = [(part, value) for variable, value in before for part in _replicas_of(variable)]
    now = [(part, part.read()) for part, _ in parts]
    try:
        write_all(parts)
        yield
    finally:
        write_all(now)


def _replicas_of(variable: StateVariable) -> Sequence[StateVariable]:
    """Of a variable that several replicas have each a copy of, these; itself otherwise."""
    inner = getattr(variable.owner, "_value", variable.owner)
    return state_variables(getattr(inner, "values", ())) or (variable,)


@contextmanager
def without_a_trace() -> Iterator[set[int]]:
    """Puts back, when the block ends, whatever variable it has changed, however it did so.

    Of this thread alone: others may be training. Summaries are not written meanwhile.

    Yields:
      The keys of the variables changed so far.
    """
    # What a variable holds is shared with it until somebody changes it.
    before = {each.key: (each, each.read()) for each in _every_variable()}
    changed: set[int] = set()

    def note(op_type: Any, inputs: Sequence[Any], *_: Any, graph: Any = None, **__: Any) -> None:
        kind = op_type if isinstance(op_type, str) else op_type.decode()
        if graph is None and not private_api.is_read_only(kind):
            changed.update(map(id, inputs))

    try:
        with operations_heard(note), tf.summary.record_if(False):
            yield changed
    finally:
        write_all(before[key] for key in changed & before.keys())


def _every_variable() -> Iterator[StateVariable]:
    """The variables of the process that hold something; once each."""
    kinds: dict[type, bool] = {}
    found = []
    for each in gc.get_objects():
        kind = type(each)
        if kind not in kinds:
            kinds[kind] = issubclass(kind, tf.Variable)
        if kinds[kind]:
            found.append(each)
    for each in found:
        try:  # One of several replicas, outside of them, has no handle; its parts are found, too.
            (variable,) = state_variables([each])
            if not variable.is_symbolic and each.is_initialized():
                yield variable
        except Exception:
            continue


def state_of(model: Any) -> dict[str, Any]:
    """All that a step may change, as arrays, by number and path."""
    variables = variables_of(model)
    return {f"{n:06d}/{each.path}": each.numpy() for n, each in enumerate(variables)}


def batch_of(data: Any) -> dict[str, Any]:
    """The arrays of a batch by their place, such as "0" or "1/mask"; without sparse tensors."""
    return {
        "/".join(map(str, place)): np.asarray(leaf)
        for place, leaf in keras.tree.flatten_with_path(data)
        if isinstance(leaf, (tf.Tensor, np.ndarray, np.generic, int, float))
    }


def rows_of(data: Any) -> int | None:
    """How many rows the batch has; None where its tensors do not agree on it."""
    leaves = [x for x in tf.nest.flatten(data) if isinstance(x, (tf.Tensor, np.ndarray))]
    sizes = {leaf.shape[0] for leaf in leaves if len(leaf.shape)}
    return sizes.pop() if len(sizes) == 1 else None
