"""Which tensors each tensor of a run is computed from, by the recorded call graph: pure."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence

from tb_nanwatch.format.facts import ModelFacts
from tb_nanwatch.format.tensor_info import TensorInfo


def upstream(
    tensors: Sequence[TensorInfo], workers: Sequence[str], model: ModelFacts
) -> list[tuple[int, ...]]:
    """The tensors directly upstream of each tensor: indices in `tensors`, () where unknown.

    Layers whose tensors were not recorded are passed through: the nearest recorded tensors upstream
    are given in their place.

    - activation: the activations of the layers whose outputs its layer consumes; the inputs, where
      it consumes no layer's.
    - prediction: the activations of the layers whose outputs no layer consumes.
    - loss: the predictions and the targets.
    - activation_gradient: those of the layers that consume its layer's output; the loss, where
      none does.
    - gradient: the activation gradient of its own layer, where recorded; else as one of those.

    Args:
      tensors: of the run.
      workers: of each, which worker or replica it is of; tensors of another one are not upstream.
      model: with the call graph.
    """
    of_worker: dict[str, list[int]] = defaultdict(list)
    for index, worker in enumerate(workers):
        of_worker[worker].append(index)
    found: list[tuple[int, ...]] = [()] * len(tensors)
    graph = _CallGraph(model)
    for indices in of_worker.values():
        recorded = _Recorded(tensors, indices, graph)
        for index in indices:
            found[index] = tuple(_upstream(tensors[index], recorded, graph))
    return found


class _CallGraph:
    """Which layers feed which."""

    def __init__(self, model: ModelFacts):
        self.inputs = {layer.path: layer.inputs for layer in model.layers}
        self.consumers: dict[str, tuple[str, ...]] = dict.fromkeys(self.inputs, ())
        for layer in model.layers:
            for path in layer.inputs:
                self.consumers[path] = (*self.consumers.get(path, ()), layer.path)


class _Recorded:
    """The recorded tensors of one worker by role, and by role and layer.

    Attributes:
      activations: the nearest ones upstream.
      activation_gradients: the nearest ones downstream, where gradients come from.
    """

    def __init__(self, tensors: Sequence[TensorInfo], indices: Iterable[int], graph: _CallGraph):
        self._found: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        for index in indices:
            info = tensors[index]
            self._found[info.role, None].append(index)
            self._found[info.role, info.layer].append(index)
        forward = list(graph.inputs)
        self.activations = _Nearest(self, "activation", forward, graph.inputs, "input")
        self.activation_gradients = _Nearest(
            self, "activation_gradient", forward[::-1], graph.consumers, "loss"
        )

    def of(self, role: str, layer: str | None = None) -> list[int]:
        return self._found.get((role, layer), [])


def _upstream(info: TensorInfo, recorded: _Recorded, graph: _CallGraph) -> list[int]:
    if info.role == "loss":
        return [*recorded.of("prediction"), *recorded.of("target")]
    if info.role == "prediction":
        ends = [layer for layer, consumers in graph.consumers.items() if not consumers]
        return recorded.activations.of(ends) if ends else []
    if info.layer not in graph.inputs:
        return []
    if info.role == "activation":
        return recorded.activations.of(graph.inputs[info.layer])
    if info.role in ("activation_gradient", "gradient"):
        own = recorded.of("activation_gradient", info.layer) if info.role == "gradient" else []
        return own or recorded.activation_gradients.of(graph.consumers[info.layer])
    return []


class _Nearest:
    """The tensors of layers; of a layer without any, those of the layers that follow it.

    Args:
      recorded: the tensors.
      role: which of them.
      order: the layers, each after most of those that follow it: for them it is known by then, and
        thousands of layers in a row are looked at once each.
      onward: of each layer, those that follow it in this direction; () is the end of the graph.
      at_the_end: the role of the tensors where a path through the graph ends.
    """

    def __init__(
        self,
        recorded: _Recorded,
        role: str,
        order: Iterable[str],
        onward: Mapping[str, tuple[str, ...]],
        at_the_end: str,
    ):
        self._recorded, self._role, self._onward = recorded, role, onward
        self._at_the_end = recorded.of(at_the_end)
        self._known: dict[str, list[int]] = {}
        for layer in order:
            self._known[layer] = self.of([layer])

    def of(self, layers: Sequence[str]) -> list[int]:
        """The tensors of the layers together, each once; without layers, those at the end."""
        found: dict[int, None] = {}
        seen: set[str] = set()
        waiting = deque(layers)
        if not waiting:
            return list(self._at_the_end)
        while waiting:
            layer = waiting.popleft()
            if layer in seen:
                continue
            seen.add(layer)
            following = self._onward.get(layer, ())
            tensors = self._known.get(layer) or self._recorded.of(self._role, layer)
            if not tensors and not following:
                tensors = self._at_the_end
            found |= dict.fromkeys(tensors)
            if not tensors and layer not in self._known:
                waiting.extend(following)
        return list(found)
