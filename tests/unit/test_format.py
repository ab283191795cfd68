"""What goes out comes back: manifests, records, histograms, and the errors of damaged bytes."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.util import tensor_util

from tb_nanwatch.format import FormatError, VersionError
from tb_nanwatch.format.events import manifest_value, record_values
from tb_nanwatch.format.facts import LayerFacts, LossFacts, ModelFacts, OptimizerFacts
from tb_nanwatch.format.histograms import pack_histograms, unpack_histogram, unpack_histograms
from tb_nanwatch.format.manifest import Manifest, pack_manifest, unpack_manifest
from tb_nanwatch.format.records import new_window, pack_record, peek, unpack_record
from tb_nanwatch.format.roles import ROLE_NAMES
from tb_nanwatch.format.tags import Stream
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.http.encoding import pack_grid
from tb_nanwatch.stats.columns import COLUMN_NAMES, COLUMNS, WINDOW_FIELD
from tb_nanwatch.stats.histogram import Histograms
from tb_nanwatch.stats.record import Record, empty_columns

TEXT = st.text(max_size=20)
LOSSES = st.builds(LossFacts, ignore_class=st.none() | st.integers(-(2**53), 2**53))
SHAPES = st.none() | st.lists(st.integers(-1, 2**40), max_size=4).map(tuple)
TENSORS = st.builds(
    TensorInfo,
    st.sampled_from(ROLE_NAMES),
    TEXT,
    TEXT,
    SHAPES,
    st.sampled_from(["float32", "f"]),
    trainable=st.none() | st.booleans(),
    is_statistic=st.booleans(),
    attribute=TEXT,
)
LAYERS = st.from_type(LayerFacts)
MODELS = st.builds(
    ModelFacts,
    framework=TEXT,
    jit_compile=st.booleans(),
    layers=st.lists(LAYERS, max_size=3).map(tuple),
    losses=st.lists(LOSSES, max_size=2).map(tuple),
    optimizers=st.lists(
        st.builds(OptimizerFacts, epsilon=st.none() | st.floats(allow_nan=False)), max_size=2
    ).map(tuple),
)
MANIFESTS = st.builds(
    Manifest, st.lists(TENSORS, max_size=4).map(tuple), st.just("Watcher"), TEXT, TEXT, MODELS
)
BINS = st.dictionaries(st.integers(-2044, 2047), st.integers(1, 2**34), max_size=6)


def small_manifest(tensors: int = 2) -> Manifest:
    return Manifest(
        tuple(TensorInfo("weight", "", f"w{row}", (3,), "float32") for row in range(tensors)),
        "Callback",
    )


@given(MANIFESTS)
def test_manifests_round_trip(manifest: Manifest) -> None:
    assert unpack_manifest(pack_manifest(manifest)) == manifest
    assert 0 <= manifest.hash() < 2**48


def test_the_hash_is_of_the_contents() -> None:
    manifest = small_manifest()
    assert manifest.hash() == small_manifest().hash()
    assert manifest.hash() != dataclasses.replace(manifest, worker="w").hash()


def test_lone_surrogates_in_names_are_escaped() -> None:
    manifest = Manifest((TensorInfo("weight", "", "a\udcffb", None, "float32"),), "Callback")
    assert unpack_manifest(pack_manifest(manifest)).tensors[0].name == "a\\udcffb"


@given(st.lists(BINS, max_size=4))
def test_histograms_round_trip_with_counts_beyond_32_bits(rows: list[dict[int, int]]) -> None:
    ordered = [sorted(row.items()) for row in rows]
    flat = [entry for row in ordered for entry in row]
    histograms = Histograms(
        np.array([len(row) for row in ordered], np.int64),
        np.array([code for code, _ in flat], np.int64),
        np.array([count for _, count in flat], np.int64),
    )
    packed = pack_histograms(histograms)
    back = unpack_histograms(packed)
    for name in ("lengths", "codes", "counts"):
        assert getattr(back, name).tolist() == getattr(histograms, name).tolist()
    for tensor, row in enumerate(ordered):
        alone = unpack_histogram(packed, tensor)
        assert alone is not None
        assert list(zip(*(bins.tolist() for bins in alone.tensor(0)), strict=True)) == row
    assert unpack_histogram(packed, len(rows)) is None


@given(st.binary(max_size=60))
def test_histograms_of_other_bytes_are_an_error_that_says_so(data: bytes) -> None:
    with pytest.raises(FormatError):
        unpack_histograms(np.frombuffer(b"x" + data, np.uint8))


def test_damaged_histograms_are_an_error() -> None:
    one = Histograms(np.array([1]), np.array([0]), np.array([5]))
    packed = pack_histograms(one)
    with pytest.raises(FormatError, match="bytes"):
        unpack_histograms(packed[:-1])
    newer = packed.copy()
    newer[4] = 2
    with pytest.raises(VersionError, match=r"version 2 .* Upgrade tb-nanwatch"):
        unpack_histograms(newer)


def _record(manifest: Manifest) -> Record:
    columns = empty_columns(len(manifest.tensors))
    columns += np.arange(columns.size).reshape(columns.shape)
    return Record(new_window(manifest.hash(), 7, 100, 115), columns)


def test_records_round_trip() -> None:
    manifest = small_manifest()
    record = _record(manifest)
    packed = pack_record(record)
    assert peek(packed) == (1, manifest.hash())
    back = unpack_record(packed, manifest)
    assert np.array_equal(back.window, record.window, equal_nan=True)
    assert np.array_equal(back.columns, record.columns, equal_nan=True)


def test_columns_are_found_by_their_names() -> None:
    """A writer of the same version may know other columns, in another order."""
    manifest = dataclasses.replace(
        small_manifest(), columns=("future", *reversed(COLUMN_NAMES[1:]))
    )
    record = _record(manifest)
    packed = pack_record(record)
    packed[1:, 1:] = packed[1:, :0:-1]
    back = unpack_record(packed, manifest)
    assert np.array_equal(back.columns[:, 1:], record.columns[:, 1:], equal_nan=True)
    assert back.columns[:, 0].tolist() == [COLUMNS[0].empty] * 2


@pytest.mark.parametrize(
    "packed",
    [
        np.zeros(3),
        np.zeros((2, 3), np.float32),
        np.zeros((0, 19)),
        np.full((3, 19), np.nan),
        np.array(b"text", object),
    ],
    ids=["vector", "float32", "no rows", "no version", "text"],
)
def test_what_is_no_record_is_an_error(packed: npt.NDArray[np.float64]) -> None:
    with pytest.raises(FormatError):
        unpack_record(packed, small_manifest())


def test_a_record_of_other_tensors_is_an_error() -> None:
    with pytest.raises(FormatError, match=r"3 tensors.*got 2"):
        unpack_record(pack_record(_record(small_manifest(2))), small_manifest(3))


def test_a_newer_record_says_to_upgrade() -> None:
    packed = pack_record(_record(small_manifest()))
    packed[0, WINDOW_FIELD["version"]] = 2
    with pytest.raises(VersionError, match="a record of version 2"):
        unpack_record(packed, small_manifest())


def test_a_newer_manifest_says_to_upgrade() -> None:
    newer = b"\x08\x02"  # Field 1, version, is 2.
    with pytest.raises(VersionError, match="a manifest of version 2"):
        unpack_manifest(newer)
    with pytest.raises(FormatError):
        unpack_manifest(b"\xff\xff\xff")


def test_events_hold_what_tensorboard_decodes() -> None:
    manifest = small_manifest()
    histograms = Histograms(np.array([1, 0]), np.array([4]), np.array([5]))
    record = dataclasses.replace(_record(manifest), histograms=histograms)
    stats, hist = record_values(Stream("0a"), 3, record)
    assert (stats.tag, hist.tag) == ("nanwatch/stats/0a/B000003", "nanwatch/hist/0a/B000003")
    decoded = tensor_util.make_ndarray(stats.tensor)
    assert np.array_equal(decoded, pack_record(record), equal_nan=True)
    back = unpack_histograms(tensor_util.make_ndarray(hist.tensor))
    assert back.lengths.tolist() == [1, 0]
    value = manifest_value(Stream("0a", "loss", "my/name"), manifest)
    assert value.tag == f"nanwatch/manifest/0a/{manifest.hash():012x}/loss/my/name"
    assert tensor_util.make_ndarray(value.tensor).item() == pack_manifest(manifest)
    assert value.metadata.plugin_data.plugin_name == "nanwatch"


def _unpack_grid(data: bytes) -> tuple[dict[str, object], dict[str, npt.NDArray[np.generic]]]:
    length = int.from_bytes(data[8:12], "little")
    header = json.loads(data[12 : 12 + length])
    arrays = {}
    for channel in header.pop("channels"):
        dtype, shape = np.dtype(channel["dtype"]), channel["shape"]
        begin = 12 + length + channel["offset"]
        assert begin % 8 == 0
        count = int(np.prod(shape))
        arrays[channel["name"]] = np.frombuffer(data, dtype, count, begin).reshape(shape)
    return header, arrays


@given(st.text(max_size=9), st.integers(0, 5), st.integers(0, 5))
def test_grids_are_aligned_and_hold_their_channels(run: str, rows: int, columns: int) -> None:
    value = np.arange(rows * columns, dtype=np.float32).reshape(rows, columns)
    flags = value.astype(np.uint8)
    data = pack_grid({"run": run}, {"value": value, "flags": flags})
    assert data[:4] == b"NWGR"
    assert (12 + int.from_bytes(data[8:12], "little")) % 8 == 0
    header, arrays = _unpack_grid(data)
    assert header == {"run": run}
    assert np.array_equal(arrays["value"], value)
    assert np.array_equal(arrays["flags"], flags)
