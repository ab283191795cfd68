"""What of a run is not shown, in sentences for people: how much, why, and how to fix it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from tb_nanwatch.reader.blocks import Unreadable


@dataclass(frozen=True)
class Replaced:
    """Records of earlier sessions that later ones replace.

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
    others: str = "",
) -> tuple[str, ...]:
    """The sentences about one run, none where all is well.

    Args:
      written: records that were written, as far as is known.
      read: those of them that could be read.
      lost: records that the writer could not write.
      unreadable: records that are there, by the reason why they cannot be read.
      unread_tags: tags that TensorBoard failed to read.
      replaced: what a resumed training run repeated.
      others: the name of the second run of the directory, where this is the first; or "".
    """
    sentences = []
    for why, count in sorted(unreadable.items(), key=lambda item: (item[0].version or 0, item[1])):
        some = f"{count:,} of {_records(written)}"
        verb = "is" if count == 1 else "are"
        if why.version is not None:
            has = "has" if count == 1 else "have"
            sentences.append(
                f"{some} {has} version {why.version}, written by a newer NaNWatch: "
                "upgrade tb-nanwatch to see them."
            )
        elif why.no_manifest:
            sentences.append(
                f"{some} {verb} not shown, because the manifest that names their tensors is "
                "missing: copy all event files of the run, the first one too."
            )
        else:
            sentences.append(
                f"{some} {verb} damaged and not shown: if the event files were copied, copy them "
                "again."
            )
    if unread_tags:
        sentences.append(
            f"TensorBoard could not read {unread_tags:,} of the run's tags; its log has the reason."
        )
    absent = written - read - unreadable.total() - lost
    if absent > 0:
        verb = "is" if absent == 1 else "are"
        sentences.append(
            f"{absent:,} of {_records(written)} {verb} missing: TensorBoard sampled them away "
            "(start it with --samples_per_plugin=nanwatch=0), or an event file is damaged or was "
            "deleted."
        )
    if lost:
        sentences.append(
            f"{_records(lost)} could not be written during training: check whether the disk was "
            "full or the log directory was deleted."
        )
    if replaced is not None:
        verb = "is" if replaced.records == 1 else "are"
        sentences.append(
            f"{_records(replaced.records)} of an earlier session (steps {replaced.first:,} to "
            f"{replaced.last:,}) {verb} replaced by a later session, which repeated these steps."
        )
    if others:
        sentences.append(
            f"Other runs were written to the same directory: {others!r} and on. Give each run a "
            "log_dir of its own to name it."
        )
    return tuple(sentences)
