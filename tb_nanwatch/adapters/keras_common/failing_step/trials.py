"""Tries remedies on a step that went non-finite: the step once more, with one thing changed.

A remedy is given when it was tried; what it is, is shown and run as the same code (`remedies`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras_common.failing_step.logits import logits_trial
from tb_nanwatch.adapters.keras_common.failing_step.rerun import (
    batch_size,
    batch_tensors,
    owner_in,
)
from tb_nanwatch.adapters.keras_common.framework import framework_of, is_keras_builtin
from tb_nanwatch.adapters.keras_common.instrument.optimizers import find_optimizers
from tb_nanwatch.adapters.keras_common.instrument.paths import Paths
from tb_nanwatch.adapters.tensorflow.tensors import leaves_with_places
from tb_nanwatch.adapters.tensorflow.tracing.origin import describe_operation
from tb_nanwatch.adapters.tensorflow.tracing.remedies import remedies_for
from tb_nanwatch.adapters.tensorflow.tracing.stand_in import StandIn
from tb_nanwatch.format.rerun import Trial
from tb_nanwatch.stats.floats import holds_nonfinite
from tb_nanwatch.training.failing_step.origin import Origin, Search
from tb_nanwatch.training.failing_step.trace import Owner

MOST_TRIALS = 3
"""So many remedies are tried on a step."""

PATIENCE = 2.0
"""No further remedy is tried once the trials took so many times as long as the rerun, and..."""

ALWAYS_TIME = 1.0
"""... longer than this, in seconds."""

Batch = Any


class Program(NamedTuple):
    """The parts of what runs a step.

    Attributes:
      owner_of: what of the program an object is, as `trace_operations` takes it.
      layers: by path.
      optimizers: those that may run in a step.
      model: the compiled model; None for a step of a person's own.
    """

    owner_of: Callable[[Any], Owner | None]
    layers: Mapping[str, Any] = MappingProxyType({})
    optimizers: tuple[Any, ...] = ()
    model: Any = None


def program_of(model: Any) -> Program:
    """The parts of a Keras model."""
    paths = Paths(model)
    parts = framework_of(model).layers(model, include_self=False)
    layers = {paths.layer(each): each for each in parts}
    return Program(owner_in(model, paths), layers, tuple(find_optimizers(model)), model)


class Subject(NamedTuple):
    """What remedies are tried on.

    Attributes:
      rerun: runs the step of a batch operation by operation, and restores everything.
      batch: what the step was fed.
      program: the parts of what runs it.
    """

    rerun: Callable[[Batch], Search]
    batch: Batch
    program: Program


class _Change(NamedTuple):
    """A remedy as it is tried: in `context`, on `batch`; `applies` tells afterwards whether it did
    anything."""

    remedy: str
    code: str
    context: AbstractContextManager[None]
    batch: Batch
    applies: Callable[[], bool] = lambda: True


def try_remedies(subject: Subject, found: Search, seconds: float) -> Iterator[Trial]:
    """Tries what may cure a step, until one remedy does.

    Args:
      subject: the step.
      found: what running it as it was has found.
      seconds: how long that took.
    """
    began = time.monotonic()
    tried = 0
    for change in _changes(subject, found):
        if tried == MOST_TRIALS:
            return
        if time.monotonic() - began > max(ALWAYS_TIME, PATIENCE * seconds):
            return
        trial = _try(subject, change)
        if trial is None:
            continue
        tried += 1
        yield trial
        if trial.outcome == "finite":
            return


def _try(subject: Subject, change: _Change) -> Trial | None:
    """The trial; None where the change has changed nothing."""
    try:
        with change.context:
            search = subject.rerun(change.batch)
    except Exception:  # Whatever it is, that remedy cannot be tried.
        return Trial(change.remedy, change.code, "failed")
    if not change.applies():
        return None
    loss = search.loss
    return Trial(
        change.remedy,
        change.code,
        "nonfinite" if search.is_nonfinite else "finite",
        loss if loss is not None and np.isfinite(loss) else None,
        search.gradients,
        search.nonfinite_gradients,
        describe_operation(search.origin) if search.origin is not None else None,
    )


def _changes(subject: Subject, found: Search) -> Iterator[_Change]:
    """What to try, the least change of meaning first."""
    if found.data:
        yield from _of_data(subject, found)
    elif found.origin is not None:
        yield from _of_loss(subject, found.origin)
        yield from _of_operation(subject, found.origin)
        yield from _of_precision(subject, found.origin)
        yield from _of_optimizer(subject, found.origin)


def _of_operation(subject: Subject, origin: Origin) -> Iterator[_Change]:
    operation = origin.operation
    operands = [each for each in operation.inputs if isinstance(each, tf.Tensor)]
    for remedy in remedies_for(operation.type, origin.direction, operands):
        stand_in = StandIn(operation, remedy.run, subject.program.owner_of, remedy.producer)
        yield _Change(
            remedy.name,
            remedy.code,
            stand_in.installed(),
            subject.batch,
            lambda stand_in=stand_in: stand_in.calls > 0,  # type: ignore[misc]
        )


def _of_loss(subject: Subject, origin: Origin) -> Iterator[_Change]:
    """Logits, where Keras's own loss takes probabilities and fails at them."""
    is_in_loss = not origin.operation.layer and origin.direction != "update"
    trial = logits_trial(subject.program.model) if is_in_loss else None
    if trial is not None:
        yield _Change(
            "from-logits", trial.code, trial.installed(), subject.batch, lambda: trial.is_used
        )


