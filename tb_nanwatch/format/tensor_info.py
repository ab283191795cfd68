"""What a row of a record is: a watched tensor."""

from __future__ import annotations

from dataclasses import dataclass

INTEGER = "integer"
"""The attribute of inputs and targets that are whole numbers: labels, ids, pixels."""


@dataclass(frozen=True)
class TensorInfo:
    """One watched tensor.

    Attributes:
      role: one of `format.roles`.
      layer: path of the owning layer; "" where there is none.
      name: path of the tensor; unique among those of its role and replica.
      shape: -1 for a dimension that is not fixed; None where the rank is unknown.
      dtype: NumPy's name of the dtype.
      replica: which of several replicas of the process it is of; "" where there is one alone.
      trainable: of a variable or its gradient, whether it is trained; None where not known.
      is_statistic: whether a layer keeps it as a statistic, such as a moving average.
      attribute: the layer's attribute that holds the variable, such as "kernel"; of a sample weight
        "sample_weight", of data in whole numbers `INTEGER`; "" where it is not known.
    """

    role: str
    layer: str
    name: str
    shape: tuple[int, ...] | None
    dtype: str
    replica: str = ""
    trainable: bool | None = None
    is_statistic: bool = False
    attribute: str = ""

    @property
    def given_name(self) -> str:
        """Its name without the number that tells it from others of that name.

        The two gradients of a variable that a step updates twice have the variable's.
        """
        return self.name.partition("#")[0]
