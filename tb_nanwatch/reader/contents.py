"""What was read of a directory or of one training in it, but for the columns of its records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.reader.block_summary import BlockSummary
from tb_nanwatch.reader.blocks import Unreadable
from tb_nanwatch.reader.listing import Entry
from tb_nanwatch.stats.record import Record


@dataclass(frozen=True, eq=False)
class Contents:
    """What was read of some tags.

    Attributes:
      entries: the tags, oldest session first.
      summaries: of each block; None where TensorBoard could not read it.
      manifests: hash to manifest, also of other tags.
      initials: the records of the state before a session's first step.
    """

    entries: Sequence[Entry]
    summaries: Mapping[Entry, BlockSummary | None]
    manifests: Mapping[int, Manifest | Unreadable]
    initials: Mapping[Entry, Record | Unreadable]

    def of(self, entries: Sequence[Entry]) -> Contents:
        """What was read of some of the tags."""
        return Contents(
            entries,
            {entry: self.summaries[entry] for entry in entries if entry in self.summaries},
            self.manifests,
            {entry: self.initials[entry] for entry in entries if entry in self.initials},
        )

    def manifests_of(self, used: Iterable[int]) -> dict[int, Manifest]:
        """The readable ones of these hashes, in the order in which the tags brought them."""
        tags = sorted(
            (entry for entry in self.entries if entry.parsed.kind == "manifest"),
            key=lambda entry: (entry.parsed.stream.session, entry.state[1]),
        )
        used = set(used)
        own = dict.fromkeys(hash for entry in tags if (hash := manifest_hash(entry)) in used)
        # Another training's manifest may be equal, and its own tag lost.
        found = ((hash, self.manifests.get(hash)) for hash in [*own, *sorted(used - own.keys())])
        return {hash: manifest for hash, manifest in found if isinstance(manifest, Manifest)}


def manifest_hash(entry: Entry) -> int:
    """The hash in the tag of a manifest."""
    return int(entry.parsed.manifest or "", 16)
