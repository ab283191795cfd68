"""Reads tags from the DataProvider: several in one call, several calls at a time."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from tensorboard.data.provider import DataProvider, RunTagFilter, TensorDatum

from tb_nanwatch.format.tags import PLUGIN_NAME
from tb_nanwatch.reader.listing import Access, Entry

CALL_BYTES = 8 * 2**20
"""Estimated size up to which tags go into one call. The data server gives 760 MB in 1.2 s by calls
of 5 MB and in 3 s by calls of 64 MB; and it fails on an answer of 256 MiB."""

_AT_A_TIME = 3
"""Calls in flight: while one answer is decoded the next ones are read. A single small call waits
about 44 ms for the data server; several at a time do not."""

_EVERYTHING = 2**31 - 1

_logger = logging.getLogger("tensorboard.nanwatch")

Answer = list[tuple[Entry, Sequence[TensorDatum] | None]]


def fetch(
    provider: DataProvider, access: Access, wanted: Mapping[Entry, int]
) -> Iterator[tuple[Entry, Sequence[TensorDatum] | None]]:
    """Yields each entry with its events, or with None where TensorBoard cannot read them.

    In the order of the tags, and of `wanted` where they are equal.

    Args:
      wanted: the entries, and an estimate of the bytes that each will be.
    """
    calls = list(_calls(wanted))
    if len(calls) < 2:  # No thread for what is most often asked.
        for call in calls:
            yield from _read(provider, access, call)
        return
    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        ahead: deque[Future[Answer]] = deque()
        for call in calls:
            ahead.append(threads.submit(_read, provider, access, call))
            if len(ahead) > _AT_A_TIME:  # Bounds the memory of what is read ahead.
                yield from ahead.popleft().result()
        while ahead:
            yield from ahead.popleft().result()


def _calls(wanted: Mapping[Entry, int]) -> Iterator[list[Entry]]:
    """Cuts `wanted` into calls of up to CALL_BYTES."""
    call: list[Entry] = []
    size = 0
    for entry in sorted(wanted, key=lambda entry: entry.tag):
        if call and size + wanted[entry] > CALL_BYTES:
            yield call
            call, size = [], 0
        call.append(entry)
        size += wanted[entry]
    if call:
        yield call


def _read(provider: DataProvider, access: Access, call: Sequence[Entry]) -> Answer:
    """One call; where it fails, both halves of it, so that one bad tag does not affect others."""
    tags = RunTagFilter(runs={entry.run for entry in call}, tags={entry.tag for entry in call})
    try:
        read = provider.read_tensors(
            access.context,
            experiment_id=access.experiment,
            plugin_name=PLUGIN_NAME,
            downsample=_EVERYTHING,
            run_tag_filter=tags,
        )
    except Exception as error:  # gRPC's own, and whatever decoding a damaged tensor raises.
        if len(call) == 1:
            # In one line: `nanwatch report` shows it, and goes on.
            reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
            _logger.warning("Could not read %r of run %r (%s)", call[0].tag, call[0].run, reason)
            return [(call[0], None)]
        middle = len(call) // 2
        return [
            *_read(provider, access, call[:middle]),
            *_read(provider, access, call[middle:]),
        ]
    return [(entry, read.get(entry.run, {}).get(entry.tag, [])) for entry in call]
