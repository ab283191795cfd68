"""The tag grammar: the one place that knows how the record is laid out over summary tags.

::

    nanwatch/stats/<session>/B<block>[/<role>/<name>]      one record per event
    nanwatch/hist/<session>/B<block>[/<role>/<name>]       its exponent histograms
    nanwatch/manifest/<session>/<hash>[/<role>/<name>]     what the rows are
    nanwatch/initial/<session>/<hash>                      the state before the first step
    nanwatch/rerun/<session>/<step>                        what re-running a step found
    nanwatch/logs/<session>/<step>                         logs of an epoch that are not finite

A *stream* is a sequence of records by one writer: a session of a Callback or Watcher, or all that
``nanwatch.summary`` wrote in one session under one name and role, which the tag then carries.
Blocks bound what one read returns: TensorBoard filters by tag and not by step, so the block's
number is the range query. `session` sorts by the time at which it began.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

PLUGIN_NAME = "nanwatch"

RECORDS_PER_BLOCK = 64
"""Records under one tag. 300 tensors then make about 3 MB a block."""

SUBDIRECTORY = "nanwatch"
"""Where Callback and Watcher write, below the user's own log directory."""

Kind = Literal["stats", "hist", "manifest", "initial", "rerun", "logs"]


@dataclass(frozen=True, order=True)
class Stream:
    """Identity of one sequence of records.

    Attributes:
      session: lower-case hexadecimal, sorts by start time.
      role: of a ``nanwatch.summary`` stream; "" for a Callback or Watcher.
      name: likewise, exactly as the user gave it, of any length and with any characters.
    """

    session: str
    role: str = ""
    name: str = ""

    @property
    def is_watcher(self) -> bool:
        """Whether a Callback or Watcher wrote it, in a subdirectory of its own."""
        return not self.role

    def suffix(self) -> str:
        return "" if self.is_watcher else f"/{self.role}/{self.name}"


@dataclass(frozen=True)
class Tag:
    """A parsed tag. `block` is None except for `stats` and `hist`."""

    kind: Kind
    stream: Stream
    block: int | None = None
    manifest: str | None = None


def block_tag(kind: Literal["stats", "hist"], stream: Stream, block: int) -> str:
    """The tag of one block of records (`stats`) or of their exponent histograms (`hist`)."""
    return f"{PLUGIN_NAME}/{kind}/{stream.session}/B{block:06d}{stream.suffix()}"


def manifest_tag(stream: Stream, manifest: int) -> str:
    """The tag of the manifest with this hash."""
    return f"{PLUGIN_NAME}/manifest/{stream.session}/{manifest:012x}{stream.suffix()}"


def initial_tag(stream: Stream, manifest: int) -> str:
    """The tag of the record of the state that the stream's first step found."""
    return f"{PLUGIN_NAME}/initial/{stream.session}/{manifest:012x}"


def facts_tag(kind: Literal["rerun", "logs"], stream: Stream, step: int) -> str:
    """The tag of facts about this step, as JSON."""
    return f"{PLUGIN_NAME}/{kind}/{stream.session}/{step}"


_TAG = re.compile(
    PLUGIN_NAME + r"/(?:(?P<kind>stats|hist)/(?P<session>[0-9a-f]{1,64})/B(?P<block>[0-9]{1,15})"
    r"|(?P<once>manifest|initial)/(?P<once_session>[0-9a-f]{1,64})/(?P<manifest>[0-9a-f]{12})"
    r"|(?P<facts>rerun|logs)/(?P<facts_session>[0-9a-f]{1,64})/-?[0-9]{1,19})"
    r"(?:/(?P<role>[a-z_]+)/(?P<name>.*))?",
    re.DOTALL,
)


def parse_tag(tag: str) -> Tag | None:
    """The parts of a tag of ours; None for any other tag (never an error)."""
    match = _TAG.fullmatch(tag)
    if match is None:
        return None
    role, name = match["role"] or "", match["name"] or ""
    if match["once"]:
        stream = Stream(match["once_session"], role, name)
        return Tag(match["once"], stream, manifest=match["manifest"])  # type: ignore[arg-type]
    if match["facts"]:
        return Tag(match["facts"], Stream(match["facts_session"], role, name))  # type: ignore[arg-type]
    stream = Stream(match["session"], role, name)
    return Tag(
        match["kind"],  # type: ignore[arg-type]
        stream,
        block=int(match["block"]),
    )
