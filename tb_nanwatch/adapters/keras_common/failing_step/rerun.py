"""Runs a step of a Keras model again, operation by operation, and restores everything."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras_common.framework import (
    Update,
    framework_of,
    is_keras_builtin,
    is_part,
)
from tb_nanwatch.adapters.keras_common.instrument.call_graph import is_pass_through
from tb_nanwatch.adapters.keras_common.instrument.method_patching import MethodPatch, MethodPatches
from tb_nanwatch.adapters.keras_common.instrument.model_state import model_variables
from tb_nanwatch.adapters.keras_common.instrument.optimizers import (
    find_optimizers,
    is_optimizer,
    on_optimizer_update,
)
from tb_nanwatch.adapters.keras_common.instrument.paths import Paths
from tb_nanwatch.adapters.tensorflow import private_api
from tb_nanwatch.adapters.tensorflow.graph.operation_callbacks import before_operation
from tb_nanwatch.adapters.tensorflow.graph.state_changes import (
    StateVariable,
    is_untracked,
    state_variables,
    write_all,
)
from tb_nanwatch.adapters.tensorflow.graph.variables import value_of, variable_path
from tb_nanwatch.adapters.tensorflow.tensors import leaves_with_places
from tb_nanwatch.adapters.tensorflow.tracing.operations import trace_operations
from tb_nanwatch.adapters.tensorflow.tracing.origin import ACCESS, find_origin
from tb_nanwatch.adapters.tensorflow.tracing.random_state import restoring_random_state
from tb_nanwatch.adapters.tensorflow.tracing.variable_hooks import (
    on_variable_read,
    on_variable_write,
    variable_key,
)
from tb_nanwatch.training.failing_step.origin import Search
from tb_nanwatch.training.failing_step.trace import Owner, Trace


def rerun_model(
    model: Any, train_step: Callable[[Any], Any], data: Any, progress: Callable[[int], None]
) -> Search:
    """Runs the step eagerly, with its update where that is finite, and looks for the origin.

    Args:
      model: the model, in the state before the step.
      train_step: its own, bound.
      data: the batch.
      progress: called with the number of operations so far, after each.
    """
    framework = framework_of(model)
    floats = [each for each in framework.variables(model) if tf.as_dtype(each.dtype).is_floating]
    values = [tf.convert_to_tensor(framework.value(each)) for each in floats]
    owner = owner_in(model, Paths(model))
    with (
        restoring_variables(),
        restoring_random_state(),
        _without_advice(),
        trace_operations(owner, progress) as trace,
    ):
        optimizers = find_optimizers(model)
        apply_patches = [_apply_patch(trace, each) for each in optimizers]
        patches: MethodPatches[str] = MethodPatches()
        with patches.active("rerun", apply_patches):
            error = _error_of(lambda: framework.run_step(model, train_step, data))
    return _origin_before(error, trace, data, values)


class RerunFunction:
    """A step function of a custom loop, to be run operation by operation.

    Args:
      function: runs the step of a batch.
      known: keys of the variables whose values are those from before the step; None for all.
    """

    def __init__(self, function: Callable[[Any], Any], known: Collection[int] | None = None):
        self._function = function
        self._known = known
        self._used: dict[int, tuple[Any, tf.Tensor]] = {}

    def run(self, batch: Any, progress: Callable[[int], None]) -> Search:
        """Runs the step eagerly, with its update where that is finite; restores what it changed."""

        def add(variable: Any) -> None:
            if variable_key(variable) not in self._used:
                self._used[variable_key(variable)] = variable, value_of(variable)

        with (
            restoring_variables() as changed,
            restoring_random_state(),
            _without_advice(),
            on_variable_read(add),
            on_variable_write(add),
            trace_operations(owner_of, progress) as trace,
            on_optimizer_update(lambda _, update: _apply(trace, update)),
        ):
            error = _error_of(lambda: self._function(batch))
        # The values before the step of what it has changed since are not known.
        unknown: Set[int] = set() if self._known is None else changed - set(self._known)
        values = [
            value
            for key, (_, value) in self._used.items()
            if value.dtype.is_floating and key not in unknown
        ]
        return _origin_before(error, trace, batch, values)

    def state(self) -> dict[str, Any]:
        """The values of the variables that the step read or wrote, by number and name."""
        return {
            f"{number:06d}/{variable_path(variable)}": value.numpy()
            for number, (variable, value) in enumerate(self._used.values())
        }

    def restore(self, state: Mapping[str, Any]) -> list[str]:
        """Sets the variables to such a state, by name; returns the names of missing variables.

        The variables are known after the step has run once.
        """
        found: dict[str, list[Any]] = {}
        for variable, _ in self._used.values():
            found.setdefault(variable_path(variable), []).append(variable)
        missing = []
        for key in sorted(state):
            name = key.partition("/")[2]
            waiting = found.get(name, [])
            if waiting and tuple(waiting[0].shape) == state[key].shape:
                waiting.pop(0).assign(state[key])
            else:
                missing.append(name)
        self._used.clear()
        return missing


@contextmanager
def _without_advice() -> Iterator[None]:
    """Hides what TensorFlow logs in this thread: that a step should not run eagerly, for instance,
    which the user's does not."""
    thread = threading.get_ident()

    def is_shown(record: logging.LogRecord) -> bool:
        return record.thread != thread

    logger = tf.get_logger()
    logger.addFilter(is_shown)
    try:
        yield
    finally:
        logger.removeFilter(is_shown)


