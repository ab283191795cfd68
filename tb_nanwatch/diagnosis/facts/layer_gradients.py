"""What the gradients of each layer are over a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from tb_nanwatch.diagnosis.facts.run import Run


@dataclass(frozen=True)
class LayerGradients:
    """The gradients of one layer up to the run's first lasting damage.

    Attributes:
      layer: its path.
      tensor: its gradient with the largest root mean square.
      rms: median over the records, of the largest of its gradients; 0 where they are zeros.
      first: its first recorded step.
      last: its last one.
      zero_since: step from which on all its gradients are exactly zero; None where they are not.
    """

    layer: str
    tensor: int
    rms: float
    first: int
    last: int
    zero_since: int | None

    @property
    def zero_steps(self) -> int:
        """Number of steps for which all its gradients have been exactly zero."""
        return 0 if self.zero_since is None else self.last - self.zero_since + 1


def layer_gradients(run: Run) -> list[LayerGradients]:
    """Those of every layer with gradients, in the order of execution."""
    by_layer: dict[int, list[int]] = {}
    for tensor in run.recorded("gradient"):
        if run.order.depth[tensor] >= 0:
            by_layer.setdefault(int(run.order.depth[tensor]), []).append(tensor)
    found = (_of_layer(run, run.order.layers[d], by_layer[d]) for d in sorted(by_layer))
    return [each for each in found if each is not None]


def _of_layer(run: Run, layer: str, tensors: Sequence[int]) -> LayerGradients | None:
    gradients = [_Gradient(run, tensor) for tensor in tensors]
    if not all(len(each.rms) for each in gradients):
        return None
    medians = [float(np.median(each.rms)) for each in gradients]
    best = gradients[int(np.argmax(medians))]
    latest = max(each.zero_from for each in gradients)
    return LayerGradients(
        layer,
        best.tensor,
        max(medians),
        int(best.first[0]),
        int(best.last[-1]),
        int(best.first[latest]) if latest < len(best.rms) else None,
    )


class _Gradient:
    """One gradient: first and last steps and root mean squares [records]."""

    def __init__(self, run: Run, tensor: int):
        history = run.histories[tensor]
        keep = history.last < run.damaged_from
        self.tensor = tensor
        self.first: npt.NDArray[np.int64] = history.first[keep]
        self.last: npt.NDArray[np.int64] = history.last[keep]
        self.rms: npt.NDArray[np.float64] = history.rms()[keep]
        sampled = history.column("sampled_elements")[keep]
        # By the bits of what was sampled; by the norm of every step that nothing else was there.
        self._is_zero = (self.rms == 0) & (history.column("zero")[keep] == sampled)

    @cached_property
    def zero_from(self) -> int:
        """The record from which on it is zero."""
        nonzero = np.flatnonzero(~self._is_zero)
        return int(nonzero[-1]) + 1 if len(nonzero) else 0
