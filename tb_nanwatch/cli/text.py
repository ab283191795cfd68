"""The report of a run as text for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tb_nanwatch.cli.runs import DiagnosedRun
from tb_nanwatch.cli.terminal import BLUE, BOLD, DIM, GREEN, RED, YELLOW, Terminal, shortened
from tb_nanwatch.diagnosis.compare import Comparison, Parting
from tb_nanwatch.diagnosis.finding import Finding, Place, Victim
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.format.roles import DEFAULT_ROLES
from tb_nanwatch.reader import RunIndex

_STATUS = {
    "nonfinite": ("NON-FINITE", RED),
    "unstable": ("unstable", YELLOW),
    "healthy": ("healthy", GREEN),
    "empty": ("no record yet", YELLOW),
}
_SEVERITY_COLOUR = {"error": RED, "warning": YELLOW, "info": BLUE}
_LONGEST_NAME = 60
_INDENT, _COLUMN = 4, 12
_LAYERS = 3


def run_lines(terminal: Terminal, diagnosed: DiagnosedRun) -> Iterator[str]:
    """The lines of one run: its name and status, what was read, and its findings."""
    word, colour = _STATUS[diagnosed.status]
    index, findings = diagnosed.index, diagnosed.findings
    name = terminal.printable(shortened(diagnosed.name, terminal.width - 20))
    yield f"{terminal.paint(name, BOLD)}: {terminal.paint(word, BOLD, colour)}"
    yield from terminal.labelled("", what_was_read(index), indent=2, column=2)
    for problem in index.problems:
        yield from terminal.labelled("note", problem, indent=2, column=_COLUMN)
    for finding in findings:
        yield ""
        yield from _finding_lines(terminal, finding)


def what_was_read(run: RunIndex) -> str:
    """Steps and records of a run."""
    records = f"{run.read:,} of {run.written:,} records"
    if run.first_step is None or run.last_step is None:
        return records
    text = f"steps {run.first_step:,} to {run.last_step:,}, {records}"
    if run.scale_skipped_steps:
        steps = plural(run.scale_skipped_steps, "step")
        text += f", {steps} refused by the loss-scaling optimizer"
    return text


def _finding_lines(terminal: Terminal, finding: Finding) -> Iterator[str]:
    colour = _SEVERITY_COLOUR[finding.severity]
    yield (
        f"  {terminal.paint(finding.severity.upper(), BOLD, colour)} "
        f"{terminal.paint(finding.cause, BOLD)}, {when(finding)}"
    )
    rows = [
        ("origin", place_text(finding.origin)),
        ("what", finding.message),
        ("to do", finding.advice),
    ]
    if finding.rerun is not None:
        rows += [("code", line) for line in rerun_lines(finding.rerun)]
    if finding.victims:
        rows.append(("reached", victims_text(finding.victims)))
    if finding.turn_on:
        rows.append(("turn on", turn_on_text(finding.turn_on)))
    for label, text in rows:
        for number, line in enumerate(
            terminal.labelled(label, text, indent=_INDENT, column=_COLUMN)
        ):
            if number == 0:
                line = " " * _INDENT + terminal.paint(label, DIM) + line[_INDENT + len(label) :]
            yield line


def rerun_lines(rerun: Rerun) -> Iterator[str]:
    """What running the step again has found besides the message: the operands, and what to add."""
    operation = rerun.operation
    if operation is not None:
        if operation.file:
            yield f"{operation.file}:{operation.line}, in {operation.function}"
        elif operation.optimizer:
            yield f"in {operation.optimizer}"
        results = () if operation.result is None else (operation.result,)
        for operand in (*operation.operands, *results):
            told = ", ".join(f"{list(each.index)} is {each.value}" for each in operand.elements)
            shape = f"{operand.name}: {operand.dtype} {list(operand.shape)}"
            yield f"{shape}, {told}" if told else shape
    if rerun.note:
        yield rerun.note


def when(finding: Finding) -> str:
    """The steps of a finding."""
    if finding.last_step > finding.step:
        return f"steps {finding.step:,} to {finding.last_step:,}"
    return f"step {finding.step:,}"


def place_text(place: Place) -> str:
    """Role, tensor, and the layer where the tensor's name is not that."""
    role = place.role.replace("_", " ")
    text = (
        role if place.tensor == place.role else f"{role} {shortened(place.tensor, _LONGEST_NAME)}"
    )
    if place.layer and place.layer != place.tensor:
        text += f", layer {shortened(place.layer, _LONGEST_NAME)}"
    return f"{text} (worker {shortened(place.worker, _LONGEST_NAME)})" if place.worker else text


