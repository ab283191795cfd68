"""The first non-finite tensor of a run, and what that makes of the run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from tb_nanwatch.diagnosis.facts.step_order import step_order
from tb_nanwatch.format.tensor_info import TensorInfo

Status = Literal["nonfinite", "healthy", "empty"]


@dataclass(frozen=True)
class FirstNonfinite:
    """Where a run first was non-finite.

    Attributes:
      tensor: index of the tensor.
      step: the step.
      initial: whether it was so before that step began.
      nan: NaN elements in the record that holds the step.
      pos_inf: +Inf elements, likewise.
      neg_inf: -Inf elements, likewise.
    """

    tensor: int
    step: int
    initial: bool
    nan: int
    pos_inf: int
    neg_inf: int


def first_nonfinite(
    tensors: Sequence[TensorInfo],
    steps: npt.NDArray[np.float64],
    initial: npt.NDArray[np.bool_],
    counts: npt.NDArray[np.float64],
) -> FirstNonfinite | None:
    """The first by step, then by the order within a step (`step_order`), as findings see it.

    Args:
      tensors: in model order; roles that `format.roles` does not know come last.
      steps: float64 [tensors], first non-finite step, NaN where there is none. Steps that loss
        scaling handled are none.
      initial: bool [tensors], whether the tensor was non-finite before that step began: that comes
        before everything of the step.
      counts: float64 [tensors, 3], NaN, +Inf and -Inf elements of the record that holds the step.

    Returns:
      None where every step is NaN.
    """
    bad = np.flatnonzero(~np.isnan(steps))
    if not len(bad):
        return None
    rank = step_order(tensors).execution_rank[bad]
    tensor = int(bad[np.lexsort((bad, rank, ~initial[bad], steps[bad]))[0]])
    nan, pos_inf, neg_inf = (int(count) for count in counts[tensor])
    return FirstNonfinite(tensor, int(steps[tensor]), bool(initial[tensor]), nan, pos_inf, neg_inf)


def status(records: int, first: FirstNonfinite | None) -> Status:
    """What a run is, from the number of its records and what was non-finite first."""
    if first is not None:
        return "nonfinite"
    return "healthy" if records else "empty"
