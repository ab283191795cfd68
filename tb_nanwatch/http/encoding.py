"""A viewport's cells as the binary body of an HTTP response (`http/http_api.md`, "grid")."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format import VERSION

_MAGIC = b"NWGR"
_HEAD = struct.Struct("<4sII")
_ALIGN = 8


def _pad(size: int) -> int:
    return -size % _ALIGN


def pack_grid(header: Mapping[str, Any], channels: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The header with a description of each channel, then the channels, all aligned to 8 bytes.

    Args:
      header: JSON-serializable members.
      channels: name to array of any little-endian-able dtype; written row-major.
    """
    described = []
    body = bytearray()
    for name, array in channels.items():
        body += bytes(_pad(len(body)))
        described.append(
            {
                "name": name,
                "dtype": array.dtype.name,
                "shape": list(array.shape),
                "offset": len(body),
            }
        )
        body += np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
    text = json.dumps({**header, "channels": described}, allow_nan=False).encode()
    text += b" " * _pad(_HEAD.size + len(text))
    return _HEAD.pack(_MAGIC, VERSION, len(text)) + text + bytes(body)
