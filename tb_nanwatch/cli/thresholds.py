"""Thresholds of the diagnosis, from flags and from a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tb_nanwatch.cli.arguments import assignment
from tb_nanwatch.diagnosis import Thresholds, thresholds


def chosen(file: str | None, flags: Iterable[tuple[str, float]]) -> Thresholds:
    """The defaults, changed by the file and then by the flags.

    Raises:
      OSError: where the file cannot be read.
      ValueError: for an unknown threshold, or an invalid value.
    """
    values = dict(_of_file(file) if file else ())
    values.update(flags)
    return Thresholds.from_mapping(
        # What counts something is an integer there.
        {name: int(value) if value == int(value) else value for name, value in values.items()}
    )


def _of_file(file: str) -> Iterator[tuple[str, float]]:
    """One NAME=VALUE a line; empty lines and what follows a # are ignored."""
    try:
        with open(file, encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                text = line.partition("#")[0].strip()
                if text:
                    try:
                        yield assignment(text)
                    except ValueError as error:
                        raise ValueError(f"line {number} of {file!r}: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file!r} is not UTF-8 text.") from error


def listing() -> str:
    """Every threshold with its default, unit and reason, as a file of them would be written."""
    return "\n\n".join(
        f"# {each.unit}. {each.reason}\n{each.name} = {each.default:g}" for each in thresholds()
    )