def victims_text(victims: Sequence[Victim]) -> str:
    """How many tensors of which roles and, for a few, of which layers."""
    roles: dict[str, int] = {}
    for victim in victims:
        role = victim.role.replace("_", " ")
        roles[role] = roles.get(role, 0) + 1
    counts = ", ".join(plural(count, role) for role, count in roles.items())
    first, last = min(each.step for each in victims), max(each.step for each in victims)
    steps = f"at step {first:,}" if first == last else f"from step {first:,} to {last:,}"
    layers = list(dict.fromkeys(each.layer for each in victims if each.layer))
    text = f"{counts}, {steps}"
    if layers:
        named = ", ".join(shortened(layer, _LONGEST_NAME) for layer in layers[:_LAYERS])
        more = f" and {len(layers) - _LAYERS:,} more" if len(layers) > _LAYERS else ""
        text += f", in {named}{more}"
    return text


def turn_on_text(roles: Sequence[str]) -> str:
    """Which roles to record too, and how where a Callback does not by itself."""
    named = [role.replace("_", " ") for role in roles]
    listed = named[0] if len(named) == 1 else f"{', '.join(named[:-1])} and {named[-1]}"
    text = f"recording {listed} too would tell more precisely"
    extra = [role for role in roles if role not in DEFAULT_ROLES]
    if not extra:
        return f"{text}."
    entries = ", ".join(f'"{entry}"' for entry in ("default", *extra))
    return f"{text}: `Callback(..., watch=[{entries}])`."


def plural(count: int, noun: str) -> str:
    """ "1 record", "2 records", "3 losses"."""
    if count == 1:
        return f"1 {noun}"
    return f"{count:,} {noun}{'es' if noun.endswith('s') else 's'}"


def comparison_lines(
    terminal: Terminal, names: Sequence[str], comparison: Comparison
) -> Iterator[str]:
    """Where two runs part."""
    one, other = (terminal.printable(shortened(name, _LONGEST_NAME)) for name in names)
    yield terminal.paint(f"{one} and {other}", BOLD) + ":"
    yield from terminal.labelled("", comparison_text(names, comparison), indent=2, column=2)


def comparison_text(names: Sequence[str], comparison: Comparison) -> str:
    """Where two runs part, in sentences."""
    if comparison.first_step is None or comparison.last_step is None:
        return "no steps of any tensor can be compared."
    only = [
        f"{plural(count, 'tensor')} only in {shortened(name, _LONGEST_NAME)}"
        for count, name in zip(comparison.only, names, strict=True)
        if count
    ]
    steps = comparison.last_step - comparison.first_step + 1
    compared = (
        f"Compared: steps {comparison.first_step:,} to {comparison.last_step:,} of "
        f"{plural(comparison.tensors, 'tensor')}" + (f" ({', '.join(only)})." if only else ".")
    )
    if comparison.norm_steps < steps and comparison.parting is None:
        compared += (
            f" Norms could be compared at {comparison.norm_steps:,} of the {steps:,} steps: the "
            "records of the two runs begin and end at different ones."
        )
    parting = comparison.parting
    if parting is None:
        return f"the same within {comparison.tolerance:g} of every norm. {compared}"
    return f"{parting_text(names, parting)} {compared}"


def parting_text(names: Sequence[str], parting: Parting) -> str:
    """The first difference, in a sentence or two."""
    if parting.is_initial:
        where = f"they differ before step {parting.step:,} already"
    elif parting.step == parting.last_step:
        where = f"they part at step {parting.step:,}"
    else:
        where = f"they part within the steps {parting.step:,} to {parting.last_step:,}"
    one, other = parting.values
    if parting.kind == "nonfinite":
        name = shortened(names[0] if one else names[1], _LONGEST_NAME)
        what = f"{plural(int(one or other), 'non-finite element')} in {name} alone"
    else:
        what = (
            f"root mean square {one:.4g} and {other:.4g}, norms apart by "
            f"{parting.relative_difference:.2%}"
        )
    more = f" {plural(parting.tensors - 1, 'more tensor')} there." if parting.tensors > 1 else ""
    return f"{where}, first on {place_text(parting.place)}: {what}.{more}"
