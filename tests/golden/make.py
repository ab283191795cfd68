"""Writes the golden files anew: run it after a deliberate change of a format, and read the diff."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tb_nanwatch.format.facts import LayerFacts, LossFacts, ModelFacts, OptimizerFacts
from tb_nanwatch.format.histograms import pack_histograms
from tb_nanwatch.format.manifest import Manifest, pack_manifest
from tb_nanwatch.format.records import new_window, pack_record
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.http.encoding import pack_grid
from tb_nanwatch.stats.columns import COLUMN_NAMES, WINDOW_FIELD, WINDOW_FIELD_NAMES
from tb_nanwatch.stats.histogram import Histograms
from tb_nanwatch.stats.record import Record
from tb_nanwatch.stats.reference import exponent_histogram, statistics

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

MANIFEST = Manifest(
    tensors=(
        TensorInfo("gradient", "dense", "mlp/dense/kernel", (2, -1), "float32"),
        TensorInfo(
            "gradient", "dense", "mlp/dense/bias", (), "float16", trainable=True, attribute="bias"
        ),
        TensorInfo("loss", "", "lösung", None, "complex64", replica="replica-1"),
    ),
    source="Watcher",
    description="*two* models",
    worker="worker1",
    model=ModelFacts(
        framework="keras",
        versions="keras 3.0, tensorflow 2.0",
        dtype_policy="mixed_float16",
        jit_compile=True,
        layers=(
            LayerFacts("dense", "Dense", True, "relu", (), "mixed_float16", owner="critic"),
            LayerFacts("länge", "Length", False, inputs=("dense",), trainable=False),
        ),
        losses=(LossFacts("", "BinaryCrossentropy", True, from_logits=False),),
        optimizers=(OptimizerFacts("adam", "Adam", True, 0.001, 1e-7, global_clipnorm=1.0),),
    ),
)
TENSORS = (
    np.array([[1.5, -0.0, NAN], [INF, -INF, 1e-45]], np.float32),
    np.array(-65504, np.float16),
    np.array([complex(2**-126, 3), complex(NAN, 1e38)], np.complex64),
)
STEP = 41


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


def manifest() -> tuple[bytes, dict[str, Any]]:
    members = {name: getattr(MANIFEST, name) for name in ("source", "description", "worker")}
    names = {"columns": MANIFEST.columns, "window_fields": MANIFEST.window_fields}
    tensors = [vars(tensor) for tensor in MANIFEST.tensors]
    model = dataclasses.asdict(MANIFEST.model)
    twin = {"hash": MANIFEST.hash(), "tensors": tensors, **members, "model": model, **names}
    return pack_manifest(MANIFEST), twin


def the_record() -> Record:
    """A record of the manifest: one step, of which the loss-scaling optimizer knows nothing."""
    window = new_window(MANIFEST.hash(), 3, 32, STEP)
    window[WINDOW_FIELD["sampled_step"]] = STEP
    window[WINDOW_FIELD["lost_records"]] = 1
    parts = [exponent_histogram(tensor) for tensor in TENSORS]
    joined = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("lengths", "codes", "counts")
    }
    columns = np.array([statistics(tensor, STEP) for tensor in TENSORS])
    return Record(window, columns, Histograms(**joined))


def record() -> tuple[bytes, dict[str, Any]]:
    made = the_record()
    packed = pack_record(made)
    return packed.astype("<f8").tobytes(), {
        "shape": packed.shape,
        "window": dict(zip(WINDOW_FIELD_NAMES, made.window.tolist(), strict=True)),
        "columns": [dict(zip(COLUMN_NAMES, row.tolist(), strict=True)) for row in made.columns],
    }


def histograms() -> tuple[bytes, list[Any]]:
    made = the_record().histograms
    assert made is not None
    bins = [np.stack(made.tensor(row), axis=-1) for row in range(len(made))]
    return pack_histograms(made).tobytes(), bins


GOLDEN: dict[str, Callable[[], tuple[bytes, Any]]] = {
    "grid": grid,
    "manifest": manifest,
    "record": record,
    "histograms": histograms,
}


def twin_text(twin: Any) -> str:
    """The text of a JSON file."""
    return json.dumps(jsonable(twin), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    for name, make in GOLDEN.items():
        packed, twin = make()
        (FOLDER / f"{name}.bin").write_bytes(packed)
        (FOLDER / f"{name}.json").write_text(twin_text(twin), encoding="utf-8")


if __name__ == "__main__":
    main()
