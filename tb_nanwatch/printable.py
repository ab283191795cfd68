"""Text from elsewhere, for terminals and pages."""

from __future__ import annotations


def visible(text: str) -> str:
    """`text` with what has no shape of its own (controls, marks of direction) as escapes."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )
