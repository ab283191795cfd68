"""From TensorBoard's DataProvider to arrays: what a run contains, and the records of a viewport.

- `runs`: which run the tab shows for a directory that TensorBoard calls a run, and their names.
- `listing`: what tags there are, asked once per reload.
- `fetch`: reads tags in bounded calls, several at a time.
- `fence`: keeps what one tag contains from affecting others.
- `blocks`: one tag's events as arrays, and what of them cannot be read.
- `steps`: which records a restart replaces, and for which steps the others are valid.
- `nonfinite_summary`: where the tensors of some records are non-finite.
- `block_summary`: what of a block a run's overview needs.
- `contents`: what was read of some tags.
- `trainings`: which sessions of a directory are one training.
- `sessions`: which session of a training replaces what of which.
- `tensors`: the tensors of a run.
- `problems`: what is not shown, in sentences.
- `times`: when its steps were.
- `index`: all of that for one run, which is one training.
- `records`: what the reader gives.
- `merged`: merges of records, which make the picture of a long run quick to draw.
- `cache`: values in memory, under a byte limit.
- `store`: what was read so far, and what must be read next.
- `reader`: the way in.

Loads the same in both of TensorBoard's modes, the data server and `--load_fast=false`, and never
imports a framework.
"""

from __future__ import annotations

from tb_nanwatch.reader.index import RunIndex
from tb_nanwatch.reader.listing import Access
from tb_nanwatch.reader.reader import Reader, UnknownRunError
from tb_nanwatch.reader.records import Records
from tb_nanwatch.reader.tensors import Tensor

__all__ = ["Access", "Reader", "Records", "RunIndex", "Tensor", "UnknownRunError"]
