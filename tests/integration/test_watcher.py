"""`nanwatch.Watcher` in custom loops, eager, in a `tf.function` and compiled by XLA."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from recorded import read_recorded

import tb_nanwatch as nanwatch

STEPS, BATCH, BAD = 24, 4, 9


def train(
    watcher: nanwatch.Watcher, compiled: Callable[[Callable[..., None]], Callable[..., None]]
) -> tuple[list[float], list[bool]]:
    """Least squares by gradient descent, its target NaN at step BAD; gradient norms by NumPy."""
    rng = np.random.default_rng(0)
    kernel = tf.Variable(np.linspace(-1, 1, 3)[:, None], dtype=tf.float32, name="dense/kernel")
    shadow = kernel.numpy().astype("float64")

    def step(x: tf.Tensor, y: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((tf.matmul(x, kernel) - y) ** 2)
        (gradient,) = tape.gradient(loss, [kernel])
        kernel.assign_sub(0.1 * tf.where(tf.math.is_finite(gradient), gradient, 0.0))
        watcher.observe(
            input={"x": x},
            target=y,
            loss=loss,
            gradient=zip([gradient], [kernel], strict=True),
            weight=[kernel],
        )

    norms, tripped = [], []
    run = compiled(step)
    for number in range(STEPS):
        x = rng.normal(size=(BATCH, 3)).astype("float32")
        y = rng.normal(size=(BATCH, 1)).astype("float32")
        if number == BAD:
            y[1] = np.nan
        gradient = 2 * x.T @ (x @ shadow - y) / BATCH
        norms.append(float(np.linalg.norm(gradient)))
        shadow -= 0.1 * np.nan_to_num(gradient)
        run(tf.constant(x), tf.constant(y))
        tripped.append(watcher.step_end())
    return norms, tripped


@pytest.mark.parametrize(
    "compiled",
    [lambda step: step, tf.function, tf.function(jit_compile=True)],
    ids=["eager", "graph", "xla"],
)
def test_every_step_matches_numpy(
    tmp_path: Path, compiled: Callable[[Callable[..., None]], Callable[..., None]]
) -> None:
    with nanwatch.Watcher(tmp_path, first_step=100, every=1) as watcher:
        norms, tripped = train(watcher, compiled)
    found = read_recorded(tmp_path / "nanwatch")
    assert found.windows() == [(100 + step, 100 + step) for step in range(STEPS)]
    got = found.series("gradient", "dense/kernel", "largest_norm")
    norms[BAD] = 0.0  # of no finite element
    np.testing.assert_allclose(got, norms, rtol=1e-4)
    assert found.nonfinite() == {
        ("target", "target"): 100 + BAD,
        ("loss", "loss"): 100 + BAD,
        ("gradient", "dense/kernel"): 100 + BAD,
    }
    assert tripped == [step == BAD for step in range(STEPS)]
    assert found.names("input") == ["input/x"]
    tensors = next(iter(found.manifests.values())).tensors
    assert {tensor.name: tensor.layer for tensor in tensors}["dense/kernel"] == "dense"


def test_windows_merge_their_steps(tmp_path: Path) -> None:
    with nanwatch.Watcher(tmp_path, every=1000) as watcher:
        norms, _ = train(watcher, tf.function)
    found = read_recorded(tmp_path / "nanwatch")
    assert found.windows() == [(0, BAD), (BAD + 1, BAD + 1), (BAD + 2, STEPS - 1)]
    np.testing.assert_allclose(
        found.series("gradient", "dense/kernel", "largest_norm")[0], max(norms[:BAD]), rtol=1e-4
    )


def test_several_observations_make_one_step(tmp_path: Path) -> None:
    with nanwatch.Watcher(tmp_path, every=1) as watcher:

        @tf.function
        def step(generated: tf.Tensor) -> None:
            watcher.observe(loss={"discriminator": tf.reduce_sum(generated)}, input=generated)
            watcher.observe(loss={"generator": -tf.reduce_sum(generated)}, new_step=False)

        for number in range(5):
            step(tf.constant([float(number), np.nan if number == 3 else 1.0]))
            watcher.step_end()
    found = read_recorded(tmp_path / "nanwatch")
    assert found.windows() == [(step, step) for step in range(5)]
    assert found.names("loss") == ["loss/discriminator", "loss/generator"]
    assert found.series("loss", "loss/generator", "min") == pytest.approx(
        [-1, -2, -3, np.nan, -5], nan_ok=True
    )
    assert set(found.nonfinite().values()) == {3}
    for record in found.records:
        assert record.histograms is not None
        assert len(record.histograms) == 3


def test_equal_names_in_one_step_are_told_apart(tmp_path: Path) -> None:
    with nanwatch.Watcher(tmp_path, every=2) as watcher:
        for _ in range(4):
            watcher.observe(loss=tf.constant(3.0))
            watcher.observe(loss=tf.constant(4.0), new_step=False)
            watcher.step_end()
    found = read_recorded(tmp_path / "nanwatch")
    assert found.series("loss", "loss", "largest_norm") == [3, 3]
    assert found.series("loss", "loss#2", "largest_norm") == [4, 4]
    assert found.series("loss", "loss#2", "steps") == [2, 2]


def test_tensors_that_come_and_go_are_one_record(tmp_path: Path) -> None:
    with nanwatch.Watcher(tmp_path, every=4) as watcher:
        for number in range(8):
            extra = {"b": tf.constant([2.0, 4.0])} if number % 2 else {}
            watcher.observe(activation={"a": tf.constant([1.0 + number]), **extra})
            watcher.step_end()
    found = read_recorded(tmp_path / "nanwatch")
    assert found.windows() == [(0, 3), (4, 7)]
    assert found.series("activation", "activation/a", "steps") == [4, 4]
    assert found.series("activation", "activation/b", "steps") == [2, 2]
    assert found.series("activation", "activation/a", "largest_norm") == [4, 8]


def test_an_unknown_role_lists_the_known(tmp_path: Path) -> None:
    watcher = nanwatch.Watcher(tmp_path)
    with pytest.raises(ValueError, match="Unknown role 'gradients'"):
        watcher.observe(gradients=tf.ones([1]))


def test_a_loop_that_observes_nothing_is_told_once(tmp_path: Path) -> None:
    watcher = nanwatch.Watcher(tmp_path)
    with pytest.warns(nanwatch.NaNWatchWarning, match="observe never was"):
        watcher.step_end()
    watcher.step_end()  # A second warning would be an error.
    watcher.close()


def test_integers_are_recorded_of_data_alone(tmp_path: Path) -> None:
    observed = {
        "input": [tf.ones([2]), tf.constant([1])],
        "prediction": [tf.constant([1])],
        "weight": [tf.Variable([1.0], name="kernel"), tf.Variable(1, name="counter")],
    }
    with nanwatch.Watcher(tmp_path) as watcher:
        watcher.observe(**observed)
        with pytest.warns(nanwatch.NaNWatchWarning, match="not recorded") as warned:
            watcher.step_end()
        watcher.observe(**observed)
        watcher.step_end()
    (warning,) = warned
    # Ids and labels tell something; a prediction of integers is a mistake, a counter is none.
    assert str(warning.message).endswith("cannot hold NaN or Inf: prediction/0 (int32).")
    assert read_recorded(tmp_path / "nanwatch").names("input") == ["input/0", "input/1"]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("make", [np.asarray, tf.constant], ids=["NumPy", "TensorFlow"])
def test_integers_of_any_dtype_have_exact_extremes(tmp_path: Path, make: Any, dtype: str) -> None:
    labels = np.array([3, 0, 97, 4], dtype)
    with nanwatch.Watcher(tmp_path) as watcher:
        watcher.observe(target=make(labels), loss=tf.constant(1.0))
        watcher.step_end()
    found = read_recorded(tmp_path / "nanwatch")
    assert found.series("target", "target", "max") == [97.0]
    assert found.series("target", "target", "min") == [0.0]
    (manifest,) = found.manifests.values()
    assert [each.attribute for each in manifest.tensors if each.role == "target"] == ["integer"]


def test_the_files_stay_below_max_bytes(tmp_path: Path) -> None:
    budget = 24_000
    watcher = nanwatch.Watcher(tmp_path, every=1, max_bytes=budget)
    with watcher:
        for step in range(300):
            value = np.nan if step % 50 in (20, 21) else 1.0
            watcher.observe(gradient={"kernel": tf.fill([4, 5], value), "bias": tf.ones([5])})
            watcher.step_end()
    size = sum(file.stat().st_size for file in (tmp_path / "nanwatch").iterdir())
    assert budget / 2 < size <= budget
    recorded = read_recorded(tmp_path / "nanwatch")
    assert recorded.windows()[-1][1] == 299
    assert sum(recorded.series("gradient", "gradient/kernel", "nonfinite_steps")) == 12


def test_any_file_system_of_tensorflow_takes_a_recording() -> None:
    with nanwatch.Watcher("ram://run") as watcher:
        watcher.observe(loss=tf.constant(np.nan))
        watcher.step_end()
    (file,) = tf.io.gfile.glob("ram://run/nanwatch/*")
    assert tf.io.gfile.stat(file).length > 100
