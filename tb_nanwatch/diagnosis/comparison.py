"""What came of comparing two runs: facts, and their form as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from tb_nanwatch.diagnosis.finding import Place


@dataclass(frozen=True)
class Difference:
    """The first difference of two runs.

    Attributes:
      step: the step; or the first of those among which it is, where the runs' records do not tell.
      last_step: the last of those.
      is_initial: whether the runs differ before `step` already, in the state that it finds.
      place: the tensor, the earliest in the step of those that differ there.
      kind: "nonfinite" where it is non-finite in one run alone, or "norm".
      values: of each run: non-finite elements, or the root of the mean square of the finite ones.
      relative_difference: of the two norms, 0 to 1; 1 for "nonfinite".
      tensors: how many tensors differ there, this one among them.
    """

    step: int
    last_step: int
    is_initial: bool
    place: Place
    kind: Literal["nonfinite", "norm"]
    values: tuple[float, float]
    relative_difference: float
    tensors: int


@dataclass(frozen=True)
class Comparison:
    """What came of comparing two runs.

    Attributes:
      tolerance: the relative difference of norms from which on they differ.
      first_step: of those that both runs recorded; None where there is none.
      last_step: likewise.
      norm_steps: at how many of them norms could be compared, as both runs have records that begin
        and end there.
      tensors: how many tensors both runs have.
      only: how many tensors only the one and only the other has.
      first_difference: of the two; None where there is none.
    """

    tolerance: float
    first_step: int | None
    last_step: int | None
    norm_steps: int
    tensors: int
    only: tuple[int, int]
    first_difference: Difference | None

    def to_json(self) -> dict[str, Any]:
        """`comparison` in `nanwatch report --json`, but for the names of the runs."""
        difference = None
        if self.first_difference is not None:
            place = self.first_difference.place
            difference = {
                "step": self.first_difference.step,
                "last_step": self.first_difference.last_step,
                "initial": self.first_difference.is_initial,
                "kind": self.first_difference.kind,
                "role": place.role,
                "layer": place.layer,
                "tensor": place.tensor,
                **({"worker": place.worker} if place.worker else {}),
                "values": list(self.first_difference.values),
                "relative_difference": self.first_difference.relative_difference,
                "tensors": self.first_difference.tensors,
            }
        return {
            "tolerance": self.tolerance,
            "first_step": self.first_step,
            "last_step": self.last_step,
            "norm_steps": self.norm_steps,
            "tensors": self.tensors,
            "only": list(self.only),
            "first_difference": difference,
        }
