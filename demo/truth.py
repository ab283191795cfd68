"""What is known of a case beforehand: what a finding is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["nonfinite", "unstable", "healthy"]


@dataclass(frozen=True)
class Truth:
    """Where a training goes wrong, and why. The default is a healthy one.

    Attributes:
      status: `nonfinite` where something became NaN or infinite, `unstable` where training goes
        wrong and all stays finite.
      causes: NaNWatch's names of the cause; several, where each is a right answer.
      also: causes that have to be found besides.
      beside: causes that are true as well, and need not be found.
      step: the first step that is wrong; None where there is no such step, as with gradients that
        are too small from the beginning.
      roles: the roles of the origin; several, where each is a right answer; none: any.
      layer: the layer of the origin; "" for what belongs to no layer, as the loss does; None where
        no single layer is at fault.
      operation: the operation that makes it and the pass in which it does; None where none does,
        or none that is run again.
      code: what stands in the line of source that runs it.
      loss_stays_finite: whether the loss hides it.
      onednn_hides: whether it does with oneDNN's kernels, TensorFlow's default on x86-64, and only
        there.
    """

    status: Status = "healthy"
    causes: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    step: int | None = None
    roles: tuple[str, ...] = ()
    layer: str | None = None
    operation: tuple[str, str] | None = None
    code: str = ""
    loss_stays_finite: bool = False
    onednn_hides: bool = False
