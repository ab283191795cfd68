"""What is kept of a block for as long as its tag exists: a few kB where the block has MB."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from tb_nanwatch.reader.blocks import Block, Unreadable
from tb_nanwatch.reader.digest import Digest, digest
from tb_nanwatch.stats.columns import WINDOW_FIELD
from tb_nanwatch.stats.record import Matrix


@dataclass(frozen=True)
class PartHead:
    """All of a `blocks.Part` but its columns, and their digest."""

    manifest: int
    windows: Matrix
    wall_times: Matrix
    digest: Digest

    def steps(self, name: str) -> npt.NDArray[np.int64]:
        """A field of the windows that holds integers, int64 [records]."""
        return self.windows[:, WINDOW_FIELD[name]].astype(np.int64)


@dataclass(frozen=True)
class Head:
    """The head of a `blocks.Block`."""

    parts: tuple[PartHead, ...] = ()
    unreadable: Counter[Unreadable] = field(default_factory=Counter)

    @property
    def has_orphans(self) -> bool:
        """Whether records could not be read for want of their manifest."""
        return any(why.no_manifest for why in self.unreadable)


def head_of(block: Block) -> Head:
    """The head of a block."""
    parts = (
        PartHead(
            part.manifest,
            part.windows,
            part.wall_times,
            digest(part.steps("first_step"), part.columns),
        )
        for part in block.parts
    )
    return Head(tuple(parts), block.unreadable)
