"""Which records a restart replaces, how many are missing, and for which steps a record is valid.

Pure. TensorBoard's two modes disagree about steps that go back (the data server drops what a later
event of the same tag overtakes, the Python loader keeps everything, seen), so nothing here depends
on whether a replaced record was still there to be read.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Steps = npt.NDArray[np.int64]


def survivors(first: Steps, last: Steps, before: int | None = None) -> npt.NDArray[np.bool_]:
    """Which records remain, bool [records].

    Args:
      first: first step of each record [records], in the order of writing.
      last: its last step.
      before: the step at which a later recording begins; None where there is none.

    When a record begins at step s, those written before it whose last step is s or later are
    replaced, and what is replaced replaces nothing. What remains is disjoint and ascending.
    """
    alive = np.ones(len(first), bool)
    if np.all(first[1:] > last[:-1]):
        return alive if before is None else last < before
    # Backwards: whether a record replaces others depends on the later ones only.
    begins, ends = first.tolist(), last.tolist()
    begin = ends[-1] + 1 if before is None else before
    for record in range(len(begins) - 1, -1, -1):
        if ends[record] < begin:
            begin = begins[record]
        else:
            alive[record] = False
    return alive


def missing(sequence: Steps, first: Steps, last: Steps) -> int:
    """How many records of one stream were written and are not there.

    Args:
      sequence: number of each surviving record in its stream [records], ascending.
      first: its first step.
      last: its last step.

    A gap in the numbers is records that were sampled away or damaged, or that a restart within
    the stream replaced. Records do not overlap, so no more can be missing than there is room for
    between the steps of their neighbors: the rest was replaced, and is not missed.
    """
    if not len(sequence):
        return 0
    gaps = np.diff(sequence, prepend=-1) - 1
    # Steps count from 0 wherever somebody counts them; a stream may begin later all the same.
    room = np.append(max(int(first[0]), 0), first[1:] - last[:-1] - 1)
    return int(np.clip(np.minimum(gaps, room), 0, None).sum())


def extend_to_next_record(first: Steps, last: Steps) -> Steps:
    """The last step for which each record is valid, int64 [records].

    Args:
      first: first step of each surviving record of a stream [records].
      last: its last step.

    A stream that was recorded at every thousandth step would look like a barcode: a record is valid
    up to the next one, where the gap is at most twice the median gap of its stream. A longer gap is
    one: nothing was recorded there.
    """
    valid_until: Steps = last.copy()
    if len(first) > 1:
        gap = first[1:] - last[:-1]
        short = gap <= 2 * np.median(gap)
        valid_until[:-1][short] = first[1:][short] - 1
    return valid_until
