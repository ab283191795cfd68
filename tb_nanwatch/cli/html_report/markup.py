"""Text as HTML: names are text, never markup."""

from __future__ import annotations

from html import escape

from tb_nanwatch.cli.terminal import shortened, visible

_LONGEST = 200


def text(words: str, longest: int = 4000) -> str:
    """Words for the page: what cannot be seen is spelt out, and absurd lengths are cut."""
    return escape(shortened(visible(words), longest))


def name(words: str, longest: int = _LONGEST) -> str:
    """A name in the page's fixed-width type, kept apart from the direction of what is around it."""
    return f"<code><bdi>{text(words, longest)}</bdi></code>"
