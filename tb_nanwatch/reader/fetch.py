"""Reads tags from the DataProvider, several in one call, none of the calls too large."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tensorboard.data.provider import DataProvider, RunTagFilter, TensorDatum

from tb_nanwatch.format.tags import PLUGIN_NAME
from tb_nanwatch.reader.listing import Access, Entry

CALL_BYTES = 64 * 2**20
"""Estimated size up to which tags go into one call. A response of 256 MiB is an opaque error of the
data server (seen), and an estimate may be wrong by a factor."""

_EVERYTHING = 2**31 - 1

_logger = logging.getLogger("tensorboard.nanwatch")


def fetch(
    provider: DataProvider, access: Access, wanted: Mapping[Entry, int]
) -> Iterator[tuple[Entry, Sequence[TensorDatum] | None]]:
    """Yields each entry with its events, or with None where TensorBoard cannot read them.

    In the order of the tags, and of `wanted` where they are equal.

    Args:
      wanted: the entries, and an estimate of the bytes that each will be.
    """
    for call in _calls(wanted):
        yield from _read(provider, access, call)


def _calls(wanted: Mapping[Entry, int]) -> Iterator[list[Entry]]:
    """Cuts `wanted` into calls of up to CALL_BYTES; one tag of several runs stays together."""
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


def _read(
    provider: DataProvider, access: Access, call: Sequence[Entry]
) -> Iterable[tuple[Entry, Sequence[TensorDatum] | None]]:
    """One call; where it fails, both halves of it, so that one bad tag costs itself alone."""
    tags = RunTagFilter(runs={entry.run for entry in call}, tags={entry.tag for entry in call})
    try:
        read = provider.read_tensors(
            access.context,
            experiment_id=access.experiment,
            plugin_name=PLUGIN_NAME,
            downsample=_EVERYTHING,
            run_tag_filter=tags,
        )
    except Exception:  # gRPC's own errors, and whatever decoding a damaged tensor raises.
        if len(call) == 1:
            _logger.warning("Could not read %r of run %r", call[0].tag, call[0].run, exc_info=True)
            return [(call[0], None)]
        middle = len(call) // 2
        return [
            *_read(provider, access, call[:middle]),
            *_read(provider, access, call[middle:]),
        ]
    return [(entry, read.get(entry.run, {}).get(entry.tag, [])) for entry in call]
