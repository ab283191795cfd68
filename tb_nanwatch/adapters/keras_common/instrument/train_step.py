"""A `train_step` that collects the `StepTensors` of each step that it runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, nullcontext
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.framework import framework_of
from tb_nanwatch.adapters.keras_common.instrument.batch import Batch, unpacks
from tb_nanwatch.adapters.keras_common.instrument.layer_outputs import (
    NamedLayer,
    layers_with_outputs,
)
from tb_nanwatch.adapters.keras_common.instrument.method_patching import MethodPatch, MethodPatches
from tb_nanwatch.adapters.keras_common.instrument.optimizers import find_optimizers
from tb_nanwatch.adapters.keras_common.instrument.step_function import (
    can_unwrap,
    source_function,
    unwrap,
)
from tb_nanwatch.adapters.keras_common.instrument.step_tensors import StepTensors
from tb_nanwatch.adapters.tensorflow.graph.state_changes import untracked
from tb_nanwatch.adapters.tensorflow.graph.tapes import on_tape_gradient
from tb_nanwatch.training.failing_step.guarded_update import run_guarded_update
from tb_nanwatch.training.internal_errors import InternalErrorGuard
from tb_nanwatch.training.protocols import GuardFactory, StepOutcome, UpdateGuard
from tb_nanwatch.training.watch import Watch


class RunningStep(NamedTuple):
    """One step, to which the patched methods report.

    Attributes:
      tensors: collects the step's tensors.
      guard: checks losses and gradients before they reach a weight; None where nothing does.
    """

    tensors: StepTensors
    guard: UpdateGuard | None


def instrument_train_step(
    train_step: Callable[[Any], Any],
    model: Any,
    watch: Watch,
    begin: Callable[[], StepTensors],
    end: Callable[[StepTensors, StepOutcome], None],
    error_guard: InternalErrorGuard,
    guards: GuardFactory | None = None,
    guard_error_guard: InternalErrorGuard | None = None,
    *,
    collects_calls: Callable[[], bool],
) -> Callable[[Any], Any]:
    """A `train_step` that does what the given one does and collects its tensors.

    Args:
      train_step: the model's own, bound; a `tf.function` is traced in place.
      model: the model.
      watch: what to record.
      begin: makes the collector of a step, when it is traced or run.
      end: takes it, in the step, after the update; and what the guard did with the step.
      error_guard: keeps errors of our own out of the step.
      guards: makes the guard of a step; None for no guard.
      guard_error_guard: keeps errors in that guard out of the step.
      collects_calls: whether to collect the calls of layers in the step that begins.
    """
    guard_error_guard = guard_error_guard or error_guard
    patches: MethodPatches[RunningStep] = MethodPatches()
    own_step = unwrap(train_step)
    is_unpacked = unpacks(source_function(train_step))

    # Not the attributes: among them may be one that has TensorFlow call another function instead.
    @functools.wraps(train_step, updated=())
    def step(data: Any) -> Any:
        tensors = begin()
        guard: UpdateGuard | None = None
        with guard_error_guard("prepare the check of an update"), untracked():
            if guards is not None and not guard_error_guard.has_failed:
                guard = guards.make(data)
        outcome = StepOutcome()
        layers: list[NamedLayer] = []
        optimizers: list[Any] = []
        step_patches: list[MethodPatch] = []
        collecting: Any = nullcontext()
        with error_guard("record a batch"):
            if collects_calls():
                collecting = tensors.calls.collecting(error_guard)
            tensors.add_batch(Batch(data, is_unpacked))
            tensors.read_variables_before()
            layers = list(layers_with_outputs(model, tensors.paths))
            optimizers = find_optimizers(model)
            step_patches = [
                MethodPatch(model, "compute_loss", functools.partial(_compute_loss, error_guard)),
                *_model_patches(model, error_guard),
                *_optimizer_patches(optimizers, error_guard, guard_error_guard),
                *_layer_patches(layers, watch, patches, error_guard),
            ]
        running = RunningStep(tensors, guard)
        try:
            with ExitStack() as hooks:
                unpatched = hooks.enter_context(patches.active(running, step_patches))
                on_gradient = functools.partial(_add_tape_target, error_guard, running)
                hooks.enter_context(on_tape_gradient(on_gradient))
                hooks.enter_context(collecting)
                if guard is not None:
                    hooks.enter_context(guard.hooks_installed())
                outputs = own_step(data)
        except Exception:
            # Many a step raises an error of its own where its loss is NaN.
            with error_guard("record a step"), untracked():
                if guard is not None and guard.has_tripped and not error_guard.has_failed:
                    tensors.end(optimizers)
                    end(tensors, outcome)
            raise
        with guard_error_guard("end a step"), untracked():
            if guard is not None and not guard_error_guard.has_failed:
                if guards is not None and guards.skips and guard.saw_nothing:
                    tensors.warn_of_unseen_step()
                outcome = guard.end()
                outputs = _outputs_after(outputs, model, guards)
        if guards is not None and guard_error_guard.has_failed:
            guards.refuse("NaNWatch had an internal error")
        with error_guard("record a step"), untracked():
            tensors.end(optimizers)
            if not error_guard.has_failed:
                paths = [path for path, _ in layers]
                tensors.warn_of_missing(
                    paths, [path for path, layer in layers if any(layer is x for x in unpatched)]
                )
                end(tensors, outcome)
        return outputs

    if can_unwrap(train_step) and model.run_eagerly:
        # A function that runs by itself remains one, with the same options.
        function: Any = train_step
        traced: Callable[[Any], Any] = function._clone(
            tf.autograph.experimental.do_not_convert(step)
        )
        return traced
    return step


def _outputs_after(outputs: Any, model: Any, guards: GuardFactory | None) -> Any:
    """What the train step returns: the metrics as they are now, if it returned those."""
    if guards is None or not guards.skips or not isinstance(outputs, dict):
        return outputs
    metrics = model.get_metrics_result()
    return metrics if set(metrics) == set(outputs) else outputs


_LOSS_ARGUMENTS = ("x", "y", "y_pred", "sample_weight")
"""The arguments of `compute_loss`."""


def _compute_loss(
    error_guard: InternalErrorGuard,
    running: RunningStep,
    original: Callable[..., Any],
    *args: Any,
    **kwargs: Any,
) -> Any:
    loss = original(*args, **kwargs)
    tensors, guard = running
    if tensors.is_outermost_graph():
        with error_guard("record a loss"):
            given = {**dict(zip(_LOSS_ARGUMENTS, args, strict=False)), **kwargs}
            tensors.add_loss_arguments(*(given.get(name) for name in _LOSS_ARGUMENTS))
            tensors.add_loss(loss)
            if guard is not None:
                guard.add_loss(loss)
    return loss


def _add_tape_target(
    error_guard: InternalErrorGuard,
    running: RunningStep,
    tape: Any,
    target: Any,
    sources: Any,
    gradients: Any,
) -> None:
    tensors, guard = running
    if tensors.is_outermost_graph():
        with error_guard("record a loss"):
            for loss in tensors.add_tape_target(target, sources):
                if guard is not None:
                    guard.add_loss(loss)


def _model_patches(model: Any, error_guard: InternalErrorGuard) -> Iterator[MethodPatch]:
    """For the model's own output, which is the prediction of a step without compute_loss."""

    framework = framework_of(model)

    def call(running: RunningStep, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        outputs = framework.as_called(model, original)(*args, **kwargs)
        if running.tensors.is_outermost_graph():
            with error_guard("record a prediction"):
                running.tensors.add_model_outputs(outputs)
        return outputs

    method = framework.called_method(model)
    if method != "rematerialized_call":
        yield MethodPatch(model, method, call)


def _optimizer_patches(
    optimizers: Iterable[Any],
    error_guard: InternalErrorGuard,
    guard_error_guard: InternalErrorGuard,
) -> Iterator[MethodPatch]:
    def patch(optimizer: Any) -> MethodPatch:
        framework = framework_of(optimizer)

        def apply(
            running: RunningStep, original: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            tensors, guard = running
            grads, variables, update = framework.update(optimizer, original, *args, **kwargs)
            if not tensors.is_outermost_graph():
                if guard is not None and guard.refuse_inner_update():
                    tensors.warn_of_inner_update()
                return update()
            with error_guard("record gradients"):
                tensors.add_gradients(optimizer, grads, variables)
            if guard is None or guard_error_guard.has_failed:
                return update()
            return run_guarded_update(guard_error_guard, guard, optimizer, update, grads, variables)

        return MethodPatch(optimizer, framework.update_method, apply)

    def scale_loss(running: RunningStep, original: Callable[..., Any], loss: Any) -> Any:
        scaled = original(loss)
        with error_guard("record a loss"):
            running.tensors.add_scaled_loss(loss, scaled)
        return scaled

    for optimizer in optimizers:
        yield patch(optimizer)
        method = framework_of(optimizer).scale_loss_method
        if hasattr(optimizer, method):
            yield MethodPatch(optimizer, method, scale_loss)


def _layer_patches(
    layers: Iterable[NamedLayer],
    watch: Watch,
    patches: MethodPatches[RunningStep],
    error_guard: InternalErrorGuard,
) -> Iterator[MethodPatch]:
    def add_outputs(tensors: StepTensors, path: str, outputs: Any) -> Any:
        if not tensors.is_outermost_graph():
            tensors.add_hidden_layer(path)
            return outputs
        with error_guard("record a layer's output"):
            return tensors.add_layer_outputs(path, outputs)
        return outputs

    def patch(path: str, layer: Any) -> MethodPatch:
        framework = framework_of(layer)
        method = framework.called_method(layer)

        def call(
            running: RunningStep, original: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            outputs = framework.as_called(layer, original)(*args, **kwargs)
            return add_outputs(running.tensors, path, outputs)

        def rematerialized_call(
            running: RunningStep, original: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            function = original(*args, **kwargs)

            def run(*args: Any, **kwargs: Any) -> Any:
                # The layers within run again in the backward pass, where they are recorded.
                with patches.pause():
                    outputs = function(*args, **kwargs)
                return add_outputs(running.tensors, path, outputs)

            return run

        is_rematerialized = method == "rematerialized_call"
        return MethodPatch(layer, method, rematerialized_call if is_rematerialized else call)

    for path, layer in layers:
        if watch.selects("activation", path) or watch.selects("activation_gradient", path):
            yield patch(path, layer)
