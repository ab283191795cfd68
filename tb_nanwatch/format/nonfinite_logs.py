"""Logs of an epoch that are not finite, and what is known of where they come from; as JSON.

What training steps compute is in their records. Of validation and of metrics the framework's logs
tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from tb_nanwatch.format.json_facts import expecting, integer, pack_facts, unpack_facts


@dataclass(frozen=True)
class NonfiniteLogs:
    """The logs of one epoch.

    Attributes:
      step: the last training step before.
      names: of the logs that are NaN or infinite, such as "val_loss".
      in_validation: whether all of them are of the validation.
      first_batch: number of the first batch of the validation whose logs are, from 0; -1 where that
        is not known.
      rows: how many rows the validation data has; -1 where that is not known.
      bad_data: rows of the validation data that are not finite, by its part, such as "x".
    """

    step: int
    names: tuple[str, ...]
    in_validation: bool
    first_batch: int = -1
    rows: int = -1
    bad_data: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


def pack_nonfinite_logs(logs: NonfiniteLogs) -> bytes:
    """The logs as bytes."""
    return pack_facts(asdict(logs))


def unpack_nonfinite_logs(content: bytes) -> NonfiniteLogs:
    """The logs; raises FormatError for anything else, VersionError for a newer one."""
    found = unpack_facts(content, "the logs of an epoch")
    with expecting("the logs of an epoch"):
        return NonfiniteLogs(
            integer(found["step"]),
            tuple(map(str, found["names"])),
            bool(found["in_validation"]),
            integer(found["first_batch"]),
            integer(found["rows"]),
            {str(name): tuple(map(integer, rows)) for name, rows in found["bad_data"].items()},
        )
