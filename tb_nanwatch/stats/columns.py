"""The columns of a record and of its window: names, units and how each one merges.

A record is a float64 matrix ``[tensors, len(COLUMNS)]``; one window is a float64 vector
``[len(WINDOW_FIELDS)]``. Counts are exact up to 2**53. Python, the documentation and the
frontend's ``schema.ts`` all take these names from here.

Two kinds of columns stand side by side. Those named *every step* cover all the steps of the
window. Those named *sampled* cover only the steps at which the exponent histogram was taken (the
last step of a window, though not of every window, and each step at which the set of non-finite
tensors changed); ``sampled_steps`` says how many those were.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Merge = Literal["sum", "min", "max"]
"""How one column of two records becomes one: NaN means "nothing seen" and never wins."""


@dataclass(frozen=True)
class Column:
    """One column of a record, or one field of a window.

    Attributes:
      name: the name used in code, in the manifest and on the wire.
      merge: how the values of two records become one.
      unit: what the number counts or measures.
      empty: the value where nothing was seen; ``merge(x, empty) == x``.
      description: one sentence for documentation and tooltips.
    """

    name: str
    merge: Merge
    unit: str
    empty: float
    description: str


_NAN = float("nan")
_ZERO = 0.0

COLUMNS: tuple[Column, ...] = (
    Column("steps", "sum", "steps", _ZERO, "Steps at which the tensor was recorded."),
    Column("elements", "sum", "elements", _ZERO, "Elements, summed over all steps."),
    Column("nan", "sum", "elements", _ZERO, "NaN elements, summed over all steps."),
    Column("pos_inf", "sum", "elements", _ZERO, "+Inf elements, summed over all steps."),
    Column("neg_inf", "sum", "elements", _ZERO, "-Inf elements, summed over all steps."),
    Column(
        "nonfinite_steps",
        "sum",
        "steps",
        _ZERO,
        "Steps with NaN or Inf, except those that loss scaling skipped.",
    ),
    Column(
        "scale_skipped_steps",
        "sum",
        "steps",
        _ZERO,
        "Steps with NaN or Inf that loss scaling skipped, which is normal.",
    ),
    Column(
        "first_nonfinite_step",
        "min",
        "step",
        _NAN,
        "First step with NaN or Inf, except those that loss scaling skipped.",
    ),
    Column(
        "last_nonfinite_step",
        "max",
        "step",
        _NAN,
        "Last step with NaN or Inf, except those that loss scaling skipped.",
    ),
    Column(
        "sum_squares",
        "sum",
        "value squared",
        _ZERO,
        "Sum of squares of the finite elements, over all steps.",
    ),
    Column(
        "largest_norm",
        "max",
        "value",
        _NAN,
        "Largest L2 norm of the finite elements in any one step.",
    ),
    Column("sampled_steps", "sum", "steps", _ZERO, "Steps with a histogram."),
    Column("sampled_elements", "sum", "elements", _ZERO, "Elements in the steps with a histogram."),
    Column(
        "sampled_finite", "sum", "elements", _ZERO, "Finite elements in the steps with a histogram."
    ),
    Column("zero", "sum", "elements", _ZERO, "Zeros (+0 or -0) in the steps with a histogram."),
    Column(
        "subnormal",
        "sum",
        "elements",
        _ZERO,
        "Elements below the smallest normal number of their dtype, in the steps with a histogram.",
    ),
    Column("min", "min", "value", _NAN, "Smallest finite element in the steps with a histogram."),
    Column("max", "max", "value", _NAN, "Largest finite element in the steps with a histogram."),
    Column(
        "sum", "sum", "value", _ZERO, "Sum of the finite elements in the steps with a histogram."
    ),
)

WINDOW_FIELDS: tuple[Column, ...] = (
    Column("version", "max", "", _ZERO, "Version of the record's layout."),
    Column("manifest", "max", "", _ZERO, "Hash of the manifest that names the tensors."),
    Column("sequence", "max", "", _ZERO, "Number of the record in its stream, from 0."),
    Column("first_step", "min", "step", _NAN, "First step of the window."),
    Column("last_step", "max", "step", _NAN, "Last step of the window."),
    Column("sampled_step", "max", "step", _NAN, "Last step with a histogram."),
    Column(
        "scale_skipped_steps",
        "sum",
        "steps",
        _ZERO,
        "Steps that loss scaling skipped.",
    ),
    Column(
        "skipped_steps",
        "sum",
        "steps",
        _ZERO,
        "Steps whose update was skipped because it was NaN or Inf.",
    ),
    Column("loss_scale", "min", "", _NAN, "Smallest loss scale of the window; NaN without one."),
    Column(
        "lost_records",
        "max",
        "records",
        _ZERO,
        "Records of the stream that could not be written before this one.",
    ),
)

COLUMN_NAMES: tuple[str, ...] = tuple(column.name for column in COLUMNS)
WINDOW_FIELD_NAMES: tuple[str, ...] = tuple(field.name for field in WINDOW_FIELDS)

COLUMN: dict[str, int] = {name: index for index, name in enumerate(COLUMN_NAMES)}
"""Index of each column of a record by its name."""

WINDOW_FIELD: dict[str, int] = {name: index for index, name in enumerate(WINDOW_FIELD_NAMES)}
"""Index of each field of a window by its name."""

assert len(WINDOW_FIELDS) <= len(COLUMNS), "a window travels as the first row of its record"
