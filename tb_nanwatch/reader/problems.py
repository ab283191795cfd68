"""What of a run is not shown, in sentences for people: how much, of what, and what to do."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tb_nanwatch.reader.blocks import Unreadable


@dataclass(frozen=True)
class Replaced:
    """Records of earlier sessions in whose place later ones stand.

    Attributes:
      records: how many.
      first: first step of the first.
      last: last step of the last.
    """

    records: int
    first: int
    last: int


def _records(count: int) -> str:
    return f"{count:,} record" + ("" if count == 1 else "s")


def problems(
    *,
    written: int,
    read: int,
    lost: int,
    unreadable: Counter[Unreadable],
    unread_tags: int,
    replaced: Replaced | None,
) -> tuple[str, ...]:
    """The sentences about one run, none where all is well.

    Args:
      written: records that were written, as far as can be told.
      read: those of them that could be read.
      lost: records that the writer could not write.
      unreadable: records that are there, by the reason why they cannot be read.
      unread_tags: tags that TensorBoard failed to read.
      replaced: what a resumed training did again.
    """
    sentences = []
    for why, count in sorted(unreadable.items(), key=lambda item: (item[0].version or 0, item[1])):
        are = f"{count:,} of {_records(written)} " + ("is" if count == 1 else "are")
        if why.version is not None:
            sentences.append(
                f"{are} of version {why.version}, written by a newer NaNWatch: "
                "upgrade tb-nanwatch to see them."
            )
        elif why.no_manifest:
            sentences.append(
                f"{are} left out, because the manifest that says what they hold is missing: copy "
                "every event file of the run, the first one too."
            )
        else:
            sentences.append(
                f"{are} damaged and left out: if the event files were copied, copy them again."
            )
    if unread_tags:
        sentences.append(
            f"TensorBoard could not read {unread_tags:,} of the run's tags; its log says why."
        )
    absent = written - read - unreadable.total() - lost
    if absent > 0:
        sentences.append(
            f"{absent:,} of {_records(written)} did not arrive: TensorBoard sampled them away "
            "(start it with --samples_per_plugin=nanwatch=0), or an event file is damaged or gone."
        )
    if lost:
        sentences.append(
            f"{_records(lost)} could not be written during training: see whether the disk was "
            "full or the log directory went away."
        )
    if replaced is not None:
        is_one = replaced.records == 1
        sentences.append(
            f"{_records(replaced.records)} of an earlier session (steps {replaced.first:,} to "
            f"{replaced.last:,}) {'is' if is_one else 'are'} replaced by those of a later one, "
            "which did these steps again."
        )
    return tuple(sentences)
