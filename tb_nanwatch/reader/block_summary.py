"""What is kept of a block for as long as its tag exists: a few kB where the block has MB."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tb_nanwatch.reader.blocks import Block, Unreadable
from tb_nanwatch.reader.nonfinite_summary import NonfiniteSummary, summarize_nonfinite
from tb_nanwatch.stats.columns import WINDOW_FIELD
from tb_nanwatch.stats.record import Matrix


@dataclass(frozen=True)
class PartSummary:
    """A `blocks.BlockPart` without its columns, and where they are non-finite."""

    manifest: int
    windows: Matrix
    wall_times: Matrix
    event_steps: npt.NDArray[np.int64]
    nonfinite: NonfiniteSummary

    def steps(self, name: str) -> npt.NDArray[np.int64]:
        """An integer field of the windows, int64 [records]."""
        return self.windows[:, WINDOW_FIELD[name]].astype(np.int64)

    @property
    def first_step(self) -> int:
        """The earliest step; a part has at least one record."""
        return int(self.windows[:, WINDOW_FIELD["first_step"]].min())

    @property
    def last_step(self) -> int:
        """The latest step."""
        return int(self.windows[:, WINDOW_FIELD["last_step"]].max())


@dataclass(frozen=True)
class BlockSummary:
    """The summary of a `blocks.Block`."""

    parts: tuple[PartSummary, ...] = ()
    unreadable: Counter[Unreadable] = field(default_factory=Counter)

    @property
    def has_orphans(self) -> bool:
        """Whether records could not be read because their manifest is missing."""
        return any(why.no_manifest for why in self.unreadable)


def summarize_block(block: Block) -> BlockSummary:
    """The summary of a block."""
    parts = (
        PartSummary(
            part.manifest,
            part.windows,
            part.wall_times,
            part.event_steps,
            summarize_nonfinite(part.steps("first_step"), part.columns),
        )
        for part in block.parts
    )
    return BlockSummary(tuple(parts), block.unreadable)
