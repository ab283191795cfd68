"""What a terminal can show: width, color, and text without control sequences."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TextIO

from tb_nanwatch.printable import visible

PLAIN_WIDTH = 80
"""Columns where the output is no terminal."""

_NARROWEST, _WIDEST = 40, 120
_LONGEST_WORD = 72
_LONGEST_TEXT = 2000

_CODE = re.compile(r"`[^`]+`")
_GLUE = "\0"
"""Replaces a space at which no line may break. Printable text contains none."""

Color = int
"""A parameter of the escape sequence "select graphic rendition"."""

RED, GREEN, YELLOW, BLUE, BOLD, DIM = 31, 32, 33, 34, 1, 2


@dataclass(frozen=True)
class Terminal:
    """Where text goes, and how.

    Attributes:
      width: columns to wrap at.
      color: whether escape sequences may be used.
      encoding: of the output; what it cannot express is escaped.
    """

    width: int = PLAIN_WIDTH
    color: bool = False
    encoding: str = "utf-8"

    @classmethod
    def of(cls, out: TextIO, environment: Mapping[str, str] = os.environ) -> Terminal:
        """What `out` is. Color on a terminal alone, and not where NO_COLOR is set to anything."""
        encoding = out.encoding or "utf-8"
        if not out.isatty():
            return cls(encoding=encoding)
        try:
            width = os.get_terminal_size(out.fileno()).columns
        except OSError:
            width = 0
        # A terminal that does not know its width says 0.
        width = min(max(width or PLAIN_WIDTH, _NARROWEST), _WIDEST)
        dumb = environment.get("TERM") == "dumb"
        return cls(width, not (environment.get("NO_COLOR") or dumb), encoding)

    def paint(self, text: str, *styles: Color) -> str:
        """`text` in these styles, or as it is."""
        if not self.color or not styles:
            return text
        return f"\x1b[{';'.join(map(str, styles))}m{text}\x1b[0m"

    def printable(self, text: str) -> str:
        """`text` with what a terminal would obey, or could not show, as backslash escapes."""
        return visible(text).encode(self.encoding, "backslashreplace").decode(self.encoding)

    def labelled(self, label: str, text: str, *, indent: int, column: int) -> Iterator[str]:
        """Lines of `text`, wrapped, that begin at `column`; the first with `label` before it.

        Code between backticks is not broken where it fits a line. Long words
        are shortened, and text that is absurdly long is cut.
        """
        room = max(self.width - column, 16)
        words = " ".join(shortened(word, _LONGEST_WORD) for word in self.printable(text).split())
        whole = _CODE.sub(
            lambda code: code[0].replace(" ", _GLUE) if len(code[0]) <= room else code[0],
            shortened(words, _LONGEST_TEXT),
        )
        lines = [line.replace(_GLUE, " ") for line in textwrap.wrap(whole, room)] or [""]
        # A label that reaches into the text's column pushes it one space away.
        head = (" " * indent + label + " " * bool(label)).ljust(column)
        for number, line in enumerate(lines):
            yield (" " * column if number else head) + line


def shortened(text: str, longest: int) -> str:
    """`text`, its middle left out where it is longer: both ends of a path tell it apart."""
    if len(text) <= longest:
        return text
    tail = (longest - 3) // 2
    return f"{text[: longest - 3 - tail]}...{text[len(text) - tail :]}"
