"""The tensors of a run, over all of its manifests."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.tensor_info import TensorInfo


@dataclass(frozen=True)
class Tensor:
    """One watched tensor of a run, as its newest manifest describes it.

    Attributes:
      id: 12 hex digits, the same over reloads and resumed runs.
      info: role, layer, name, shape and dtype.
      worker: which of several workers or replicas it is of, such as "worker-1", "replica-0" or
        "worker-1/replica-0"; "" where there is only one.
      description: the user's own text; "" for none.
    """

    id: str
    info: TensorInfo
    worker: str
    description: str


def tensor_id(role: str, name: str, worker: str, occurrence: int = 0) -> str:
    """12 hex digits of a SHA-256; `occurrence` distinguishes equal rows of one manifest."""
    parts = [role, name, worker, *([str(occurrence)] if occurrence else [])]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


class Tensors:
    """Collects the tensors of the manifests in use, in the order of first appearance."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self._tensors: list[Tensor] = []

    def add(self, manifest: Manifest) -> npt.NDArray[np.int64]:
        """The index of each row's tensor, int64 [rows], no index twice."""
        rows = []
        seen: Counter[str] = Counter()
        for info in manifest.tensors:
            worker = "/".join(filter(None, (manifest.worker, info.replica)))
            identity = tensor_id(info.role, info.name, worker)
            seen[identity] += 1
            if seen[identity] > 1:
                identity = tensor_id(info.role, info.name, worker, seen[identity] - 1)
            tensor = Tensor(identity, info, worker, manifest.description)
            index = self._index.setdefault(identity, len(self._tensors))
            if index == len(self._tensors):
                self._tensors.append(tensor)
            else:
                self._tensors[index] = tensor
            rows.append(index)
        return np.array(rows, np.int64)

    def all(self) -> tuple[Tensor, ...]:
        return tuple(self._tensors)
