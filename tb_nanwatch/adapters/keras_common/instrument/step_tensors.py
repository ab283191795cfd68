"""The tensors of one step of a Keras model: data, layers' outputs, loss, gradients and state."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.framework import framework_of
from tb_nanwatch.adapters.keras_common.instrument.batch import Batch
from tb_nanwatch.adapters.keras_common.instrument.call_graph import CallGraph
from tb_nanwatch.adapters.keras_common.instrument.facts import model_facts, variable_facts
from tb_nanwatch.adapters.keras_common.instrument.layer_outputs import (
    layers_with_outputs,
    named_leaves,
    with_gradient_hooks,
)
from tb_nanwatch.adapters.keras_common.instrument.losses import Losses
from tb_nanwatch.adapters.keras_common.instrument.optimizers import loss_scale, slots
from tb_nanwatch.adapters.keras_common.instrument.paths import Paths, relative_path
from tb_nanwatch.adapters.tensorflow.graph.context import current_graph
from tb_nanwatch.adapters.tensorflow.graph.replicas import is_mirrored
from tb_nanwatch.adapters.tensorflow.graph.twins import twin
from tb_nanwatch.adapters.tensorflow.graph.variables import handle_of, variable_path
from tb_nanwatch.adapters.tensorflow.statistics.device_state import LossScale
from tb_nanwatch.adapters.tensorflow.tensors import (
    UNKNOWN_VARIABLE,
    VARIABLES,
    NamedTensor,
    VariableFacts,
    flatten_data,
    parent_path,
    recordable,
    with_unique_names,
)
from tb_nanwatch.format.facts import ModelFacts
from tb_nanwatch.format.roles import FLOW, ROLE_NAMES
from tb_nanwatch.training.internal_errors import InternalErrorGuard
from tb_nanwatch.training.warnings import WarningCollector
from tb_nanwatch.training.watch import Watch

_REMEDIES = {
    "prediction": "To record predictions, call the model or compute_loss.",
    "loss": "To record the loss, call compute_loss, or differentiate it with respect to variables "
    "with tf.GradientTape.",
    "gradient": "To record gradients, apply them with an optimizer that the model holds.",
}
"""How a custom `train_step` makes a role visible."""

_ABSENT = {
    "target": "no part of the data is known to be one. Keras' own step takes the second item of a "
    "tuple; a custom train_step passes it to compute_loss as y",
    "activation": "train_step calls no layer",
    "activation_gradient": "no gradient reaches the output of a layer",
    "gradient": "the model has no trainable variable",
    "slot": "the optimizer keeps no state",
    "update": "the model has no trainable variable",
}
"""Why a step may have nothing of a role that the user asked for."""


class StepTensors:
    """Collects the tensors of one step.

    Args:
      model: the model that is trained.
      watch: which tensors to collect.
      warnings: collects what cannot be recorded.
      error_guard: keeps errors of our own out of the backward pass.

    Attributes:
      calls: the calls of layers, where they are collected.
    """

    def __init__(
        self,
        model: Any,
        watch: Watch,
        warnings: WarningCollector,
        error_guard: InternalErrorGuard,
    ):
        self.calls = CallGraph()
        self._model = model
        self._framework = framework_of(model)
        self._watch = watch
        self._warnings = warnings
        self._error_guard = error_guard
        self._graph = current_graph()
        self._tensors: list[NamedTensor] = []
        self._found_roles: set[str] = set()
        self._batch: Batch | None = None
        self._losses = Losses(model)
        self._model_outputs: list[Any] = []
        self._layer_calls: dict[str, int] = {}
        self._output_gradients: list[tuple[int, int, NamedTensor]] = []
        self._applied_gradients: list[tuple[LossScale | None, list[NamedTensor]]] = []
        self._before: dict[int, tf.Tensor] = {}
        self._recorded_layers: set[str] = set()
        self._hidden_layers: dict[str, None] = {}

    @functools.cached_property
    def paths(self) -> Paths:
        """What layers and variables are called."""
        return Paths(self._model)

    @functools.cached_property
    def _variables(self) -> dict[int, VariableFacts]:
        return variable_facts(self._model)

    def facts(self) -> ModelFacts:
        """What is known of the model, as far as the step has shown it."""
        layers = {id(layer): path for path, layer in layers_with_outputs(self._model, self.paths)}
        return model_facts(self._model, layers, self.calls)

    def is_outermost_graph(self) -> bool:
        """Whether this is the graph of the step itself, and of no function, loop or branch in it.

        Tensors of an inner graph cannot be used outside of it.
        """
        return current_graph() is self._graph

    @property
    def loss_scale(self) -> LossScale | None:
        """What the recorded gradients are multiplied by."""
        scales = [scale for scale, _ in self._applied_gradients if scale is not None]
        return LossScale(scales[0].scale, any(each.dynamic for each in scales)) if scales else None

    def named_tensors(self) -> list[NamedTensor]:
        """What was collected, in the order of the step, with names unique within each role.

        The gradients of layers' outputs are in the order of the outputs.
        """
        output_gradients = sorted(self._output_gradients, key=lambda each: each[:2])
        found = [*self._tensors, *self._gradients(), *(tensor for *_, tensor in output_gradients)]
        usable = [each for each in found if getattr(each.tensor, "graph", None) is self._graph]
        usable.sort(key=lambda each: FLOW[each.info.role])
        return with_unique_names(usable)

    def _gradients(self) -> Iterator[NamedTensor]:
        """The gradients of variables, all with one loss scale."""
        reference = self.loss_scale
        is_unscaled = self._framework.unscales_gradients
        for scale, gradients in self._applied_gradients:
            if reference is None or (len(self._applied_gradients) == 1 and not is_unscaled):
                yield from gradients
                continue
            # Several optimizers, or one that is applied several times, each with its own scale.
            own = None if is_unscaled else scale
            factor = reference.scale if own is None else reference.scale / own.scale
            for each in gradients:
                scaled = twin(each.tensor) * tf.cast(factor, each.tensor.dtype)
                yield each._replace(tensor=scaled)

    def add_batch(self, batch: Batch) -> None:
        """Adds what `fit` feeds to the step."""
        self._batch = batch

    def add_loss_arguments(self, x: Any, y: Any, y_pred: Any, sample_weight: Any) -> None:
        """Adds what `compute_loss` is given: predictions, and the parts of the batch."""
        if self._batch is not None:
            self._batch.add_loss_arguments(x, y, sample_weight)
        self._predictions(y_pred)

    def add_model_outputs(self, outputs: Any) -> None:
        """Adds what the model itself returned: predictions, where `compute_loss` gets none."""
        self._model_outputs.append(outputs)

    def _predictions(self, predictions: Any) -> None:
        for path, leaf in flatten_data(predictions, "prediction"):
            self._tensors += self._named("prediction", "", path, leaf, batch=True)

    def add_layer_outputs(self, layer: str, outputs: Any) -> Any:
        """Adds a layer's outputs, and the gradients that will arrive there.

        Args:
          layer: its path.
          outputs: a tensor, or tensors of any nesting.

        Returns:
          The outputs, to be used in place of those given.
        """
        self._recorded_layers.add(layer)
        hooks: list[Callable[[Any], None] | None] = []
        for name, leaf in named_leaves(self._framework, outputs, layer):
            calls = self._layer_calls[name] = self._layer_calls.get(name, 0) + 1
            unique = name if calls == 1 else f"{name}#{calls}"
            self._tensors += self._named("activation", layer, unique, leaf, batch=True)
            has_hook = self._watch.selects("activation_gradient", layer)
            hooks.append(self._gradient_hook(layer, unique) if has_hook else None)
        return with_gradient_hooks(self._framework, outputs, hooks) if any(hooks) else outputs

    def _gradient_hook(self, layer: str, name: str) -> Callable[[Any], None]:
        place = sum(self._layer_calls.values())
        arrivals = 0

        def hook(gradient: Any) -> None:
            nonlocal arrivals
            with self._error_guard("record a layer's gradient"):
                # A further one, as of a gradient penalty, comes after all the first ones.
                arrivals += 1
                for named in self._named("activation_gradient", layer, name, gradient, batch=True):
                    self._output_gradients.append((arrivals, place, named))

        return hook

    def add_loss(self, loss: Any) -> None:
        """Adds what `compute_loss` returned."""
        self._losses.add(loss)

    def add_scaled_loss(self, loss: Any, scaled: Any) -> None:
        """Adds a loss that an optimizer scaled, so that the loss itself is recorded."""
        self._losses.add_scaled(loss, scaled)

    def add_tape_target(self, target: Any, sources: Any) -> list[tf.Tensor]:
        """Adds the losses that a tape differentiated, and returns those not yet known."""
        return self._losses.add_tape_target(target, sources)

    def add_gradients(
        self, optimizer: Any, gradients: Iterable[Any], variables: Iterable[Any]
    ) -> None:
        """Adds the gradients that an optimizer is about to apply."""
        named = [
            tensor
            for gradient, variable in zip(gradients, variables, strict=False)
            if gradient is not None
            for tensor in self._of_variable("gradient", variable, gradient)
        ]
        self._applied_gradients.append((loss_scale(optimizer), named))

    def read_variables_before(self) -> None:
        """Reads the trainable variables before the step, where updates are recorded."""
        # In a scope, so that no name in the step changes, by which Grappler sorts operations.
        with tf.name_scope("nanwatch"):
            for variable in self._framework.trainable_variables(self._model):
                if self._watch.selects("update", self._layer(variable)):
                    self._before[id(variable)] = tf.identity(self._framework.value(variable))

    def end(self, optimizers: Iterable[Any]) -> None:
        """Adds what is known only after the step: its variables, and the parts of the batch."""
        for part in () if self._batch is None else self._batch.parts():
            facts = VariableFacts(attribute=part.attribute)
            self._tensors += self._named(
                part.role, "", part.name, part.tensor, batch=True, variable=facts
            )
        for outputs in () if "prediction" in self._found_roles else self._model_outputs:
            self._predictions(outputs)
        for name, loss in self._losses.named():
            self._tensors += self._named("loss", "", name, loss)
        self._add_state(optimizers)

    def _add_state(self, optimizers: Iterable[Any]) -> None:
        for variable in self._framework.trainable_variables(self._model):
            if id(variable) in self._before:
                update = self._framework.value(variable) - self._before[id(variable)]
                self._tensors += self._of_variable("update", variable, update)
        for optimizer in optimizers:
            for slot, owner in slots(optimizer, self._framework.trainable_variables(self._model)):
                layer = "" if owner is None else self._layer(owner)
                path, value = self._slot_path(slot, owner), self._framework.value(slot)
                self._tensors += self._named(
                    "slot",
                    layer,
                    path,
                    value,
                    shape=slot.shape,
                    mirrored=is_mirrored(slot),
                    handle=handle_of(slot),
                )
        self.add_weights()

    def add_weights(self) -> None:
        """Adds the model's variables as they are now, non-trainable ones too."""
        for variable in self._framework.weights(self._model):
            value, handle = self._framework.value(variable), handle_of(variable)
            self._tensors += self._of_variable("weight", variable, value, handle=handle)

    def warn_of_inner_update(self) -> None:
        """Warns of an update that cannot be skipped."""
        self._warnings.add(
            'on_nonfinite="skip" cannot skip this update, because train_step applies it inside a '
            "nested tf.function, loop or branch. Apply it in train_step itself."
        )

    def warn_of_unseen_step(self) -> None:
        """Warns of a step in which there is nothing to decide by whether it is skipped."""
        self._warnings.add(
            'on_nonfinite="skip" skips no step, because train_step computes its loss and applies '
            "its update where they cannot be seen. Use self.compute_loss, a tf.GradientTape or an "
            "optimizer's apply in train_step itself."
        )

    def add_hidden_layer(self, layer: str) -> None:
        """Adds a layer that is called in an inner graph, where its outputs cannot be recorded."""
        self._hidden_layers[layer] = None

    def warn_of_missing(self, layers: Sequence[str], unpatched: Sequence[str]) -> None:
        """Warns of what the user asked for and the step did not contain.

        Args:
          layers: paths of the model's layers.
          unpatched: those of them whose method could not be replaced.
        """
        owners = list(map(self._layer, self._framework.weights(self._model)))
        known = list(dict.fromkeys([*layers, *owners]))
        unmatched = self._watch.unmatched_patterns(known)
        for pattern in unmatched:
            self._warnings.add(
                f"the pattern {pattern!r} in watch matches no layer. The model's layers are: "
                f"{', '.join(known)}."
            )
        for role in [role for role in ROLE_NAMES if role not in self._found_roles]:
            if role in _REMEDIES and self._is_expected(role):
                self._warnings.add_missing(role, _REMEDIES[role])
            elif role in _ABSENT and role in self._watch.named_roles and not unmatched:
                self._warnings.add(f"no {role} is recorded, because {_ABSENT[role]}.")
        hidden = [layer for layer in self._hidden_layers if layer not in self._recorded_layers]
        if hidden:
            self._warnings.add(
                "the outputs of these layers are not recorded, because they are called inside a "
                f"nested tf.function, loop or branch: {', '.join(hidden)}."
            )
        if unpatched:
            self._warnings.add(
                "the outputs of these layers are not recorded, because their `call` cannot be "
                f"wrapped: {', '.join(unpatched)}."
            )

    def _is_expected(self, role: str) -> bool:
        """Whether a step should contain a role that was not found in it."""
        if role == "prediction":
            # A GAN has none: expected only of a step that seems to hide everything.
            hides = not {"loss", "gradient"} <= self._found_roles
            return self._watch.has_role(role) and (role in self._watch.named_roles or hides)
        has_variables = role != "gradient" or self._framework.trainable_variables(self._model)
        return bool(has_variables) and self._watch.has_role(role)

    def _layer(self, variable: Any) -> str:
        return relative_path(parent_path(self.paths.variable(variable)), self._model)

    def _slot_path(self, slot: Any, owner: Any) -> str:
        path = variable_path(slot)
        if owner is None or self.paths.variable(owner) == variable_path(owner):
            return path
        return self._framework.slot_path(path, variable_path(owner), self.paths.variable(owner))

    def _of_variable(
        self, role: str, variable: Any, value: Any, **options: Any
    ) -> Iterator[NamedTensor]:
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
            **options,
        )

    def _named(
        self, role: str, layer: str, name: str, value: Any, **options: Any
    ) -> Iterator[NamedTensor]:
        self._found_roles.add(role)
        if self._watch.selects(role, layer):
            is_requested = role in self._watch.named_roles
            yield from recordable(
                self._warnings, role, layer, name, value, is_requested=is_requested, **options
            )
