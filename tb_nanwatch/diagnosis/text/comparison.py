"""The first difference of two runs, in words."""

from __future__ import annotations

from collections.abc import Sequence

from tb_nanwatch.diagnosis.comparison import Comparison, Difference
from tb_nanwatch.diagnosis.text.layout import seen_on
from tb_nanwatch.diagnosis.text.names import code
from tb_nanwatch.diagnosis.text.numbers import plural


def comparison_text(names: Sequence[str], comparison: Comparison) -> str:
    """What was compared, and the first difference, in sentences."""
    if comparison.first_step is None or comparison.last_step is None:
        return "No step of any tensor can be compared."
    only = [
        f"{plural(count, 'tensor')} only in {code(name)}"
        for count, name in zip(comparison.only, names, strict=True)
        if count
    ]
    steps = comparison.last_step - comparison.first_step + 1
    compared = (
        f"Compared steps {comparison.first_step:,}-{comparison.last_step:,} of "
        f"{plural(comparison.tensors, 'tensor')}" + (f" ({', '.join(only)})." if only else ".")
    )
    difference = comparison.first_difference
    if comparison.norm_steps < steps and difference is None:
        compared += (
            f" Norms could be compared in {comparison.norm_steps:,} of {steps:,} steps, because "
            "the records of the two runs begin and end at different steps."
        )
    if difference is None:
        tolerance = f"{comparison.tolerance:g}"
        return f"No difference: norms agree within a relative tolerance of {tolerance}. {compared}"
    return f"{difference_text(names, difference)} {compared}"


def difference_text(names: Sequence[str], difference: Difference) -> str:
    """The first difference, in a sentence or two."""
    if difference.is_initial:
        where = f"They differ before step {difference.step:,} begins"
    elif difference.step == difference.last_step:
        where = f"They diverge at step {difference.step:,}"
    else:
        where = f"They diverge between step {difference.step:,} and step {difference.last_step:,}"
    one, other = difference.values
    if difference.kind == "nonfinite":
        bad, good = (names[0], names[1]) if one else (names[1], names[0])
        count = plural(int(one or other), "NaN or Inf element")
        what = f"{count} in {code(bad)}, none in {code(good)}"
    else:
        what = f"RMS {one:.4g} and {other:.4g}, norms {difference.relative_difference:.2%} apart"
    more = ""
    if difference.tensors > 1:
        more = f" {plural(difference.tensors - 1, 'more tensor')} differ there."
    if difference.tensors == 2:
        more = " 1 more tensor differs there."
    return f"{where}, first in {seen_on(difference.place)}: {what}.{more}"
