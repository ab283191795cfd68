"""Which tensors each tensor of a run is computed from, by the recorded call graph: pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

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
        recorded = _Recorded(tensors, indices)
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
    """The recorded tensors of one worker by role, and by role and layer."""

    def __init__(self, tensors: Sequence[TensorInfo], indices: Iterable[int]):
        self._found: dict[tuple[str, str | None], list[int]] = defaultdict(list)
        for index in indices:
            info = tensors[index]
            self._found[info.role, None].append(index)
            self._found[info.role, info.layer].append(index)

    def of(self, role: str, layer: str | None = None) -> list[int]:
        return self._found.get((role, layer), [])


def _upstream(info: TensorInfo, recorded: _Recorded, graph: _CallGraph) -> list[int]:
    def activations(layer: str) -> list[int]:
        return recorded.of("activation", layer)

    def activation_gradients(layer: str) -> list[int]:
        return recorded.of("activation_gradient", layer)

    if info.role == "loss":
        return [*recorded.of("prediction"), *recorded.of("target")]
    if info.role == "prediction":
        ends = [layer for layer, consumers in graph.consumers.items() if not consumers]
        return _nearest(ends, activations, graph.inputs, recorded.of("input")) if ends else []
    if info.layer not in graph.inputs:
        return []
    if info.role == "activation":
        return _nearest(graph.inputs[info.layer], activations, graph.inputs, recorded.of("input"))
    if info.role in ("activation_gradient", "gradient"):
        own = activation_gradients(info.layer) if info.role == "gradient" else []
        return own or _nearest(
            graph.consumers[info.layer], activation_gradients, graph.consumers, recorded.of("loss")
        )
    return []


def _nearest(
    layers: Sequence[str],
    tensors_of: Callable[[str], list[int]],
    onward: dict[str, tuple[str, ...]],
    at_the_end: list[int],
) -> list[int]:
    """The tensors of the layers; of a layer without any, those of the layers that follow it.

    Args:
      layers: to begin with; () is the end of the graph.
      tensors_of: the recorded tensors of a layer.
      onward: of each layer, those that follow it in this direction.
      at_the_end: the tensors where a path through the graph ends.
    """
    found: dict[int, None] = {}
    seen: set[str] = set()
    waiting = list(layers)
    if not waiting:
        return list(at_the_end)
    while waiting:
        layer = waiting.pop(0)
        if layer in seen:
            continue
        seen.add(layer)
        following = onward.get(layer, ())
        tensors = tensors_of(layer) or ([] if following else at_the_end)
        found |= dict.fromkeys(tensors)
        if not tensors:
            waiting.extend(following)
    return list(found)
