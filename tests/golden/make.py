"""Writes the golden files anew: run it after a deliberate change of a format, and read the diff."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from tb_nanwatch.wire.grid import pack_grid

FOLDER = Path(__file__).parent
NAN, INF = math.nan, math.inf

GRID_HEADER = {
    "run": "földer/run <1>",
    "statistic": "norm",
    "scale": "log10",
    "rows": ["2f6a90c1d3e4", "8d1c0a3be5f2", "00ff00ff00ff"],
    "edges": [0, 1, 3, 6, 8, 10],
}
GRID_VALUE = np.array(
    [
        [0.5, -1.25, 0.0, 3.0, 2.0],
        [-INF, 1.5, INF, NAN, NAN],
        [NAN, NAN, 38.25, -44.5, 0.125],
    ],
    np.float32,
)
GRID_FLAGS = np.array(
    [
        [8, 8, 8 | 1, 8 | 1 | 2 | 4, 8 | 16],
        [8, 8 | 2, 8 | 4, 8 | 1, 0],
        [0, 0, 8 | 2 | 4, 8 | 1 | 16, 8],
    ],
    np.uint8,
)


def jsonable(value: Any) -> Any:
    """`value` with arrays as lists and numbers that are not finite as strings."""
    if isinstance(value, dict):
        return {key: jsonable(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(member) for member in value]
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value


def grid() -> tuple[bytes, dict[str, Any]]:
    packed = pack_grid(GRID_HEADER, {"value": GRID_VALUE, "flags": GRID_FLAGS})
    length = int.from_bytes(packed[8:12], "little")
    return packed, {
        "header": json.loads(packed[12 : 12 + length]),
        "value": GRID_VALUE,
        "flags": GRID_FLAGS,
    }


GOLDEN = {"grid": grid}


def main() -> None:
    for name, make in GOLDEN.items():
        packed, twin = make()
        (FOLDER / f"{name}.bin").write_bytes(packed)
        text = json.dumps(jsonable(twin), indent=1, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
