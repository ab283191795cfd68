"""A `train_step` that shows an `Observation` of each step that it runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

from tb_nanwatch.adapters.keras.compiled_guard import CompiledStepGuard
from tb_nanwatch.adapters.keras.layer_outputs import WatchedLayer, called_method, watched_layers
from tb_nanwatch.adapters.keras.observation import Observation
from tb_nanwatch.adapters.keras.optimizers import find_optimizers
from tb_nanwatch.adapters.keras.spies import Spies, Spy
from tb_nanwatch.adapters.keras.step_guard import (
    StepGuard,
    StepOutcome,
    StepState,
    UpdateGuard,
    UpdatePolicy,
    guarded_update,
)
from tb_nanwatch.adapters.keras.step_state import seeds_of, variables_of
from tb_nanwatch.adapters.tensorflow.graphs import in_xla
from tb_nanwatch.adapters.tensorflow.state_changes import unheard
from tb_nanwatch.schema.watch import Watch
from tb_nanwatch.writer.warnings import Guard


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
) -> Callable[[Any], Any]:
    """A `train_step` that does what the given one does and shows an `Observation` of it.

    Args:
      train_step: the model's own, bound.
      model: the model.
      watch: what to observe.
      begin: makes the observation of a step, when it is traced or run.
      end: takes it, in the step, after the update; and what became of the step.
      guard: keeps trouble of our own out of the step.
      policy: what becomes of a step that is not finite; None where nothing does.
      policy_guard: keeps trouble with that out of the step.
    """
    policy_guard = policy_guard or guard
    spies: Spies[Seen] = Spies()

    @functools.wraps(train_step)
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
        with guard("observe a batch"):
            observation.batch(data)
            observation.before()
            layers = list(watched_layers(model))
            optimizers = find_optimizers(model)
            spied = [
                Spy(model, "compute_loss", functools.partial(_compute_loss, guard)),
                *_optimizer_spies(optimizers, guard, policy_guard),
                *_layer_spies(layers, watch, spies, guard),
            ]
        heard = nullcontext() if update_guard is None else update_guard.heard()
        with spies.report_to(Seen(observation, update_guard), spied) as refused, heard:
            outputs = train_step(data)
        with policy_guard("end a step"), unheard():
            if update_guard is not None and not policy_guard.tripped:
                outcome = update_guard.end()
                outputs = _outputs_after(outputs, model, policy)
        if policy is not None and policy_guard.tripped:
            policy.refuse("of a fault of NaNWatch's own")
        with guard("observe a step"), unheard():
            observation.state(optimizers)
            if not guard.tripped:
                unseen = [path for path, layer in layers if any(layer is each for each in refused)]
                observation.note_missing([path for path, _ in layers], unseen)
                end(observation, outcome)
        return outputs

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


def _compute_loss(
    guard: Guard, seen: Seen, original: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    loss = original(*args, **kwargs)
    observation, update_guard = seen
    if observation.is_here():
        with guard("observe a loss"):
            y_pred = kwargs.get("y_pred", args[2] if len(args) > 2 else None)
            observation.data("prediction", y_pred)
            observation.loss(loss)
            if update_guard is not None:
                update_guard.loss(loss)
    return loss


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

    yield from map(spy, optimizers)


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
