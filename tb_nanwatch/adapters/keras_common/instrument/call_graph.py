"""Which layer consumes the outputs of which, as a step calls them."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.keras_common.framework import (
    framework_of,
    is_keras_builtin,
    loaded_frameworks,
)
from tb_nanwatch.adapters.tensorflow.graph.function_patching import FunctionPatch, patch_functions
from tb_nanwatch.adapters.tensorflow.graph.replicas import current_replica
from tb_nanwatch.training.internal_errors import InternalErrorGuard

_MAX_OPERATIONS = 1000
"""Operations that are followed back from a layer's input to the layers before it."""


class CallGraph:
    """Collects the calls of layers in one step, in the order in which they return.

    In a graph, the operations between two layers are followed back. Where the step runs eagerly,
    a layer's input is known only if it is the very tensor that another layer returned.

    Attributes:
      inputs: for each layer that was called, by identity, the layers whose outputs it consumed.
      layers: those layers.
    """

    def __init__(self) -> None:
        self.inputs: dict[int, dict[int, None]] = {}
        self.layers: list[Any] = []
        self._producers: dict[Hashable, tuple[weakref.ref[Any], int]] = {}

    @contextmanager
    def collecting(self, error_guard: InternalErrorGuard) -> Iterator[None]:
        """Collects the calls of this thread until the block ends."""

        def call(original: Callable[..., Any], layer: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = original(layer, *args, **kwargs)
            if current_replica() == 0:
                with error_guard("follow the calls of layers"):
                    self._add(layer, (args, kwargs), outputs)
            return outputs

        layers = [each.keras.layers.Layer for each in loaded_frameworks()]
        with patch_functions(*(FunctionPatch(each, "__call__", call) for each in layers)):
            yield
        self._producers.clear()

    def _add(self, layer: Any, arguments: Any, outputs: Any) -> None:
        key = id(layer)
        if key not in self.inputs:
            self.inputs[key] = {}
            self.layers.append(layer)
        known = self.inputs[key]
        flatten = framework_of(layer).flatten
        sources = self._sources(flatten(arguments))
        known.update(dict.fromkeys(each for each in sources if each != key))
        if is_pass_through(layer):
            return  # It returns the output of a layer within it.
        for tensor in flatten(outputs):
            if _is_followed(tensor):
                self._producers[_key(tensor)] = weakref.ref(tensor), key

    def _sources(self, arguments: Iterable[Any]) -> Iterable[int]:
        """The layers whose outputs these arguments are, or are computed from."""
        found: dict[int, None] = {}
        pending = deque(filter(_is_followed, arguments))
        seen: set[Hashable] = set()
        while pending and len(seen) < _MAX_OPERATIONS:
            tensor = pending.popleft()
            key = _key(tensor)
            if key in seen:
                continue
            seen.add(key)
            known, producer = self._producers.get(key, (None, 0))
            # A later tensor may have the same identity.
            if known is not None and (tf.is_symbolic_tensor(tensor) or known() is tensor):
                found[producer] = None
            elif tf.is_symbolic_tensor(tensor):
                pending.extend(filter(_is_followed, tensor.op.inputs))
        return found


def _is_followed(value: Any) -> bool:
    """Whether a value is a float tensor: shapes, masks and handles cannot hold NaN."""
    return isinstance(value, tf.Tensor) and (value.dtype.is_floating or value.dtype.is_complex)


def _key(tensor: tf.Tensor) -> Hashable:
    # A graph makes a new Python object for a tensor at each access to `inputs`.
    return (id(tensor.graph), tensor.name) if tf.is_symbolic_tensor(tensor) else id(tensor)


def is_pass_through(layer: Any) -> bool:
    """Whether a layer's output is that of its last layer, as in a Sequential model."""
    # By name, as the class of functional models has no public one.
    call = type(layer).call
    name = getattr(call, "__qualname__", "")
    return is_keras_builtin(call) and name in ("Sequential.call", "Functional.call")
