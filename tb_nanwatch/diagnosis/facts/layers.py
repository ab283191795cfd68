"""What each layer is and what feeds it, as the framework reported."""

from __future__ import annotations

from functools import cached_property

from tb_nanwatch.diagnosis.facts.layer_kinds import (
    ACTIVATIONS_THAT_DROP_NAN,
    BOUNDED_ACTIVATIONS,
    DROPS_NAN,
    INFINITE_DERIVATIVE,
    KNOWN_ACTIVATIONS,
    MULTIPLIES_INPUT,
    RECURRENT,
    RUNS_USER_CODE,
    SCALES_INPUT,
)
from tb_nanwatch.format.facts import LayerFacts, ModelFacts


class Layers:
    """The layers of a model by their paths. Of a path that is not known every answer is "no"."""

    def __init__(self, model: ModelFacts):
        self.paths = tuple(dict.fromkeys(layer.path for layer in model.layers))
        self._facts: dict[str, LayerFacts] = {layer.path: layer for layer in model.layers}

    def __contains__(self, path: str) -> bool:
        return path in self._facts

    def get(self, path: str) -> LayerFacts | None:
        """What is known of a layer; None for nothing."""
        return self._facts.get(path)

    def inputs(self, path: str) -> tuple[str, ...]:
        """The layers whose outputs it consumes; () where that is not known, or for none."""
        layer = self._facts.get(path)
        return () if layer is None else layer.inputs

    def consumers(self, path: str) -> tuple[str, ...]:
        """The layers that consume its output; () where that is not known, or for none."""
        return self._consumers.get(path, ())

    @cached_property
    def _consumers(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for layer in self._facts.values():
            for path in layer.inputs:
                found[path] = (*found.get(path, ()), layer.path)
        return found

    def drops_nan(self, path: str) -> bool:
        """Whether it is a built-in layer that may return a number for a NaN."""
        layer = self._builtin(path)
        return layer is not None and (
            layer.class_name in DROPS_NAN or layer.activation in ACTIVATIONS_THAT_DROP_NAN
        )

    def multiplies_input(self, path: str) -> bool:
        """Whether it is a built-in layer with a kernel that multiplies its input, and a bias."""
        layer = self._builtin(path)
        return layer is not None and layer.class_name in MULTIPLIES_INPUT

    @cached_property
    def input_scalers(self) -> int:
        """How many built-in layers bring an input of the model to a usual scale."""
        kinds = [each.class_name for each in self._facts.values() if each.is_builtin]
        return sum(kind in SCALES_INPUT for kind in kinds)

    def unbounded_recurrence(self, path: str = "") -> LayerFacts | None:
        """The first recurrent layer whose state nothing bounds; of a known layer only that one."""
        for each in [self._facts[path]] if path in self._facts else self._facts.values():
            is_unbounded = each.activation not in BOUNDED_ACTIVATIONS
            if each.is_builtin and each.class_name in RECURRENT and is_unbounded:
                return each
        return None

    def is_regularized(self, path: str) -> bool:
        """Whether a regularizer adds to the gradients of its variables."""
        layer = self._facts.get(path)
        return layer is not None and layer.is_regularized

    def has_infinite_derivative(self, path: str) -> bool:
        """Whether it is an operation whose derivative is infinite somewhere."""
        layer = self._builtin(path)
        return layer is not None and layer.class_name in INFINITE_DERIVATIVE

    def runs_user_code(self, path: str) -> bool:
        """Whether what it computes is the user's own."""
        layer = self._facts.get(path)
        if layer is None:
            return False
        return (
            not layer.is_builtin
            or layer.class_name in RUNS_USER_CODE
            or layer.activation not in KNOWN_ACTIVATIONS
        )

    def is_smooth(self, path: str) -> bool:
        """Whether it is a built-in layer whose derivative is finite everywhere."""
        return path in self._facts and not (
            self.has_infinite_derivative(path) or self.runs_user_code(path)
        )

    def _builtin(self, path: str) -> LayerFacts | None:
        layer = self._facts.get(path)
        return layer if layer is not None and layer.is_builtin else None
