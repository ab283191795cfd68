"""The golden files are what the code writes, and decode to what their JSON says."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tb_nanwatch.format.histograms import unpack_histograms
from tb_nanwatch.format.manifest import unpack_manifest
from tb_nanwatch.format.records import unpack_record

FOLDER = Path(__file__).parents[1] / "golden"


def _make() -> ModuleType:
    spec = importlib.util.spec_from_file_location("golden_make", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


MAKE = _make()


@pytest.mark.parametrize("name", MAKE.GOLDEN)
def test_the_code_still_writes_these_bytes(name: str) -> None:
    packed, twin = MAKE.GOLDEN[name]()
    assert (FOLDER / f"{name}.bin").read_bytes() == packed
    assert (FOLDER / f"{name}.json").read_text(encoding="utf-8") == MAKE.twin_text(twin)


def _twin(name: str) -> object:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def test_the_manifest_decodes_to_its_twin() -> None:
    manifest = unpack_manifest((FOLDER / "manifest.bin").read_bytes())
    expected = _twin("manifest")
    assert manifest.hash() == expected.pop("hash")
    assert json.loads(json.dumps(MAKE.manifest()[1])) == {"hash": manifest.hash(), **expected}
    assert manifest == MAKE.MANIFEST


def test_the_record_decodes_to_its_twin() -> None:
    expected = _twin("record")
    packed = np.frombuffer((FOLDER / "record.bin").read_bytes(), "<f8").reshape(expected["shape"])
    manifest = unpack_manifest((FOLDER / "manifest.bin").read_bytes())
    record = unpack_record(packed.astype(np.float64), manifest)

    def floats(values: dict[str, float | str]) -> list[float]:
        return [float(value) for value in values.values()]

    assert np.array_equal(record.window, floats(expected["window"]), equal_nan=True)
    rows = [floats(row) for row in expected["columns"]]
    assert np.array_equal(record.columns, rows, equal_nan=True)


def test_the_histograms_decode_to_their_twin() -> None:
    data = np.frombuffer((FOLDER / "histograms.bin").read_bytes(), np.uint8)
    histograms = unpack_histograms(data)
    bins = [np.stack(histograms.tensor(row), axis=-1).tolist() for row in range(len(histograms))]
    assert bins == _twin("histograms")
