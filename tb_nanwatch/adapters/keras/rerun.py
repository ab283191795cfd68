"""Runs a step of a Keras model once more, operation by operation, and leaves all as it was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras.layer_outputs import hands_on, relative_path
from tb_nanwatch.adapters.keras.optimizers import applied_by, find_optimizers
from tb_nanwatch.adapters.keras.spies import Spies, Spy
from tb_nanwatch.adapters.keras.step_state import variables_of
from tb_nanwatch.adapters.tensorflow.assignments import heard, key_of, read_by
from tb_nanwatch.adapters.tensorflow.operation_origin import Search, find_origin, is_bad
from tb_nanwatch.adapters.tensorflow.operations import Place, Trace, traced
from tb_nanwatch.adapters.tensorflow.tensors import variable_path
from tb_nanwatch.adapters.tensorflow.variables import value_of


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

    def place(owner: Any) -> Place | None:
        return None if owner is model else place_of(owner, model)

    read = [each.value for each in model.variables if tf.as_dtype(each.dtype).is_floating]
    values = [tf.convert_to_tensor(each) for each in read]
    with unchanged(model), put_back_others(), traced(place, progress) as trace:
        spied = [Spy(each, "apply", partial(_apply, trace)) for each in find_optimizers(model)]
        spies: Spies[str] = Spies()
        with spies.report_to("rerun", spied):
            train_step(data)
    return find_origin(trace, tensors_of(data), values)


class ExaminedFunction:
    """A step function of a custom loop, run operation by operation.

    Args:
      function: does the step, without arguments.
    """

    def __init__(self, function: Callable[[], Any]):
        self._function = function
        self._found: dict[int, tuple[Any, tf.Tensor]] = {}

    def examine(self, batch: Any, progress: Callable[[int], None]) -> Search:
        """Runs the step eagerly, with its update where that is finite; puts back what it moved."""
        assigned: dict[int, Any] = {}

        def find(variable: Any) -> None:
            if key_of(variable) not in self._found:
                self._found[key_of(variable)] = variable, value_of(variable)

        def hear(variable: Any) -> None:
            find(variable)
            assigned[key_of(variable)] = variable

        try:
            with (
                read_by(find),
                heard(hear),
                traced(place_of, progress) as trace,
                applied_by(partial(_apply, trace)),
            ):
                self._function()
        finally:
            for key, variable in assigned.items():
                variable.assign(self._found[key][1])
        values = [value for _, value in self._found.values() if value.dtype.is_floating]
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


def tensors_of(data: Any) -> list[Any]:
    """The tensors of a batch."""
    leaves = tf.nest.flatten(data, expand_composites=True)
    return [leaf for leaf in leaves if isinstance(leaf, tf.Tensor)]


def place_of(owner: Any, model: Any = None) -> Place | None:
    """What of a program an object is; paths of layers relative to the model, where there is one."""
    if isinstance(owner, keras.optimizers.Optimizer):
        name = type(owner).__name__
        is_kerass = type(owner).__module__.partition(".")[0] == "keras"
        return Place(optimizer=f"keras.optimizers.{name}" if is_kerass else name)
    if isinstance(owner, keras.Operation):
        if hands_on(owner):
            return None
        path = getattr(owner, "path", None) or owner.name
        return Place(path if model is None else relative_path(path, model))
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
def unchanged(model: Any) -> Iterator[None]:
    """Puts all variables back when the block ends, however it ends."""
    # A read shares the variable's memory until something is assigned.
    parts = [part for each in variables_of(model) for part in _parts(each.value)]
    before = [(part, part.read_value()) for part in parts]
    try:
        yield
    finally:
        for part, value in before:
            part.assign(value)


def _parts(variable: Any) -> Sequence[Any]:
    """Of a variable that several replicas have each a copy of, these; itself otherwise."""
    return getattr(variable, "values", None) or (variable,)


@contextmanager
def as_found(model: Any, before: Iterable[tuple[Any, tf.Tensor]]) -> Iterator[None]:
    """Until the block ends variables hold what they did before, in each of several replicas."""
    with unchanged(model):
        for variable, value in before:
            for part in _parts(variable.value):
                part.assign(value)
        yield


@contextmanager
def put_back_others() -> Iterator[None]:
    """Puts back, when the block ends, whatever `tf.Variable` it has assigned to."""
    before: dict[int, tuple[Any, tf.Tensor]] = {}

    def hear(variable: Any) -> None:
        if key_of(variable) not in before:
            before[key_of(variable)] = variable, value_of(variable)

    try:
        with heard(hear):
            yield
    finally:
        for variable, value in before.values():
            variable.assign(value)


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
    leaves = [leaf for leaf in tf.nest.flatten(data) if isinstance(leaf, tf.Tensor)]
    sizes = {leaf.shape[0] for leaf in leaves if leaf.shape.rank}
    return sizes.pop() if len(sizes) == 1 else None
