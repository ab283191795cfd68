"""A `train_step` that shows an `Observation` of each step that it runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, nullcontext
from typing import Any, NamedTuple

import tensorflow as tf

from tb_nanwatch.adapters.keras.failing_step.compiled_guard import CompiledStepGuard
from tb_nanwatch.adapters.keras.failing_step.step_guard import (
    StepGuard,
    StepOutcome,
    StepState,
    UpdateGuard,
    UpdatePolicy,
    guarded_update,
)
from tb_nanwatch.adapters.keras.instrument.batch import Batch, unpacks
from tb_nanwatch.adapters.keras.instrument.layer_outputs import (
    WatchedLayer,
    called_method,
    watched_layers,
)
from tb_nanwatch.adapters.keras.instrument.method_patching import Spies, Spy
from tb_nanwatch.adapters.keras.instrument.model_state import seeds_of, variables_of
from tb_nanwatch.adapters.keras.instrument.optimizers import find_optimizers
from tb_nanwatch.adapters.keras.instrument.step_function import is_opened, opened, written
from tb_nanwatch.adapters.keras.instrument.step_tensors import Observation
from tb_nanwatch.adapters.tensorflow.graph.context import in_xla
from tb_nanwatch.adapters.tensorflow.graph.state_changes import unheard
from tb_nanwatch.adapters.tensorflow.graph.tapes import differentiated_by_tapes
from tb_nanwatch.training.warnings import Guard
from tb_nanwatch.training.watch import Watch


class Seen(NamedTuple):
    """One step, as the spies report it.

    Attributes:
      observation: collects what it shows.
      guard: looks at what its update is made of; None where nothing does.
    """

    observation: Observation
    guard: UpdateGuard | None


def observed(
    train_step: Callable[[Any], Any],
    model: Any,
    watch: Watch,
    begin: Callable[[], Observation],
    end: Callable[[Observation, StepOutcome], None],
    guard: Guard,
    policy: UpdatePolicy | None = None,
    policy_guard: Guard | None = None,
    *,
    collects_calls: Callable[[], bool],
) -> Callable[[Any], Any]:
    """A `train_step` that does what the given one does and shows an `Observation` of it.

    Args:
      train_step: the model's own, bound; one that is a `tf.function` is looked into.
      model: the model.
      watch: what to observe.
      begin: makes the observation of a step, when it is traced or run.
      end: takes it, in the step, after the update; and what became of the step.
      guard: keeps trouble of our own out of the step.
      policy: what becomes of a step that is not finite; None where nothing does.
      policy_guard: keeps trouble with that out of the step.
      collects_calls: whether the calls of layers are to be collected in the step that begins.
    """
    policy_guard = policy_guard or guard
    spies: Spies[Seen] = Spies()
    own_step = opened(train_step)
    is_unpacked = unpacks(written(train_step))

    # Not the attributes: among them may be what has TensorFlow call another function instead.
    @functools.wraps(train_step, updated=())
    def step(data: Any) -> Any:
        observation = begin()
        update_guard: UpdateGuard | None = None
        with policy_guard("prepare to look at an update"), unheard():
            if policy is not None and not policy_guard.tripped:
                update_guard = _guard_of(model, data, policy)
        outcome = StepOutcome()
        layers: list[WatchedLayer] = []
        optimizers: list[Any] = []
        spied: list[Spy] = []
        collecting: Any = nullcontext()
        with guard("observe a batch"):
            if collects_calls():
                collecting = observation.calls.collecting(guard)
            observation.batch(Batch(data, is_unpacked))
            observation.before()
            layers = list(watched_layers(model, observation.paths))
            optimizers = find_optimizers(model)
            spied = [
                Spy(model, "compute_loss", functools.partial(_compute_loss, guard)),
                *_model_spies(model, guard),
                *_optimizer_spies(optimizers, guard, policy_guard),
                *_layer_spies(layers, watch, spies, guard),
            ]
        seen = Seen(observation, update_guard)
        with ExitStack() as watched:
            refused = watched.enter_context(spies.report_to(seen, spied))
            hear = functools.partial(_differentiated, guard, seen)
            watched.enter_context(differentiated_by_tapes(hear))
            watched.enter_context(collecting)
            if update_guard is not None:
                watched.enter_context(update_guard.heard())
            outputs = own_step(data)
        with policy_guard("end a step"), unheard():
            if update_guard is not None and not policy_guard.tripped:
                outcome = update_guard.end()
                outputs = _outputs_after(outputs, model, policy)
        if policy is not None and policy_guard.tripped:
            policy.refuse("of a fault of NaNWatch's own")
        with guard("observe a step"), unheard():
            observation.end(optimizers)
            if not guard.tripped:
                unseen = [path for path, layer in layers if any(layer is each for each in refused)]
                observation.note_missing([path for path, _ in layers], unseen)
                end(observation, outcome)
        return outputs

    if is_opened(train_step) and model.run_eagerly:
        # A function that runs by itself remains one, with the same options.
        function: Any = train_step
        traced: Callable[[Any], Any] = function._clone(
            tf.autograph.experimental.do_not_convert(step)
        )
        return traced
    return step


def _guard_of(model: Any, data: Any, policy: UpdatePolicy) -> UpdateGuard:
    state = StepState(lambda: variables_of(model), lambda: seeds_of(model))
    if in_xla():
        return CompiledStepGuard(policy, state)
    return StepGuard(policy, data, state)


def _outputs_after(outputs: Any, model: Any, policy: UpdatePolicy | None) -> Any:
    """What the train step returns: the metrics as they are now, if it returned those."""
    if policy is None or not policy.skips or not isinstance(outputs, dict):
        return outputs
    metrics = model.get_metrics_result()
    return metrics if set(metrics) == set(outputs) else outputs


_COMPARED = ("x", "y", "y_pred", "sample_weight")
"""The arguments of `compute_loss`."""


def _compute_loss(
    guard: Guard, seen: Seen, original: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    loss = original(*args, **kwargs)
    observation, update_guard = seen
    if observation.is_here():
        with guard("observe a loss"):
            given = {**dict(zip(_COMPARED, args, strict=False)), **kwargs}
            observation.compared(*(given.get(name) for name in _COMPARED))
            observation.loss(loss)
            if update_guard is not None:
                update_guard.loss(loss)
    return loss


def _differentiated(
    guard: Guard, seen: Seen, tape: Any, target: Any, sources: Any, gradients: Any
) -> None:
    observation, update_guard = seen
    if observation.is_here():
        with guard("observe a loss"):
            for loss in observation.differentiated(target, sources):
                if update_guard is not None:
                    update_guard.loss(loss)


def _model_spies(model: Any, guard: Guard) -> Iterator[Spy]:
    """Of what the model itself returns, which is the prediction of a step without compute_loss."""

    def call(seen: Seen, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        outputs = original(*args, **kwargs)
        if seen.observation.is_here():
            with guard("observe a prediction"):
                seen.observation.returned(outputs)
        return outputs

    method = called_method(model)
    if method != "rematerialized_call":
        yield Spy(model, method, call)


def _optimizer_spies(optimizers: Iterable[Any], guard: Guard, policy_guard: Guard) -> Iterator[Spy]:
    def spy(optimizer: Any) -> Spy:
        def apply(
            seen: Seen, original: Callable[..., Any], grads: Any, trainable_variables: Any = None
        ) -> Any:
            observation, update_guard = seen
            grads = list(grads)
            if trainable_variables is not None:
                trainable_variables = list(trainable_variables)
            if not observation.is_here():
                if update_guard is not None:
                    update_guard.policy.refuse("it updates weights within a function or loop")
                    if update_guard.policy.skips:
                        observation.note_unguarded()
                return original(grads, trainable_variables)
            variables = trainable_variables or optimizer._trainable_variables
            with guard("observe gradients"):
                observation.gradients(optimizer, grads, variables)
            update = functools.partial(original, grads, trainable_variables)
            if update_guard is None or policy_guard.tripped:
                return update()
            return guarded_update(policy_guard, update_guard, optimizer, update, grads, variables)

        return Spy(optimizer, "apply", apply)

    def scale_loss(seen: Seen, original: Callable[..., Any], loss: Any) -> Any:
        scaled = original(loss)
        with guard("observe a loss"):
            seen.observation.scaled(loss, scaled)
        return scaled

    for optimizer in optimizers:
        yield spy(optimizer)
        yield Spy(optimizer, "scale_loss", scale_loss)


def _layer_spies(
    layers: Iterable[WatchedLayer], watch: Watch, spies: Spies[Seen], guard: Guard
) -> Iterator[Spy]:
    def take(observation: Observation, path: str, outputs: Any) -> Any:
        if not observation.is_here():
            observation.hidden(path)
            return outputs
        with guard("observe a layer's output"):
            return observation.outputs(path, outputs)
        return outputs

    def spy(path: str, layer: Any) -> Spy:
        method = called_method(layer)

        def call(seen: Seen, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
            return take(seen.observation, path, original(*args, **kwargs))

        def rematerialized_call(
            seen: Seen, original: Callable[..., Any], *args: Any, **kwargs: Any
        ) -> Any:
            function = original(*args, **kwargs)

            def run(*args: Any, **kwargs: Any) -> Any:
                # The layers within run again in the backward pass, where they are seen.
                with spies.pause():
                    outputs = function(*args, **kwargs)
                return take(seen.observation, path, outputs)

            return run

        return Spy(layer, method, rematerialized_call if method == "rematerialized_call" else call)

    for path, layer in layers:
        if watch.selects("activation", path) or watch.selects("activation_gradient", path):
            yield spy(path, layer)
