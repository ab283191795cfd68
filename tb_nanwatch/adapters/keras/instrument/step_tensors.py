"""What one step of a Keras model shows: data, layers' outputs, loss, gradients, and its state."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras.instrument.batch import Batch
from tb_nanwatch.adapters.keras.instrument.call_graph import CallGraph
from tb_nanwatch.adapters.keras.instrument.facts import model_facts, variable_facts
from tb_nanwatch.adapters.keras.instrument.layer_outputs import (
    named_leaves,
    watched_layers,
    with_tapped_gradients,
)
from tb_nanwatch.adapters.keras.instrument.losses import Losses
from tb_nanwatch.adapters.keras.instrument.optimizers import in_slots, loss_scale, slots
from tb_nanwatch.adapters.keras.instrument.paths import Paths, relative_path
from tb_nanwatch.adapters.tensorflow.graph.context import current_graph
from tb_nanwatch.adapters.tensorflow.graph.replicas import is_mirrored
from tb_nanwatch.adapters.tensorflow.graph.twins import twin
from tb_nanwatch.adapters.tensorflow.statistics.accumulator import LossScale
from tb_nanwatch.adapters.tensorflow.tensors import (
    UNKNOWN_VARIABLE,
    VARIABLES,
    NamedTensor,
    Unwatched,
    VariableFacts,
    flatten_data,
    parent,
    variable_path,
    with_unique_names,
)
from tb_nanwatch.format.facts import ModelFacts
from tb_nanwatch.format.roles import FLOW, ROLE_NAMES
from tb_nanwatch.training.warnings import Guard
from tb_nanwatch.training.watch import Watch

_SEEN_IN = {
    "prediction": "where it calls the model or compute_loss",
    "loss": "where it calls compute_loss, or has a tf.GradientTape differentiate a scalar by "
    "variables",
    "gradient": "where it calls an optimizer that the model holds",
}
"""Roles that a `train_step` shows by what it calls, and where."""

_ABSENT = {
    "target": "no part of the data is known for one: Keras's own step takes the second of a tuple, "
    "another hands it to compute_loss",
    "activation": "no call of a layer was seen",
    "activation_gradient": "no gradient arrived at the output of a layer",
    "gradient": "the model has no trainable variable",
    "slot": "the optimizer keeps no state of a variable",
    "update": "the model has no trainable variable",
}
"""Why a step may show nothing of a role that was asked for."""


class Observation:
    """Collects the tensors of one step.

    Args:
      model: the model that is trained.
      watch: which tensors to collect.
      unwatched: takes the names of what cannot be watched.
      guard: keeps trouble of our own out of the backward pass.

    Attributes:
      calls: the calls of layers, where they are collected.
    """

    def __init__(self, model: Any, watch: Watch, unwatched: Unwatched, guard: Guard):
        self.calls = CallGraph()
        self._model = model
        self._watch = watch
        self._unwatched = unwatched
        self._guard = guard
        self._graph = current_graph()
        self._tensors: list[NamedTensor] = []
        self._shown: set[str] = set()
        self._batch: Batch | None = None
        self._losses = Losses(model)
        self._returned: list[Any] = []
        self._outputs: dict[str, int] = {}
        self._arrived: list[tuple[int, int, NamedTensor]] = []
        self._applied: list[tuple[LossScale | None, list[NamedTensor]]] = []
        self._before: dict[int, tf.Tensor] = {}
        self._called: set[str] = set()
        self._elsewhere: dict[str, None] = {}

    @functools.cached_property
    def paths(self) -> Paths:
        """What layers and variables are called."""
        return Paths(self._model)

    @functools.cached_property
    def _variables(self) -> dict[int, VariableFacts]:
        return variable_facts(self._model)

    def facts(self) -> ModelFacts:
        """What is known of the model, as far as the step has shown it."""
        layers = {id(layer): path for path, layer in watched_layers(self._model, self.paths)}
        return model_facts(self._model, layers, self.calls)

    def is_here(self) -> bool:
        """Whether this is the step itself, and no function, loop or branch within it.

        What these compute cannot be used outside of them.
        """
        return current_graph() is self._graph

    @property
    def loss_scale(self) -> LossScale | None:
        """What the recorded gradients are multiplied by."""
        scales = [scale for scale, _ in self._applied if scale is not None]
        return LossScale(scales[0].scale, any(each.dynamic for each in scales)) if scales else None

    def tensors(self) -> list[NamedTensor]:
        """What was collected, in the flow of the data, with names unique within each role.

        The gradients of layers' outputs stand in the order of the outputs.
        """
        arrived = sorted(self._arrived, key=lambda each: each[:2])
        found = [*self._tensors, *self._gradients(), *(tensor for *_, tensor in arrived)]
        usable = [each for each in found if getattr(each.tensor, "graph", None) is self._graph]
        usable.sort(key=lambda each: FLOW[each.info.role])
        return with_unique_names(usable)

    def _gradients(self) -> Iterator[NamedTensor]:
        """The gradients of variables, all with one loss scale."""
        reference = self.loss_scale
        for scale, gradients in self._applied:
            if reference is None or len(self._applied) == 1:
                yield from gradients
                continue
            # Several optimizers, or one that steps several times, each with a scale of its own.
            factor = reference.scale if scale is None else reference.scale / scale.scale
            for info, tensor in gradients:
                yield NamedTensor(info, twin(tensor) * tf.cast(factor, tensor.dtype))

    def batch(self, batch: Batch) -> None:
        """Collects what `fit` feeds to the step, which tells what each part of it is."""
        self._batch = batch

    def compared(self, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> None:
        """Collects the predictions that `compute_loss` is given with the data."""
        if self._batch is not None:
            self._batch.compared(x, y, sample_weight)
        self._predictions(y_pred)

    def returned(self, outputs: Any) -> None:
        """Takes in what the model itself returned: predictions, where nothing else is seen."""
        self._returned.append(outputs)

    def _predictions(self, predictions: Any) -> None:
        for path, leaf in flatten_data(predictions, "prediction"):
            self._tensors += self._named("prediction", "", path, leaf, batch=True)

    def outputs(self, layer: str, outputs: Any) -> Any:
        """Collects a layer's outputs, and the gradients that will arrive there.

        Args:
          layer: its path.
          outputs: a tensor, or tensors of any nesting.

        Returns:
          The outputs, to go on with in place of those given.
        """
        self._called.add(layer)
        taps: list[Callable[[Any], None] | None] = []
        for name, leaf in named_leaves(outputs, layer):
            calls = self._outputs[name] = self._outputs.get(name, 0) + 1
            unique = name if calls == 1 else f"{name}#{calls}"
            self._tensors += self._named("activation", layer, unique, leaf, batch=True)
            is_tapped = self._watch.selects("activation_gradient", layer)
            taps.append(self._tap(layer, unique) if is_tapped else None)
        return with_tapped_gradients(outputs, taps) if any(taps) else outputs

    def _tap(self, layer: str, name: str) -> Callable[[Any], None]:
        place = sum(self._outputs.values())
        arrivals = 0

        def tap(gradient: Any) -> None:
            nonlocal arrivals
            with self._guard("observe a layer's gradient"):
                # A further one, as of a gradient penalty, comes after all the first ones.
                arrivals += 1
                for named in self._named("activation_gradient", layer, name, gradient, batch=True):
                    self._arrived.append((arrivals, place, named))

        return tap

    def loss(self, loss: Any) -> None:
        """Collects what `compute_loss` gives."""
        self._losses.computed(loss)

    def scaled(self, loss: Any, scaled: Any) -> None:
        """Takes in what an optimizer makes of a loss, so that the loss itself is recorded."""
        self._losses.scaled(loss, scaled)

    def differentiated(self, target: Any, sources: Any) -> list[tf.Tensor]:
        """Collects the losses that a tape was asked to differentiate: those not yet known."""
        return self._losses.differentiated(target, sources)

    def gradients(self, optimizer: Any, gradients: Iterable[Any], variables: Iterable[Any]) -> None:
        """Collects what an optimizer is about to apply."""
        named = [
            tensor
            for gradient, variable in zip(gradients, variables, strict=False)
            if gradient is not None
            for tensor in self._of_variable("gradient", variable, gradient)
        ]
        self._applied.append((loss_scale(optimizer), named))

    def before(self) -> None:
        """Keeps the trainable variables as the step finds them, where updates are watched."""
        # In a scope, so that no operation of the step changes its name, by which Grappler sorts.
        with tf.name_scope("nanwatch"):
            for variable in self._model.trainable_variables:
                if self._watch.selects("update", self._layer(variable)):
                    self._before[id(variable)] = tf.identity(variable.value)

    def end(self, optimizers: Iterable[Any]) -> None:
        """Collects what is known when the step has run, and what it leaves behind."""
        for part in () if self._batch is None else self._batch.parts():
            self._tensors += self._named(part.role, "", part.name, part.tensor, batch=True)
        for outputs in () if "prediction" in self._shown else self._returned:
            self._predictions(outputs)
        for name, loss in self._losses.named():
            self._tensors += self._named("loss", "", name, loss)
        self._state(optimizers)

    def _state(self, optimizers: Iterable[Any]) -> None:
        for variable in self._model.trainable_variables:
            if id(variable) in self._before:
                update = variable.value - self._before[id(variable)]
                self._tensors += self._of_variable("update", variable, update)
        for optimizer in optimizers:
            for slot, owner in slots(optimizer, self._model.trainable_variables):
                layer = "" if owner is None else self._layer(owner)
                path, value = self._slot_path(slot, owner), slot.value
                self._tensors += self._named(
                    "slot", layer, path, value, shape=slot.shape, mirrored=is_mirrored(slot)
                )
        self.weights()

    def weights(self) -> None:
        """Collects the model's variables as they are now, non-trainable ones too."""
        for variable in self._model.weights:
            self._tensors += self._of_variable("weight", variable, variable.value)

    def note_unguarded(self) -> None:
        """Takes note of an update that cannot be withheld."""
        self._unwatched.note(
            'on_nonfinite="skip" does not withhold an update that a train_step makes within a '
            "tf.function, a loop or a branch of its own: make it in train_step itself."
        )

    def hidden(self, layer: str) -> None:
        """Takes note of a layer that is called where its outputs cannot be collected."""
        self._elsewhere[layer] = None

    def note_missing(self, layers: Sequence[str], refused: Sequence[str]) -> None:
        """Takes note of what the step should have shown, and did not.

        Args:
          layers: paths of the layers that there are.
          refused: of these, whose calls cannot be seen.
        """
        owners = [self._layer(variable) for variable in self._model.weights]
        known = list(dict.fromkeys([*layers, *owners]))
        unmatched = self._watch.unmatched_patterns(known)
        for pattern in unmatched:
            self._unwatched.note(
                f"the pattern {pattern!r} in watch matches no layer. There are: {', '.join(known)}."
            )
        for role in [role for role in ROLE_NAMES if role not in self._shown]:
            if role in _SEEN_IN and self._is_missed(role):
                self._unwatched.missing(role, _SEEN_IN[role])
            elif role in _ABSENT and role in self._watch.named_roles and not unmatched:
                self._unwatched.note(f"no {role} is recorded: {_ABSENT[role]}.")
        hidden = [layer for layer in self._elsewhere if layer not in self._called]
        if hidden:
            self._unwatched.note(
                "outputs not recorded, as these layers run within a tf.function, a loop or a "
                f"branch of their own: {', '.join(hidden)}."
            )
        if refused:
            self._unwatched.note(
                "outputs not recorded, as the method `call` of these layers cannot be wrapped: "
                f"{', '.join(refused)}."
            )

    def _is_missed(self, role: str) -> bool:
        """Whether a step should have shown a role that it did not."""
        if role == "prediction":
            # A GAN makes none: to be told only by a step that seems to hide all that it does.
            hides = not {"loss", "gradient"} <= self._shown
            return self._watch.has_role(role) and (role in self._watch.named_roles or hides)
        has_variables = role != "gradient" or self._model.trainable_variables
        return bool(has_variables) and self._watch.has_role(role)

    def _layer(self, variable: Any) -> str:
        return relative_path(parent(self.paths.variable(variable)), self._model)

    def _slot_path(self, slot: Any, owner: Any) -> str:
        path = variable_path(slot)
        if owner is None or self.paths.variable(owner) == variable_path(owner):
            return path
        kept = path.rpartition("/")[2].removeprefix(in_slots(variable_path(owner)))
        return f"{parent(path)}/{in_slots(self.paths.variable(owner))}{kept}"

    def _of_variable(self, role: str, variable: Any, value: Any) -> Iterator[NamedTensor]:
        path = self.paths.variable(variable)
        mirrored = role in VARIABLES and is_mirrored(variable)
        return self._named(
            role,
            self._layer(variable),
            path,
            value,
            shape=variable.shape,
            mirrored=mirrored,
            variable=self._variables.get(id(variable), UNKNOWN_VARIABLE),
        )

    def _named(
        self, role: str, layer: str, name: str, value: Any, **options: Any
    ) -> Iterator[NamedTensor]:
        self._shown.add(role)
        if self._watch.selects(role, layer):
            asked = role in self._watch.named_roles
            yield from self._unwatched.watchable(role, layer, name, value, asked=asked, **options)
