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
    Column("steps", "sum", "steps", _ZERO, "Steps at which the tensor was seen."),
    Column("elements", "sum", "elements", _ZERO, "Elements seen, over every step."),
    Column("nan", "sum", "elements", _ZERO, "NaN elements, over every step."),
    Column("pos_inf", "sum", "elements", _ZERO, "+Inf elements, over every step."),
    Column("neg_inf", "sum", "elements", _ZERO, "-Inf elements, over every step."),
    Column(
        "nonfinite_steps",
        "sum",
        "steps",
        _ZERO,
        "Steps with a NaN or an infinity, without those that loss scaling handled.",
    ),
    Column(
        "scale_skipped_steps",
        "sum",
        "steps",
        _ZERO,
        "Steps with a NaN or an infinity that a loss-scaling optimizer refused and so handled.",
    ),
    Column(
        "first_nonfinite_step",
        "min",
        "step",
        _NAN,
        "First of the nonfinite_steps; NaN where there is none.",
    ),
    Column(
        "last_nonfinite_step",
        "max",
        "step",
        _NAN,
        "Last of the nonfinite_steps; NaN where there is none.",
    ),
    Column(
        "sum_squares",
        "sum",
        "value squared",
        _ZERO,
        "Sum of the squares of the finite elements, over every step.",
    ),
    Column(
        "largest_norm",
        "max",
        "value",
        _NAN,
        "Largest L2 norm of the finite elements at any one step.",
    ),
    Column("sampled_steps", "sum", "steps", _ZERO, "Steps that the sampled columns cover."),
    Column("sampled_elements", "sum", "elements", _ZERO, "Elements in the sampled steps."),
    Column("sampled_finite", "sum", "elements", _ZERO, "Finite elements in the sampled steps."),
    Column("zero", "sum", "elements", _ZERO, "Sampled: elements that are +0 or -0."),
    Column(
        "subnormal",
        "sum",
        "elements",
        _ZERO,
        "Sampled: elements below the smallest normal number of their dtype, told by their bits.",
    ),
    Column("min", "min", "value", _NAN, "Sampled: smallest finite element."),
    Column("max", "max", "value", _NAN, "Sampled: largest finite element."),
    Column("sum", "sum", "value", _ZERO, "Sampled: sum of the finite elements."),
)

WINDOW_FIELDS: tuple[Column, ...] = (
    Column("version", "max", "", _ZERO, "Version of the record's layout."),
    Column("manifest", "max", "", _ZERO, "Hash of the manifest that names the tensors."),
    Column("sequence", "max", "", _ZERO, "Number of the record in its stream, from 0."),
    Column("first_step", "min", "step", _NAN, "First step of the window."),
    Column("last_step", "max", "step", _NAN, "Last step of the window."),
    Column("sampled_step", "max", "step", _NAN, "Last step that the sampled columns cover."),
    Column(
        "scale_skipped_steps",
        "sum",
        "steps",
        _ZERO,
        "Steps that a loss-scaling optimizer refused.",
    ),
    Column(
        "skipped_steps",
        "sum",
        "steps",
        _ZERO,
        "Steps whose update was withheld as it was non-finite.",
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
