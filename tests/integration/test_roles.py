"""Every role in every way of training one small network, against that training in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import Recorded, read_recorded

import tb_nanwatch as nanwatch

STEPS, BATCH, RATE, MOMENTUM = 6, 8, 0.05, 0.9

Norms = dict[tuple[str, str], list[float]]
"""By role and the end of a tensor's name: the norm at each step."""


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(STEPS * BATCH, 6)).astype("float32")
    return x, x[:, :1] * 2 + 1


def initial_weights() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(6, 4)), rng.normal(size=4) / 2, rng.normal(size=(4, 1)), np.zeros(1)]


def trained_in_numpy(micro_batches: int = 1) -> Norms:
    """A ReLU layer and a linear one, least squares, SGD with momentum: its norms, step by step."""
    x, y = data()
    weights = initial_weights()
    names = ["hidden/kernel", "hidden/bias", "out/kernel", "out/bias"]
    momenta = [np.zeros_like(each) for each in weights]
    summed = [np.zeros_like(each) for each in weights]
    norms: Norms = {}

    def show(role: str, name: str, value: np.ndarray) -> None:
        norms.setdefault((role, name), []).append(float(np.linalg.norm(value)))

    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        inputs, targets = x[rows].astype("float64"), y[rows].astype("float64")
        hidden = np.maximum(inputs @ weights[0] + weights[1], 0)
        out = hidden @ weights[2] + weights[3]
        to_out = 2 * (out - targets) / BATCH
        to_hidden = to_out @ weights[2].T
        before_relu = to_hidden * (hidden > 0)
        gradients = [inputs.T @ before_relu, before_relu.sum(0), hidden.T @ to_out, to_out.sum(0)]

        summed = [total + gradient for total, gradient in zip(summed, gradients, strict=True)]
        before = weights
        if (step + 1) % micro_batches == 0:
            momenta = [
                MOMENTUM * momentum - RATE * total / micro_batches
                for momentum, total in zip(momenta, summed, strict=True)
            ]
            weights = [sum(pair) for pair in zip(weights, momenta, strict=True)]
            summed = [np.zeros_like(each) for each in weights]

        show("input", "input", inputs)
        show("target", "target", targets)
        show("activation", "hidden", hidden)
        show("activation", "out", out)
        show("prediction", "prediction", out)
        show("loss", "loss", np.mean((out - targets) ** 2))
        show("activation_gradient", "hidden", to_hidden)
        show("activation_gradient", "out", to_out)
        for row, name in enumerate(names):
            show("gradient", name, gradients[row])
            show("slot", f"{name.replace('/', '_')}_momentum", momenta[row])
            show("update", name, weights[row] - before[row])
            show("weight", name, weights[row])
    return norms


def check(found: Recorded, norms_by_name: Norms, rtol: float = 1e-4) -> None:
    """That each step is in one record, of these tensors and no others, with these norms.

    A record is of one call of the step, which may be several steps.
    """
    windows = found.windows()
    assert [step for first, last in windows for step in range(first, last + 1)] == [*range(STEPS)]
    recorded = {
        (tensor.role, tensor.name)
        for record in found.records
        for tensor in found.manifests[int(record.field("manifest"))].tensors
    }
    for (role, name), norms in norms_by_name.items():
        (full,) = (each for kind, each in recorded if kind == role and each.endswith(name))
        recorded.remove((role, full))
        parts = [np.array(norms[first : last + 1]) for first, last in windows]
        truths = {
            "steps": [len(part) for part in parts],
            "largest_norm": [part.max() for part in parts],
            "sum_squares": [(part**2).sum() for part in parts],
        }
        for column, truth in truths.items():
            np.testing.assert_allclose(
                found.series(role, full, column), truth, 2 * rtol, err_msg=f"{role} {full} {column}"
            )
        assert sum(found.series(role, full, "nonfinite_steps")) == 0
    assert recorded == set()


def hidden_and_out() -> list[keras.layers.Layer]:
    layers = keras.layers
    return [layers.Dense(4, "relu", name="hidden"), layers.Dense(1, name="out")]


def sequential() -> keras.Model:
    return keras.Sequential([keras.Input((6,)), *hidden_and_out()])


def functional() -> keras.Model:
    hidden, out = hidden_and_out()
    inputs = keras.Input((6,))
    return keras.Model(inputs, out(hidden(inputs)))


def nested() -> keras.Model:
    hidden, out = hidden_and_out()
    encoder = keras.Sequential([keras.Input((6,)), hidden], name="encoder")
    inputs = keras.Input((6,))
    return keras.Model(inputs, keras.Sequential([out], name="head")(encoder(inputs)))


@keras.saving.register_keras_serializable("tests")
class Subclassed(keras.Model):
    def __init__(self) -> None:
        super().__init__()
        self.hidden, self.out = hidden_and_out()

    def call(self, x: Any) -> Any:
        return self.out(self.hidden(x))


class WithItsOwnStep(Subclassed):
    """A training step as people write it by hand."""

    def train_step(self, batch: Any) -> Any:
        x, y = batch
        with tf.GradientTape() as tape:
            loss = self.compute_loss(x, y, self(x, training=True))
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss}


MODELS = {
    "sequential": sequential,
    "functional": functional,
    "nested": nested,
    "subclassed": Subclassed,
    "own step": WithItsOwnStep,
}
MODES: dict[str, dict[str, Any]] = {
    "graph": {},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
    "three steps a call": {"steps_per_execution": 3},
}


def compiled(model: keras.Model, optimizer: Any = None, **options: Any) -> keras.Model:
    model(np.zeros((1, 6)))
    model.compile(optimizer or keras.optimizers.SGD(RATE, MOMENTUM), "mse", **options)
    model.set_weights(initial_weights())
    return model


def fit(model: keras.Model, log_dir: Path, watch: Any = "all", **options: Any) -> Recorded:
    x, y = data()
    callback = nanwatch.Callback(log_dir, watch=watch, every=1)
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[callback], **options)
    return read_recorded(log_dir / "nanwatch")


@pytest.mark.parametrize(
    ("model", "mode"),
    [
        *(("sequential", mode) for mode in MODES),
        ("functional", "graph"),
        ("nested", "graph"),
        ("nested", "xla"),
        ("subclassed", "graph"),
        ("own step", "graph"),
        ("own step", "eager"),
    ],
)
def test_every_role_matches_numpy(tmp_path: Path, model: str, mode: str) -> None:
    found = fit(compiled(MODELS[model](), **MODES[mode]), tmp_path)
    check(found, trained_in_numpy())
    tensors = found.manifests[int(found.records[0].field("manifest"))].tensors
    layers = {tensor.layer for tensor in tensors}
    prefix = {"nested": ("encoder/", "head/")}.get(model, ("", ""))
    assert layers == {"", *(f"{a}{b}" for a, b in zip(prefix, ("hidden", "out"), strict=True))}
