"""What is known of a case beforehand: what tests and readers compare a recording with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Truth:
    """Where a training goes wrong.

    Attributes:
      first_step: the first step with a non-finite value in anything that is watched; None: none.
      role: what is non-finite there first, in the order of data flow.
      cause: NaNWatch's name of the cause; None: a healthy run.
      loss_stays_finite: whether the loss hides it, with TensorFlow's default (oneDNN) on a CPU.
    """

    first_step: int | None = None
    role: str | None = None
    cause: str | None = None
    loss_stays_finite: bool = False
