"""Every count that a Callback records is NumPy's of the same tensor, of each dtype and role."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from plain_loop import observe
from recorded import read_recorded

import tb_nanwatch as nanwatch
from tb_nanwatch.format.roles import ROLE_NAMES
from tb_nanwatch.stats.columns import COLUMN
from tb_nanwatch.stats.histogram import bin_code

STEPS, BATCH = 4, 8
POLICIES = ["float32", "float64", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"]
SMALLEST_NORMAL = {"float16": 2**-14, "bfloat16": 2**-126, "float32": 2**-126, "float64": 2**-1022}
COUNTS = ("elements", "nan", "pos_inf", "neg_inf", "zero", "subnormal", "min", "max")


def training(policy: str) -> Any:
    """Zeros of both signs, subnormals and extremes in the data; NaN and Inf in the last step."""
    keras.utils.set_random_seed(3)
    x = np.random.default_rng(5).normal(size=(STEPS * BATCH, 6)).astype("float32")
    x[0, :4] = [0.0, -0.0, 1e-40, -1e-42]
    x[9, :3] = [1e-7, -3e-6, 60_000]
    x[-3:, 0] = [np.nan, np.inf, -np.inf]
    inputs = keras.Input((6,))
    hidden = keras.layers.Dense(5, "relu", dtype=policy, name="hidden")(inputs)
    normed = keras.layers.BatchNormalization(dtype=policy, name="normed")(hidden)
    outputs = keras.layers.Dense(2, dtype=policy, name="output")(normed)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.Adam(1e-3), "mse", run_eagerly=True)
    return SimpleNamespace(model=model, x=x, y=x[:, 1:3].copy(), epochs=1, batch=BATCH)


def by_numpy(value: np.ndarray) -> tuple[tuple[float, ...], dict[int, int]]:
    """The counts, and the elements of each bin."""
    smallest = SMALLEST_NORMAL[value.dtype.name]
    wide = value.astype(np.float64).ravel()
    finite = wide[np.isfinite(wide)]
    normal = finite[np.abs(finite) >= smallest]
    bins: dict[int, int] = defaultdict(int)
    for element in normal:
        bins[bin_code(int(np.sign(element)), int(np.frexp(element)[1]) - 1)] += 1
    return (
        wide.size,
        np.isnan(wide).sum(),
        (wide == np.inf).sum(),
        (wide == -np.inf).sum(),
        (finite == 0).sum(),
        len(finite) - len(normal) - (finite == 0).sum(),
        finite.min() if len(finite) else np.nan,
        finite.max() if len(finite) else np.nan,
    ), dict(bins)


@pytest.mark.filterwarnings("ignore:(?s).*structure of `inputs`:UserWarning")  # Of the plain loop.
@pytest.mark.parametrize("policy", POLICIES)
def test_counts_are_those_of_numpy(tmp_path: Path, policy: str) -> None:
    expected: dict[tuple[int, str], list[Any]] = defaultdict(list)
    tf.config.run_functions_eagerly(True)
    try:
        for seen in observe(training(policy)):
            # The count of steps and the learning rate are variables, but no slots.
            is_slot = seen.role != "slot" or seen.value.ndim > 0
            if seen.step >= 0 and is_slot:
                expected[seen.step, seen.role].append(by_numpy(np.asarray(seen.value)))
    finally:
        tf.config.run_functions_eagerly(False)

    watched = training(policy)
    callback = nanwatch.Callback(tmp_path, every=1, watch=list(ROLE_NAMES), blackbox="off")
    watched.model.fit(
        watched.x, watched.y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[callback]
    )
    recorded = read_recorded(tmp_path / "nanwatch")
    found: dict[tuple[int, str], list[Any]] = defaultdict(list)
    for record in recorded.records:
        assert record.histograms is not None
        ends = np.cumsum(record.histograms.lengths)
        tensors = recorded.manifests[int(record.field("manifest"))].tensors
        for row, tensor in enumerate(tensors):
            end = int(ends[row])
            begin = end - int(record.histograms.lengths[row])
            codes, counts = (
                each[begin:end].tolist()
                for each in (record.histograms.codes, record.histograms.counts)
            )
            values = tuple(float(record.columns[row, COLUMN[name]]) for name in COUNTS)
            key = int(record.field("first_step")), tensor.role
            found[key].append((values, dict(zip(codes, counts, strict=True))))

    assert found.keys() == expected.keys()
    assert {role for _, role in found} == set(ROLE_NAMES)
    for key, values in expected.items():
        mine, theirs = (sorted(each, key=repr) for each in (found[key], values))
        np.testing.assert_equal([*map(_plain, mine)], [*map(_plain, theirs)], str(key))


def _plain(tensor: Any) -> Any:
    counts, bins = tensor
    return [*map(float, counts)], sorted(bins.items())
