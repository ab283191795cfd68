"""A `train_step` that shows an `Observation` of each step that it runs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

from tb_nanwatch.adapters.keras.layer_outputs import WatchedLayer, called_method, watched_layers
from tb_nanwatch.adapters.keras.observation import Observation
from tb_nanwatch.adapters.keras.optimizers import find_optimizers
from tb_nanwatch.adapters.keras.replica_step import ReplicaStep
from tb_nanwatch.adapters.keras.spies import Spies, Spy
from tb_nanwatch.adapters.keras.withheld_step import WithheldStep
from tb_nanwatch.adapters.keras.withholding import Unwound, Withheld, Withholding
from tb_nanwatch.schema.watch import Watch
from tb_nanwatch.writer.warnings import Guard


class Seen(NamedTuple):
    """One step, as the spies report it.

    Attributes:
      observation: collects what it shows.
      withheld: withholds or keeps it where it is not finite; None where nothing does.
    """

    observation: Observation
    withheld: WithheldStep | ReplicaStep | None


def observed(
    train_step: Callable[[Any], Any],
    model: Any,
    watch: Watch,
    begin: Callable[[], Observation],
    end: Callable[[Observation, Withheld | None], None],
    guard: Guard,
    withholding: Withholding | None = None,
) -> Callable[[Any], Any]:
    """A `train_step` that does what the given one does and shows an `Observation` of it.

    Args:
      train_step: the model's own, bound.
      model: the model.
      watch: what to observe.
      begin: makes the observation of a step, when it is traced or run.
      end: takes it, in the step, after the update; and whether the update was withheld, None
        without `withholding`.
      guard: keeps trouble of the observation's own out of the step.
      withholding: withholds the updates of steps that are not finite.
    """
    spies: Spies[Seen] = Spies()

    @functools.wraps(train_step)
    def step(data: Any) -> Any:
        observation = begin()
        withheld: WithheldStep | ReplicaStep | None = None
        with guard("prepare to withhold a step"):
            if withholding is not None and not guard.tripped:
                several = model.distribute_strategy.num_replicas_in_sync > 1
                withheld = (ReplicaStep if several else WithheldStep)(model, data, withholding)
        result: Withheld | None = None
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
                *_optimizer_spies(optimizers, guard),
                *_layer_spies(layers, watch, spies, guard),
            ]
        watched = nullcontext() if withheld is None else withheld.watched()
        try:
            with spies.report_to(Seen(observation, withheld), spied) as refused, watched:
                outputs = train_step(data)
        except Unwound:
            assert withheld is not None
            withheld.unwind()
            return step(data)
        with guard("withhold a step"):
            if withheld is not None:
                result = withheld.end()
                outputs = withheld.outputs(outputs)
        with guard("observe a step"):
            observation.state(optimizers)
            if not guard.tripped:
                unseen = [path for path, layer in layers if any(layer is each for each in refused)]
                observation.note_missing([path for path, _ in layers], unseen)
                end(observation, result)
        return outputs

    return step


def _compute_loss(
    guard: Guard, seen: Seen, original: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    loss = original(*args, **kwargs)
    observation, withheld = seen
    if observation.is_here():
        with guard("observe a loss"):
            y_pred = kwargs.get("y_pred", args[2] if len(args) > 2 else None)
            observation.data("prediction", y_pred)
            observation.loss(loss)
            if withheld is not None:
                withheld.loss(loss)
    return loss


def _optimizer_spies(optimizers: Iterable[Any], guard: Guard) -> Iterator[Spy]:
    def spy(optimizer: Any) -> Spy:
        def apply(
            seen: Seen, original: Callable[..., Any], grads: Any, trainable_variables: Any = None
        ) -> Any:
            observation, withheld = seen
            grads = list(grads)
            if trainable_variables is not None:
                trainable_variables = list(trainable_variables)
            if not observation.is_here():
                if withheld is not None:
                    withheld.refuse_hold()
                    if withheld.skips:
                        observation.note_unguarded()
                return original(grads, trainable_variables)
            variables = trainable_variables or optimizer._trainable_variables
            with guard("observe gradients"):
                observation.gradients(optimizer, grads, variables)
            if withheld is None:
                return original(grads, trainable_variables)
            update = functools.partial(original, grads, trainable_variables)
            return _withhold(guard, withheld, optimizer, update, grads, variables)

        return Spy(optimizer, "apply", apply)

    yield from map(spy, optimizers)


def _withhold(
    guard: Guard,
    withheld: WithheldStep | ReplicaStep,
    optimizer: Any,
    update: Callable[[], object],
    gradients: list[Any],
    variables: list[Any],
) -> None:
    """Has an update withheld; trouble of ours before it, and nothing else, leaves it as it is."""
    is_begun = False

    def begun() -> object:
        nonlocal is_begun
        is_begun = True
        return update()

    try:
        withheld.apply(optimizer, begun, gradients, variables)
    except Exception as error:
        if is_begun:
            raise
        guard.trip("withhold an update", error)
        update()


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
