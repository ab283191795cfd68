"""Headroom, update ratios and the table of layers, against NumPy on the tensors themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from tb_nanwatch.format.facts import LayerFacts, ModelFacts
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.grid import (
    LayerSummary,
    WholeRun,
    column_edges,
    layer_summaries,
    norm_history,
    ratio_cells,
    statistic_cells,
    variable_pairs,
)
from tb_nanwatch.reader.records import Records
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.headroom import headroom, log_largest
from tb_nanwatch.stats.record import merge_columns
from tb_nanwatch.stats.reference import statistics
from tb_nanwatch.stats.statistics import STATISTIC

STEPS, WINDOW = 24, 3
MODEL = ModelFacts(layers=(LayerFacts("hidden", "Dense", True), LayerFacts("out", "Dense", True)))
INFOS = (
    TensorInfo("activation", "hidden", "hidden", (-1, 4), "float32"),
    TensorInfo("loss", "", "loss", (), "float32"),
    TensorInfo("gradient", "out", "net/out/kernel", (4, 2), "float32"),
    TensorInfo("gradient", "hidden", "net/hidden/kernel", (8, 4), "float16"),
    TensorInfo("gradient", "hidden", "net/hidden/bias", (4,), "float16"),
    TensorInfo("update", "hidden", "net/hidden/kernel", (8, 4), "float32"),
    TensorInfo("weight", "hidden", "net/hidden/kernel", (8, 4), "float32"),
    TensorInfo("weight", "out", "net/out/kernel", (4, 2), "float32"),
    TensorInfo("gradient", "", "free/head/kernel", (3,), "float32"),
)
HEAD = len(INFOS) - 1


def recorded() -> tuple[list[list[npt.NDArray[np.floating]]], Records]:
    """The tensors at every step, and their records of three steps each."""
    random = np.random.default_rng(7)
    shapes = [tuple(max(size, 16) if size < 0 else size for size in i.shape or ()) for i in INFOS]
    scales = 10.0 ** random.uniform(-3, 2, (STEPS, len(INFOS)))
    values = [
        [
            np.asarray(random.normal(0, scale, shape)).astype(info.dtype)
            for info, shape, scale in zip(INFOS, shapes, scales[step], strict=True)
        ]
        for step in range(STEPS)
    ]
    for step in values:
        step[0][step[0] < 0] = 0  # As ReLU does.
    single = np.array(
        [[statistics(value, step) for value in row] for step, row in enumerate(values)]
    )
    merged = np.array(
        [merge_columns(single[begin : begin + WINDOW]) for begin in range(0, STEPS, WINDOW)]
    )
    first = np.arange(0, STEPS, WINDOW)
    last = first + WINDOW - 1
    windows = np.zeros((len(first), 1))
    return values, Records(first, last, last, np.arange(len(INFOS)), windows, merged)


VALUES, RECORDS = recorded()
HISTORY = norm_history([RECORDS], len(INFOS))
PAIRS = variable_pairs(INFOS, [""] * len(INFOS))
ALL = np.arange(len(INFOS))


def norms(tensor: int) -> npt.NDArray[np.float64]:
    """The largest L2 norm of each record, float64 [records]."""
    each = [np.linalg.norm(step[tensor].astype(np.float64)) for step in VALUES]
    return np.reshape(each, (-1, WINDOW)).max(axis=1)


def layer(path: str) -> LayerSummary:
    edges = column_edges(0, STEPS - 1, 4)
    found = layer_summaries(INFOS, MODEL, [RECORDS], HISTORY, PAIRS, edges)
    return {each.path: each for each in found}[path]


def test_headroom_is_what_numpy_says_is_left() -> None:
    dtypes = ("float16", "float32", "float64", "complex64")
    largest = [np.finfo(dtype).max for dtype in dtypes]
    assert log_largest(dtypes) == pytest.approx(np.log10(np.array(largest, np.float64)))
    assert log_largest(["bfloat16"]) == pytest.approx(38.53, abs=0.01)
    assert np.isnan(log_largest(["int32"])).all()
    left = headroom(np.array([np.log10(65504.0), 0.0, -np.inf, np.nan]), log_largest(["float16"]))
    assert left == pytest.approx([0, 4.816, np.inf, np.nan], abs=1e-3, nan_ok=True)


def test_headroom_of_cells_is_the_least_of_their_steps() -> None:
    edges = column_edges(0, STEPS - 1, 4)
    run = WholeRun(INFOS, [""] * len(INFOS), lambda: HISTORY)
    value, _ = statistic_cells(STATISTIC["headroom"], [RECORDS], ALL, edges, run)
    for tensor, info in enumerate(INFOS):
        most = [np.abs(step[tensor].astype(np.float64)).max(initial=0) for step in VALUES]
        expected = np.log10(float(np.finfo(info.dtype).max) / np.reshape(most, (4, -1)).max(axis=1))
        assert value[tensor] == pytest.approx(-expected, rel=1e-6), info


def test_the_ratio_is_of_updates_where_they_are_recorded() -> None:
    assert PAIRS.change.tolist() == [-1, -1, 2, 5, -1, 5, 5, 2, -1]
    assert PAIRS.weight.tolist() == [-1, -1, 7, 6, -1, 6, 6, 7, -1]
    for columns in (len(RECORDS.first), 4, 1):
        edges = column_edges(0, STEPS - 1, columns)
        value = ratio_cells(HISTORY, PAIRS, ALL, edges)
        for tensor, change, weight in ((3, 5, 6), (5, 5, 6), (6, 5, 6), (2, 2, 7), (7, 2, 7)):
            ratios = np.reshape(norms(change) / norms(weight), (columns, -1)).max(axis=1)
            assert 10.0 ** value[tensor] == pytest.approx(ratios, rel=1e-5)
        assert np.isnan(value[[0, 1, 4, HEAD]]).all()


def test_a_variable_of_zero_has_no_ratio_and_an_update_of_zero_has_none_of_a_size() -> None:
    infos = (INFOS[2], INFOS[7])
    columns = RECORDS.columns[:2, [2, 7]].copy()
    columns[[0, 1], [0, 1], COLUMN["largest_norm"]] = 0
    first, last = RECORDS.first[:2], RECORDS.last[:2]
    chunk = Records(first, last, last, np.arange(2), np.zeros((2, 1)), columns)
    history = norm_history([chunk], 2)
    pairs = variable_pairs(infos, ["", ""])
    value = ratio_cells(history, pairs, np.arange(2), np.array([0, 3, 6]))
    assert value[0].tolist() == pytest.approx([-np.inf, np.nan], nan_ok=True)


def test_replicas_share_a_variable() -> None:
    infos = (INFOS[2], INFOS[2], INFOS[7])
    pairs = variable_pairs(infos, ["replica-0", "replica-1", ""])
    assert (pairs.change.tolist(), pairs.weight.tolist()) == ([0, 1, -1], [2, 2, -1])


def test_layers_come_in_the_order_of_execution() -> None:
    edges = column_edges(0, STEPS - 1, 4)
    found = layer_summaries(INFOS, MODEL, [RECORDS], HISTORY, PAIRS, edges)
    assert [(each.path, each.class_name) for each in found] == [
        ("hidden", "Dense"),
        ("out", "Dense"),
        ("free/head", ""),
    ]
    assert [each.tensors for each in found] == [(0, 3, 4, 5, 6), (2, 7), (HEAD,)]
    assert [each.parameters for each in found] == [8 * 4 + 4, 4 * 2, 3]


def test_a_layer_has_the_numbers_of_its_tensors() -> None:
    hidden = layer("hidden")
    elements = 8 * 4 + 4
    squares = sum(np.reshape(norms(tensor), (4, -1)).max(axis=1) ** 2 for tensor in (3, 4))
    assert hidden.gradient_rms == pytest.approx(np.sqrt(squares / elements), rel=1e-5)
    assert (hidden.ratio_role, hidden.zero_role) == ("update", "activation")
    assert hidden.ratio == pytest.approx(np.median(norms(5) / norms(6)), rel=1e-5)
    activations = np.array([step[0] for step in VALUES])
    assert hidden.zero_share == np.mean(activations == 0)
    most = [max(np.abs(step[at].astype(float)).max() for step in VALUES) for at in hidden.tensors]
    limits = [float(np.finfo(INFOS[at].dtype).max) for at in hidden.tensors]
    assert hidden.headroom == pytest.approx(np.log10(np.divide(limits, most)).min(), rel=1e-6)


def test_a_layer_without_updates_and_activations_takes_its_gradients() -> None:
    out = layer("out")
    assert (out.ratio_role, out.zero_role) == ("gradient", "gradient")
    assert out.ratio == pytest.approx(np.median(norms(2) / norms(7)), rel=1e-5)
    assert out.zero_share == 0


def test_records_with_nan_are_no_part_of_norms() -> None:
    columns = RECORDS.columns.copy()
    columns[-2:, [2, 3], COLUMN["nan"]] = 1
    columns[-2:, [2, 3], COLUMN["largest_norm"]] = 0
    chunk = replace(RECORDS, columns=columns)
    history = norm_history([chunk], len(INFOS))
    edges = column_edges(0, STEPS - 1, 4)
    found = layer_summaries(INFOS, MODEL, [chunk], history, PAIRS, edges)
    out = {each.path: each for each in found}["out"]
    assert np.isnan(out.gradient_rms).tolist() == [False, False, False, True]
    assert out.ratio == pytest.approx(np.median((norms(2) / norms(7))[:-2]), rel=1e-5)


def test_what_was_not_recorded_is_not_made_up() -> None:
    head = layer("free/head")
    assert (head.ratio_role, head.zero_role) == ("", "gradient")
    assert np.isnan(head.ratio)
    unknown = (TensorInfo("activation", "hidden", "hidden", None, "float32"),)
    first, last, row = RECORDS.first, RECORDS.last, np.zeros(1, np.int64)
    chunk = Records(first, last, last, row, np.zeros((8, 1)), RECORDS.columns[:, :1])
    (found,) = layer_summaries(
        unknown,
        ModelFacts(),
        [chunk],
        norm_history([chunk], 1),
        variable_pairs(unknown, [""]),
        column_edges(0, STEPS - 1, 4),
    )
    assert np.isnan([found.parameters, found.ratio, *found.gradient_rms]).all()