def _error_of(run: Callable[[], object]) -> Exception | None:
    """The error that ends a step, such as the step's own at a loss that is NaN."""
    try:
        run()
    except Exception as error:
        return error
    return None


def _origin_before(
    error: Exception | None, trace: Trace, batch: Any, values: list[tf.Tensor]
) -> Search:
    """The origin of what went non-finite in a step; raises the step's error if nothing did."""
    search = find_origin(trace, batch_tensors(batch), values)
    if error is not None and not search.is_nonfinite:
        raise error
    return search


def arguments_as_batch(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by position or name."""
    return {**{str(number): each for number, each in enumerate(args)}, **kwargs}


def call_with_batch(function: Callable[..., Any], batch: Mapping[str, Any]) -> Any:
    """Calls a function with such a batch."""
    places = sorted((key for key in batch if key.isdigit()), key=int)
    named = {key: each for key, each in batch.items() if not key.isdigit()}
    return function(*(batch[key] for key in places), **named)


def batch_tensors(data: Any) -> list[Any]:
    """The tensors and arrays of a batch."""
    leaves = tf.nest.flatten(data, expand_composites=True)
    return [leaf for leaf in leaves if isinstance(leaf, (tf.Tensor, np.ndarray))]


def owner_in(model: Any, paths: Paths) -> Callable[[Any], Owner | None]:
    """`owner_of` within a model, which is no layer of its own."""
    return lambda part: None if part is model else owner_of(part, paths)


def owner_of(part: Any, paths: Paths | None = None) -> Owner | None:
    """Which layer or optimizer an object is; layers by their paths in the model, if any."""
    if is_optimizer(part):
        is_builtin = is_keras_builtin(type(part))
        name = framework_of(part).optimizer_name(part) if is_builtin else type(part).__name__
        return Owner(optimizer=name)
    if is_part(part) and framework_of(part).is_layer(part):
        if is_pass_through(part):
            return None
        if paths is not None and isinstance(part, framework_of(part).keras.layers.Layer):
            return Owner(paths.layer(part))
        return Owner(getattr(part, "path", None) or part.name)
    if isinstance(part, tf.Module):
        return Owner(part.name_scope.name.strip("/"))
    return None


def _apply_patch(trace: Trace, optimizer: Any) -> MethodPatch:
    framework = framework_of(optimizer)

    def apply(receiver: Any, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return _apply(trace, framework.update(optimizer, original, *args, **kwargs))

    return MethodPatch(optimizer, framework.update_method, apply)


def _apply(trace: Trace, update: Update) -> Any:
    """In place of an optimizer's update: applies the gradients only if they are finite."""
    found = [tf.convert_to_tensor(each) for each in update.gradients if each is not None]
    trace.applied_gradients += found
    return None if any(map(ACCESS.is_nonfinite, found)) else update.run()


@contextmanager
def variables_as_before(before: Iterable[tuple[StateVariable, Any]]) -> Iterator[None]:
    """Sets variables to their values before the step until the block ends, in every replica."""
    parts = [(part, value) for variable, value in before for part in _replicas_of(variable)]
    now = [(part, part.read()) for part, _ in parts]
    try:
        write_all(parts)
        yield
    finally:
        write_all(now)


def _replicas_of(variable: StateVariable) -> Sequence[StateVariable]:
    """The copies of a variable in several replicas; otherwise the variable itself."""
    inner = getattr(variable.owner, "_value", variable.owner)
    return state_variables(getattr(inner, "values", ())) or (variable,)


@contextmanager
def restoring_variables() -> Iterator[Set[int]]:
    """Restores every variable that the block changed, by whatever operation it did so.

    Except for what is `untracked`, as the recording of a step. In this thread alone: others may be
    training. Summaries are not written meanwhile.

    Yields:
      The keys of the variables changed so far.
    """
    # By the identity of their handles, which are kept, so that no other one gets it.
    changed: dict[int, Any] = {}
    before: list[tuple[StateVariable, tf.Tensor]] = []

    def keep(kind: str, inputs: list[Any]) -> None:
        if private_api.is_read_only(kind) or is_untracked():
            return
        for handle in inputs:
            if getattr(handle, "dtype", None) != tf.resource or id(handle) in changed:
                continue
            changed[id(handle)] = handle
            spec = private_api.variable_spec(handle)
            if spec is not None and tf.raw_ops.VarIsInitializedOp(resource=handle):
                # A value shares the variable's memory until somebody changes the variable.
                variable = StateVariable(handle, spec)
                before.append((variable, variable.read()))

    try:
        with before_operation(keep), tf.summary.record_if(False):
            yield changed.keys()
    finally:
        write_all(before)


def state_arrays(model: Any) -> dict[str, Any]:
    """All variables that a step may change, as arrays, by number and path."""
    variables = model_variables(model)
    return {f"{n:06d}/{variable_path(each)}": each.numpy() for n, each in enumerate(variables)}


def batch_arrays(data: Any) -> dict[str, Any]:
    """The arrays of a batch by position, such as "0" or "1/mask"; without sparse tensors."""
    return {
        "/".join(map(str, place)): np.asarray(leaf)
        for place, leaf in leaves_with_places(data)
        if isinstance(leaf, (tf.Tensor, np.ndarray, np.generic, int, float))
    }


def batch_size(data: Any) -> int | None:
    """Rows of the batch; None where its tensors do not agree on it."""
    leaves = [x for x in tf.nest.flatten(data) if isinstance(x, (tf.Tensor, np.ndarray))]
    sizes = {leaf.shape[0] for leaf in leaves if len(leaf.shape)}
    return sizes.pop() if len(sizes) == 1 else None
