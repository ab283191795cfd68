"""What a row of a record is: a watched tensor."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorInfo:
    """One watched tensor.

    Attributes:
      role: one of `schema.roles`.
      layer: path of the owning layer; "" where there is none.
      name: path of the tensor; unique among those of its role and replica.
      shape: -1 for a dimension that is not fixed; None where the rank is unknown.
      dtype: NumPy's name of the dtype.
      replica: which of several replicas of the process it is of; "" where there is one alone.
    """

    role: str
    layer: str
    name: str
    shape: tuple[int, ...] | None
    dtype: str
    replica: str = ""
