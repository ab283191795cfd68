"""Keras' dtype policies, each with several optimizers and each policy for a non-finite step."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from recorded import Recorded, read_recorded

import tb_nanwatch as nanwatch
from tb_nanwatch.stats.columns import COLUMN

DTYPES = ("bfloat16", "mixed_bfloat16", "float16", "mixed_float16", "float64")
OPTIMIZERS = {
    "momentum": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(1e-2, epsilon=1e-3),
    "rmsprop": lambda: keras.optimizers.RMSprop(1e-2, epsilon=1e-3),
    "adagrad": lambda: keras.optimizers.Adagrad(1e-2),
    "lion": lambda: keras.optimizers.Lion(1e-2),
    "adafactor": lambda: keras.optimizers.Adafactor(1e-2),
}
BATCH, STEPS, BAD = 4, 3, 1

CASES = list(product(DTYPES, OPTIMIZERS))
"""Every second runs eagerly: what differs between the two is neither dtype nor optimizer."""

pairs = pytest.mark.parametrize(
    ("dtype", "optimizer", "eager"),
    [(*case, (number + number // len(OPTIMIZERS)) % 2) for number, case in enumerate(CASES)],
)


@pytest.fixture(autouse=True)
def _policy_restored() -> Iterator[None]:
    before = keras.mixed_precision.dtype_policy()
    yield
    keras.mixed_precision.set_dtype_policy(before)


def train(
    dtype: str,
    optimizer: str,
    *callbacks: Any,
    rows: Any = slice(None),
    bad: bool = True,
    **how: Any,
) -> keras.Model:
    keras.mixed_precision.set_dtype_policy(dtype)
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [keras.Input((5,)), keras.layers.Dense(4, "tanh"), keras.layers.Dense(1)]
    )
    model.compile(OPTIMIZERS[optimizer](), "mse", **how)
    rng = np.random.default_rng(5)
    x = rng.normal(size=(STEPS * BATCH, 5)).astype("float32")
    y = rng.normal(size=(STEPS * BATCH, 1)).astype("float32")
    if bad:
        x[BAD * BATCH + 2, 3] = np.nan
    model.fit(
        x[rows], y[rows], batch_size=BATCH, shuffle=False, verbose=0, callbacks=list(callbacks)
    )
    return model


def weights(model: keras.Model) -> list[np.ndarray]:
    return [np.asarray(each.numpy()).astype("float64") for each in model.weights]


def assert_same(one: keras.Model, other: keras.Model) -> None:
    for mine, theirs in zip(weights(one), weights(other), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def nan_counts(found: Recorded, role: str) -> list[int]:
    """NaN elements of a role's tensors, in each record."""
    return [
        sum(
            int(record.columns[row, COLUMN["nan"]])
            for row, tensor in enumerate(found.manifests[int(record.field("manifest"))].tensors)
            if tensor.role == role
        )
        for record in found.records
    ]


@pairs
def test_a_skipped_batch_leaves_no_trace(
    tmp_path: Path, dtype: str, optimizer: str, eager: int
) -> None:
    how = {"run_eagerly": bool(eager)}
    watch = nanwatch.Callback(tmp_path, every=1, on_nonfinite="skip", blackbox="off")
    model = train(dtype, optimizer, watch, **how)
    assert all(np.isfinite(each).all() for each in weights(model))
    keep = np.repeat([step != BAD for step in range(STEPS)], BATCH)
    assert_same(model, train(dtype, optimizer, rows=keep, **how))
    found = read_recorded(tmp_path / "nanwatch")
    skipped = "scale_skipped_steps" if dtype == "mixed_float16" else "skipped_steps"
    assert [int(record.field(skipped)) for record in found.records] == [0, 1, 0]
    assert nan_counts(found, "input") == [0, 1, 0]
    assert nan_counts(found, "weight") == [0, 0, 0]
    assert nan_counts(found, "gradient")[BAD] > 0


alternating = pytest.mark.parametrize(
    ("dtype", "optimizer"),
    [(dtype, list(OPTIMIZERS)[(1 + n) % len(OPTIMIZERS)]) for n, dtype in enumerate(DTYPES)],
)


@alternating
def test_the_training_is_recorded_and_as_it_was(tmp_path: Path, dtype: str, optimizer: str) -> None:
    model = train(dtype, optimizer, nanwatch.Callback(tmp_path, every=1))
    assert_same(model, train(dtype, optimizer))
    found = read_recorded(tmp_path / "nanwatch")
    assert nan_counts(found, "input") == [0, 1, 0]
    is_scaled = dtype == "mixed_float16"  # Such an optimizer skips the step by itself.
    assert nan_counts(found, "weight") == ([0, 0, 0] if is_scaled else [0, 29, 29])
    assert [each.step for each in found.reruns] == ([] if is_scaled else [BAD])
    tensors = found.manifests[int(found.records[0].field("manifest"))].tensors
    stored = {"mixed_bfloat16": "float32", "mixed_float16": "float32"}.get(dtype, dtype)
    assert {each.dtype for each in tensors if each.role == "weight"} == {stored}


@alternating
def test_a_healthy_training_is_as_it_was(tmp_path: Path, dtype: str, optimizer: str) -> None:
    watch = nanwatch.Callback(tmp_path, every=1, on_nonfinite="skip")
    model = train(dtype, optimizer, watch, bad=False)
    assert_same(model, train(dtype, optimizer, bad=False))
    found = read_recorded(tmp_path / "nanwatch")
    assert len(found.records) == STEPS
    assert not found.nonfinite()


@alternating
@pytest.mark.parametrize("policy", ["stop", "raise"])
def test_a_training_ends_at_the_bad_step(
    tmp_path: Path, dtype: str, optimizer: str, policy: Any
) -> None:
    watch = nanwatch.Callback(tmp_path, every=1, on_nonfinite=policy, blackbox="off")
    if dtype == "mixed_float16":
        # Its optimizer skips that step by itself, and no policy applies.
        train(dtype, optimizer, watch, run_eagerly=True)
        assert len(read_recorded(tmp_path / "nanwatch").records) == STEPS
        return
    if policy == "raise":
        with pytest.raises(FloatingPointError, match="NaN in the input data at step 1"):
            train(dtype, optimizer, watch, run_eagerly=True)
    else:
        train(dtype, optimizer, watch, run_eagerly=True)
    assert len(read_recorded(tmp_path / "nanwatch").records) == BAD + 1