def _of_precision(subject: Subject, origin: Origin) -> Iterator[_Change]:
    """The layer in float32, where it overflows in half precision."""
    layer = subject.program.layers.get(origin.operation.layer)
    is_half = any(_is_half(each) for each in (origin.result, *origin.operation.inputs))
    if layer is not None and is_half:
        yield _Change(
            "float32-layer",
            f'{type(layer).__name__}(..., dtype="float32")',
            framework_of(layer).in_float32(layer),
            subject.batch,
        )


def _is_half(tensor: Any) -> bool:
    return getattr(tensor, "dtype", None) in (tf.float16, tf.bfloat16)


def _of_optimizer(subject: Subject, origin: Origin) -> Iterator[_Change]:
    """The optimizer with its usual epsilon, or with gradients clipped before it squares them."""
    if origin.direction != "update":
        return
    for optimizer in subject.program.optimizers:
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        name = type(inner).__name__
        if is_keras_builtin(type(inner)):
            name = framework_of(inner).optimizer_name(inner)
        epsilon = getattr(inner, "epsilon", None)
        if isinstance(epsilon, (int, float)):
            enough = 1e-3 if _is_half(origin.result) else 1e-7
            if epsilon < enough:
                code = f"{name}(learning_rate, epsilon={enough:.0e})".replace("e-0", "e-")
                yield _Change(
                    "optimizer-epsilon", code, _set(inner, "epsilon", enough), subject.batch
                )
        if getattr(inner, "clipvalue", 0.0) is None:
            code = f"{name}(learning_rate, clipvalue=1.0)"
            yield _Change("clip-value", code, _set(inner, "clipvalue", 1.0), subject.batch)


@contextmanager
def _set(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    try:
        setattr(owner, name, value)
        yield
    finally:
        setattr(owner, name, before)


def _of_data(subject: Subject, found: Search) -> Iterator[_Change]:
    """The batch without the rows that are not finite, or with these elements filled."""
    name = _name_in_code(subject.batch, found)
    good = _good_rows(subject.batch, found)
    if good is not None and 0 < np.count_nonzero(good) < len(good):
        yield _Change(
            "leave-out-rows",
            f"keep = np.isfinite(np.asarray({name})).reshape(len({name}), -1).all(axis=1)\n"
            f"print(np.flatnonzero(~keep))  # bad rows\n{_without_rows(subject.batch)}",
            nullcontext(),
            tf.nest.map_structure(lambda each: _rows(each, good), subject.batch),
        )
    is_every_row = good is not None and len(good) > 1 and not good.any()
    yield _Change(
        "fill" if is_every_row else "fill-example",
        f"{name} = np.where(np.isfinite({name}), {name}, 0.0)",
        nullcontext(),
        tf.nest.map_structure(_filled, subject.batch),
    )


def _without_rows(batch: Batch) -> str:
    """Code that leaves rows out of all parts of a batch."""
    if isinstance(batch, (tuple, list)) and any(map(tf.nest.is_nested, batch)):
        return "x, y = keras.tree.map_structure(lambda part: part[keep], (x, y))"
    return "x, y = x[keep], y[keep]"


_PARTS = ("x", "y", "sample_weight")
"""What people call the parts of a batch."""


def _name_in_code(batch: Batch, found: Search) -> str:
    """What a person calls the part of the batch that is not finite: "y", or `x["image"]`."""
    for path, leaf in leaves_with_places(batch):
        if any(leaf is each for each in found.data):
            if not isinstance(batch, (tuple, list)) or path[0] >= len(_PARTS):
                return "x"
            return _PARTS[path[0]] + "".join(f"[{each!r}]" for each in path[1:])
    return "x"


def _good_rows(batch: Batch, found: Search) -> Any:
    """bool [rows], where all data is finite; None where the batch has no rows of one number."""
    rows = batch_size(batch)
    if rows is None:
        return None
    good = np.ones(rows, bool)
    for each in batch_tensors(batch):
        if any(each is bad for bad in found.data):
            values = np.asarray(each).reshape(rows, -1)
            good &= np.isfinite(values.astype(np.complex128)).all(axis=1)
    return good


def _rows(part: Any, good: Any) -> Any:
    if isinstance(part, np.ndarray) and part.ndim:
        return part[good]
    if isinstance(part, tf.Tensor) and part.shape.rank:
        return tf.boolean_mask(part, good)
    return part


def _filled(part: Any) -> Any:
    if isinstance(part, np.ndarray) and holds_nonfinite(part.dtype):
        return np.where(np.isfinite(part), part, np.zeros((), part.dtype))
    if isinstance(part, tf.Tensor) and part.dtype.is_floating:
        return tf.where(tf.math.is_finite(part), part, tf.zeros_like(part))
    return part
