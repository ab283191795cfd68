"""Which layer consumes the outputs of which, as a step calls them."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.function_patching import Exchange, exchanged
from tb_nanwatch.adapters.tensorflow.graph.replicas import current_replica
from tb_nanwatch.training.warnings import Guard

_MOST_OPERATIONS = 1000
"""So many operations between two layers are followed back."""


class CallGraph:
    """Collects the calls of layers in one step, in the order in which they end.

    In a graph, what stands between two layers is followed back to the layers before it. Where the
    step runs eagerly, only what a layer is handed as another one returned it is known.

    Attributes:
      inputs: of each layer that was called, by identity, the layers whose outputs it consumed.
      layers: those layers.
    """

    def __init__(self) -> None:
        self.inputs: dict[int, dict[int, None]] = {}
        self.layers: list[Any] = []
        self._producers: dict[Hashable, tuple[weakref.ref[Any], int]] = {}

    @contextmanager
    def collecting(self, guard: Guard) -> Iterator[None]:
        """Until the block ends the calls of this thread are collected."""

        def call(original: Callable[..., Any], layer: Any, *args: Any, **kwargs: Any) -> Any:
            outputs = original(layer, *args, **kwargs)
            if current_replica() == 0:
                with guard("follow the calls of layers"):
                    self._called(layer, (args, kwargs), outputs)
            return outputs

        with exchanged(Exchange(keras.layers.Layer, "__call__", call)):
            yield
        self._producers.clear()

    def _called(self, layer: Any, arguments: Any, outputs: Any) -> None:
        key = id(layer)
        if key not in self.inputs:
            self.inputs[key] = {}
            self.layers.append(layer)
        known = self.inputs[key]
        known.update(dict.fromkeys(each for each in self._sources(arguments) if each != key))
        if is_pass_through(layer):
            return  # What it returns is the output of a layer within it.
        for tensor in keras.tree.flatten(outputs):
            if _is_followed(tensor):
                self._producers[_key(tensor)] = weakref.ref(tensor), key

    def _sources(self, arguments: Any) -> Iterable[int]:
        """The layers whose outputs these arguments are, or are made of."""
        found: dict[int, None] = {}
        pending = deque(filter(_is_followed, keras.tree.flatten(arguments)))
        seen: set[Hashable] = set()
        while pending and len(seen) < _MOST_OPERATIONS:
            tensor = pending.popleft()
            key = _key(tensor)
            if key in seen:
                continue
            seen.add(key)
            known, producer = self._producers.get(key, (None, 0))
            # An identity may be that of a later tensor.
            if known is not None and (tf.is_symbolic_tensor(tensor) or known() is tensor):
                found[producer] = None
            elif tf.is_symbolic_tensor(tensor):
                pending.extend(filter(_is_followed, tensor.op.inputs))
        return found


def _is_followed(value: Any) -> bool:
    """Whether a value is a tensor of numbers: shapes, masks and handles carry no NaN."""
    return isinstance(value, tf.Tensor) and (value.dtype.is_floating or value.dtype.is_complex)


def _key(tensor: tf.Tensor) -> Hashable:
    # A graph makes a new Python object of a tensor each time that it is asked for its inputs.
    return (id(tensor.graph), tensor.name) if tf.is_symbolic_tensor(tensor) else id(tensor)


def is_pass_through(layer: Any) -> bool:
    """Whether a layer only returns the output of its last one, as a Sequential model does."""
    # By name, as the class of functional models has no public one.
    call = type(layer).call
    is_builtin = getattr(call, "__module__", "").partition(".")[0] == "keras"
    name = getattr(call, "__qualname__", "")
    return is_builtin and name in ("Sequential.call", "Functional.call")
