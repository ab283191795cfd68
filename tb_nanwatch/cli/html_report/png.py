"""A picture of palette indices as a PNG file (ISO/IEC 15948), by the standard library alone."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Ink = tuple[int, int, int, int]
"""Red, green, blue and opacity, 0 to 255."""

_PALETTE_COLOUR = 3


def png(pixels: npt.NDArray[np.uint8], palette: Sequence[Ink]) -> bytes:
    """The file.

    Args:
      pixels: uint8 [height, width], indices in the palette; not empty.
      palette: up to 256 inks.
    """
    height, width = pixels.shape
    # Each line begins with the number of its filter; 0 is none.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels], axis=1)
    chunks = (
        (b"IHDR", struct.pack(">2I5B", width, height, 8, _PALETTE_COLOUR, 0, 0, 0)),
        (b"PLTE", bytes(channel for ink in palette for channel in ink[:3])),
        (b"tRNS", bytes(ink[3] for ink in palette)),
        (b"IDAT", zlib.compress(lines.tobytes(), 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
