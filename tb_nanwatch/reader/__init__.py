"""From TensorBoard's DataProvider to arrays: what a run holds, and the records of a viewport.

- `runs`: which run the tab shows for a directory that TensorBoard calls a run.
- `listing`: what tags there are, asked once per reload.
- `fetch`: reads tags in bounded calls.
- `blocks`: one tag's events as arrays, and what of them cannot be read.
- `steps`: which records a restart replaces, and which steps the others stand for.
- `digest`: where the tensors of some records are non-finite.
- `heads`: what of a block a run's overview needs.
- `cover`: which records of which levels are read.
- `sessions`: which session replaces what of which.
- `tensors`: the tensors of a run.
- `problems`: what is not shown, in sentences.
- `times`: when its steps were.
- `index`: all of that for one run.
- `records`: what the reader gives.
- `cache`: the blocks in memory, under a byte limit.
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
