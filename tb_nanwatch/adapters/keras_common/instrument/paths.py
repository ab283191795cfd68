"""What layers and variables of a model are called."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tb_nanwatch.adapters.keras_common.framework import KerasFramework, framework_of
from tb_nanwatch.adapters.tensorflow.graph.variables import variable_path

_NAMED_BY_KERAS = re.compile(r"(functional|sequential|model)(_\d+)?")


def relative_path(path: str, model: Any) -> str:
    """The path without the name of the model, which it begins with only where Keras built it so."""
    return f"/{path}".removeprefix(f"/{model.name}/").removeprefix("/")


def own_path(layer: Any) -> str:
    """The path of a layer by Keras' own scopes: the names of the layers that build it, and its own.

    Keras sets it when a layer is built, and a Dropout never is; up to Keras 3.3 layers have none.
    """
    parent = getattr(layer, "_parent_path", None)
    path = getattr(layer, "path", None)
    return str(path or (f"{parent}/{layer.name}" if parent else layer.name))


class Paths:
    """Keras' own paths, made unique by the structure of the model.

    The layers of a functional model are built before the model, so their paths do not begin with
    its name, and the layers "conv" of an encoder and of a decoder have the same path. In Keras 2 no
    layer has a path, and all are made of the structure.

    Args:
      model: the model that is trained.
    """

    def __init__(self, model: Any):
        self._model = model
        self._framework = framework = framework_of(model)
        layers = framework.layers(model, include_self=False)
        count = Counter(map(framework.layer_path, layers))
        count[""] = len(layers) + 1  # None of them has a path of its own.
        alike = [layer for layer in layers if count[framework.layer_path(layer)] > 1]
        structure = _structure(framework, model) if alike else {}
        self._layers = {id(each): structure[id(each)] for each in alike if id(each) in structure}
        self._alike = [layer for layer in alike if id(layer) in self._layers]
        # In Keras 2 the first step creates variables, with names that say less.
        self._may_miss = any(not framework.layer_path(layer) for layer in self._alike)
        self._variables = self._variables_by_structure()

    def layer(self, layer: Any) -> str:
        """The path of a layer, relative to the model."""
        own = self._framework.layer_path(layer) or str(layer.name)
        return self._layers.get(id(layer)) or relative_path(own, self._model)

    def variable(self, variable: Any) -> str:
        """The path of a variable."""
        if self._may_miss and id(variable) not in self._variables:
            self._variables = self._variables_by_structure()
        return self._variables.get(id(variable)) or variable_path(variable)

    def _variables_by_structure(self) -> dict[int, str]:
        return {
            id(variable): f"{self._layers[id(layer)]}/{self._framework.variable_name(variable)}"
            for layer in self._alike
            for trainable in (True, False)
            for variable in self._framework.own_variables(layer, trainable=trainable)
        }


def _structure(framework: KerasFramework, model: Any) -> dict[int, str]:
    """The path of each layer by identity: the names of the layers that contain it, and its own."""
    found: dict[int, str] = {id(model): ""}
    level = [model]
    while level:
        following = []
        for owner in level:
            for name, layer in _sublayers(framework, owner):
                if id(layer) not in found:
                    found[id(layer)] = f"{found[id(owner)]}/{name}".removeprefix("/")
                    following.append(layer)
        level = following
    return found


def _sublayers(framework: KerasFramework, owner: Any) -> Iterator[tuple[str, Any]]:
    """(name, layer) of a layer's sublayers; an automatic name gives way to the attribute's."""
    attributes = {
        id(value): name for name, value in vars(owner).items() if not name.startswith("_")
    }
    for layer in framework.sublayers(owner):
        by_keras = _NAMED_BY_KERAS.fullmatch(layer.name) is not None
        yield (attributes.get(id(layer), layer.name) if by_keras else layer.name), layer
