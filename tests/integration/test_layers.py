"""Outputs of layers of every kind, and of models that make it hard to see them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import Recorded, read_recorded

import tb_nanwatch as nanwatch

BATCH = 4
ROLES = ["activation", "activation_gradient"]

layers = keras.layers


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(2 * BATCH, *shape)).astype("float32")


def fit(
    model: keras.Model, x: Any, y: Any, log_dir: Path, watch: Any = ROLES, **options: Any
) -> Recorded:
    """Two steps of plain SGD on the mean of the squared error."""
    model.compile("sgd", "mse", **options)
    callback = nanwatch.Callback(log_dir, watch=watch, every=1)
    model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[callback])
    return read_recorded(log_dir / "nanwatch")


def norms(found: Recorded, role: str) -> dict[str, float]:
    """Norms of the first step by name, in the order of the record."""
    first = found.records[0]
    names = [
        t.name for t in found.manifests[int(first.field("manifest"))].tensors if t.role == role
    ]
    return {name: found.series(role, name, "largest_norm")[0] for name in names}


@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}], ids=["graph", "eager"])
def test_calls_and_outputs_of_a_layer_are_told_apart(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    class Split(layers.Layer):
        def call(self, x: Any) -> Any:
            return {"low": x[:, :3], "high": [x[:, 3:4], x[:, 4:]]}

    inputs = keras.Input((6,))
    twice = layers.Dense(6, use_bias=False, kernel_initializer="ones", name="twice")
    parts = Split(name="split")(layers.Dropout(0.0, name="drop")(twice(twice(inputs))))
    joined = layers.Concatenate(name="join")([parts["low"], parts["high"][1]])
    model = keras.Model(inputs, joined)
    x = data(6)
    found = fit(model, x, np.zeros((2 * BATCH, 5)), tmp_path, **options)

    once = x[:BATCH] @ np.ones((6, 6))
    again = once @ np.ones((6, 6))
    outputs = {
        "twice": once,
        "twice#2": again,
        "drop": again,
        "split/high/0": again[:, 3:4],
        "split/high/1": again[:, 4:],
        "split/low": again[:, :3],
        "join": np.delete(again, 3, axis=1),
    }
    expected = {name: np.linalg.norm(output) for name, output in outputs.items()}
    got = norms(found, "activation")
    assert list(got) == list(expected)
    assert got == pytest.approx(expected, rel=1e-4)

    upstream = 2 * again / (BATCH * 5)
    upstream[:, 3] = 0
    arriving = {
        "twice": upstream @ np.ones((6, 6)),
        "twice#2": upstream,
        "drop": upstream,
        "split/high/1": upstream[:, 4:],  # nothing goes on from high/0
        "split/low": upstream[:, :3],
        "join": np.delete(upstream, 3, axis=1),
    }
    expected = {name: np.linalg.norm(gradient) for name, gradient in arriving.items()}
    got = norms(found, "activation_gradient")
    got.pop("split/high/0", None)  # zeros, where the layer's gradient is taken as a whole
    assert list(got) == list(expected)
    assert got == pytest.approx(expected, rel=1e-4)


def test_masks_go_on_as_they_were(tmp_path: Path) -> None:
    x = np.array([[1, 2, 0, 0], [3, 1, 2, 0], [1, 0, 0, 0], [2, 2, 2, 2]] * 2)

    def train(*callbacks: keras.callbacks.Callback) -> list[np.ndarray]:
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((4,), dtype="int32"),
                layers.Embedding(4, 3, mask_zero=True, name="table"),
                layers.Dropout(0.0, name="drop"),
                layers.LSTM(2, name="lstm"),
                layers.RepeatVector(3, name="repeat"),
                layers.Masking(name="masking"),
                layers.Bidirectional(layers.GRU(2, name="gru"), name="both"),
                layers.Dense(1, name="out"),
            ]
        )
        model.compile("sgd", "mse")
        model.fit(x, data(1), BATCH, shuffle=False, verbose=0, callbacks=list(callbacks))
        return model.get_weights()

    plain, watched = train(), train(nanwatch.Callback(tmp_path, watch=ROLES, every=1))
    for before, after in zip(plain, watched, strict=True):
        np.testing.assert_array_equal(before, after)
    found = read_recorded(tmp_path / "nanwatch")
    seen = ["table", "drop", "lstm", "repeat", "masking"]
    inner = ["both/forward_gru", "both/backward_gru"]
    # What a cell computes at each time step is not among them.
    assert list(norms(found, "activation")) == [*seen, *inner, "both", "out"]
    assert list(norms(found, "activation_gradient")) == [*seen, *inner, "both", "out"]


def test_ragged_outputs_are_watched(tmp_path: Path) -> None:
    class Lengthen(layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.RaggedTensor.from_row_lengths(tf.reshape(x, [-1]), [1, 5, 4, 2])

    class Sum(layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.reduce_sum(x, axis=1, keepdims=True)

    class Model(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.hidden, self.lengthen, self.sum = layers.Dense(3), Lengthen(name="long"), Sum()

        def call(self, x: Any) -> Any:
            return self.sum(self.lengthen(self.hidden(x)))

    found = fit(Model(), data(3), data(1), tmp_path, run_eagerly=True)
    assert found.series("activation", "long", "elements") == [12, 12]
    assert found.series("activation_gradient", "long", "elements") == [12, 12]


def test_layers_that_cannot_be_seen_are_named_and_the_rest_is_recorded(tmp_path: Path) -> None:
    class Property(layers.Layer):
        @property
        def call(self) -> Callable[..., Any]:
            return lambda x: 2 * x

    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.seen = layers.Dense(3, name="seen")
            self.refusing = Property(name="refusing")
            self.traced = layers.Dense(3, name="traced")
            self.looped = layers.Dense(3, name="looped")

        @tf.function
        def traced_call(self, x: Any) -> Any:
            return self.traced(x)

        def call(self, x: Any) -> Any:
            x = self.traced_call(self.refusing(self.seen(x)))
            return tf.map_fn(lambda row: self.looped(row[None])[0], x)

    model = Own()
    model(data(3))
    with pytest.warns(nanwatch.NaNWatchWarning) as warned:
        found = fit(model, data(3), data(3), tmp_path)
    told = sorted(str(each.message) for each in warned if "NaNWatch" in str(each.message))
    assert len(told) == 2
    assert "because their `call` cannot be wrapped: refusing." in told[0]
    assert "inside a nested tf.function, loop or branch: traced, looped." in told[1]
    assert list(norms(found, "activation")) == ["seen"]
    assert list(norms(found, "activation_gradient")) == ["seen"]
    for layer in model._flatten_layers():
        assert "call" not in vars(layer)


def test_what_is_computed_again_in_the_backward_pass_is_seen_once(tmp_path: Path) -> None:
    with keras.RematScope(mode="full"):
        hidden = layers.Dense(3, "relu", name="hidden")
    model = keras.Sequential([keras.Input((3,)), hidden, layers.Dense(1, name="out")])
    found = fit(model, data(3), data(1), tmp_path, run_eagerly=True)  # Keras cannot in a graph
    assert list(norms(found, "activation")) == ["hidden", "out"]
    assert list(norms(found, "activation_gradient")) == ["hidden", "out"]


@pytest.mark.parametrize("options", [{}, {"run_eagerly": True}], ids=["graph", "eager"])
def test_gradients_of_gradients_are_what_they_were(tmp_path: Path, options: dict[str, Any]) -> None:
    class Penalised(keras.Sequential):
        def train_step(self, batch: Any) -> Any:
            x, _ = batch
            with tf.GradientTape(persistent=True) as outer:
                with tf.GradientTape() as inner:
                    inner.watch(x)
                    y = self(x)
                slope = inner.gradient(y, x)
                penalty = tf.reduce_mean(slope**2)
                loss = tf.reduce_mean(y**2) + penalty
            variables = self.trainable_variables
            outer.gradient(loss, variables)
            self.optimizer.apply(outer.gradient(loss, variables), variables)
            return {"loss": loss}

    def train(*callbacks: keras.callbacks.Callback) -> list[np.ndarray]:
        keras.utils.set_random_seed(0)
        model = Penalised(
            [keras.Input((3,)), layers.Dense(4, "tanh", name="a"), layers.Dense(1, name="b")]
        )
        model.compile("sgd", **options)
        model.fit(data(3), data(1), BATCH, shuffle=False, verbose=0, callbacks=list(callbacks))
        return model.get_weights()

    plain = train()
    watched = train(nanwatch.Callback(tmp_path, watch=ROLES, every=1))
    for before, after in zip(plain, watched, strict=True):
        np.testing.assert_allclose(before, after, rtol=1e-6)
    found = norms(read_recorded(tmp_path / "nanwatch"), "activation_gradient")
    # The slope's pass; then twice the loss's: a further one counts on.
    assert list(found) == ["a", "b", "a#2", "b#2", "a#3", "b#3"]


@pytest.mark.parametrize(
    ("watch", "message"),
    [
        ("slot", "no slot is recorded, because the optimizer keeps no state"),
        (["loss", "update"], "no update is recorded, because the model has no trainable variable"),
        (
            ["loss", "activation:hiden"],
            "the pattern 'hiden' in watch matches no layer. The model's layers are: hidden",
        ),
    ],
)
def test_what_this_model_does_not_have_is_said_once(
    tmp_path: Path, watch: Any, message: str
) -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, name="hidden")])
    model.trainable = "update" not in watch
    with pytest.warns() as warned:
        fit(model, data(3), data(1), tmp_path, watch)
    told = [str(each.message) for each in warned if "NaNWatch" in str(each.message)]
    assert len(told) == 1
    assert message in told[0]


def test_a_model_without_trainable_weights_is_recorded_as_far_as_it_goes(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1, name="hidden")])
    model.trainable = False
    with pytest.warns(UserWarning, match="does not have any trainable weights") as warned:
        found = fit(model, data(3), data(1), tmp_path, "default")  # Keras's warning
    assert not [each for each in warned if "NaNWatch" in str(each.message)]
    assert found.names("weight") == [each.path for each in model.weights]
    assert found.series("loss", "loss", "steps") == [1, 1]


def test_a_frozen_layer_and_one_that_the_loss_does_not_reach(tmp_path: Path) -> None:
    inputs = keras.Input((3,))
    frozen = layers.Dense(3, use_bias=False, name="frozen", trainable=False)
    unreached = layers.Dense(2, use_bias=False, name="unreached")
    hidden = frozen(inputs)
    outputs = layers.Dense(1, use_bias=False, name="out")(hidden)
    model = keras.Model(inputs, {"out": outputs, "side": unreached(hidden)})
    model.compile(keras.optimizers.SGD(0.1, 0.9), {"out": "mse"})
    initial = model.get_weights()
    callback = nanwatch.Callback(tmp_path, watch="all", every=1)
    with pytest.warns(UserWarning, match="Gradients do not exist"):  # Keras's
        model.fit(data(3), {"out": data(1)}, BATCH, verbose=0, callbacks=[callback])
    found = read_recorded(tmp_path / "nanwatch")
    assert found.names("gradient") == ["out/kernel"]
    assert found.names("update") == ["out/kernel", "unreached/kernel"]
    assert set(found.names("activation")) == {"frozen", "out", "unreached"}
    assert found.names("activation_gradient") == ["frozen", "out"]
    assert found.series("update", "unreached/kernel", "largest_norm") == [0, 0]
    norm = float(np.linalg.norm(initial[0]))
    assert found.series("weight", "frozen/kernel", "largest_norm") == pytest.approx([norm] * 2)
    slots = [slot for slot in found.names("slot") if "unreached" in slot]
    assert found.series("slot", slots[0], "largest_norm") == [0, 0]


@pytest.mark.parametrize("kind", ["ragged", "sparse", "nested"])
def test_batches_of_any_kind(tmp_path: Path, kind: str) -> None:
    class Sum(layers.Layer):
        def call(self, x: Any) -> Any:
            return tf.reduce_sum(x, axis=1, keepdims=True)

    y, dense = data(1), data(3)
    dense[np.abs(dense) < 0.3] = 0
    dense[5, 1] = np.nan
    if kind == "ragged":
        x: Any = tf.RaggedTensor.from_row_lengths(dense.ravel(), [1, 5, 4, 2, 3, 3, 0, 6])
        model = keras.Sequential([Sum(), layers.Dense(1)])
        counts, options = [12, 12], {"run_eagerly": True}
    elif kind == "sparse":
        x, options = tf.sparse.from_dense(dense), {}
        model = keras.Sequential([keras.Input((3,), sparse=True), layers.Dense(1)])
        counts = [int(np.count_nonzero(dense[rows])) for rows in (slice(4), slice(4, 8))]
    else:
        x, options = {"a": (dense, data(3))}, {}
        inputs = {"a": (keras.Input((3,)), keras.Input((3,)))}
        model = keras.Model(inputs, layers.Dense(1)(layers.Add()(list(inputs["a"]))))
        counts = [12, 12]
    model.compile("sgd", "mse", **options)
    batches = tf.data.Dataset.from_tensor_slices((x, y, np.ones(8))).batch(BATCH)
    callback = nanwatch.Callback(tmp_path, every=1)
    model.fit(batches, shuffle=False, verbose=0, callbacks=[callback])
    found = read_recorded(tmp_path / "nanwatch")
    name = "input/a/0" if kind == "nested" else "input"
    assert found.series("input", name, "elements") == counts
    assert found.series("input", name, "nan") == [0, 1]
    assert found.names("target") == ["target", "sample_weight"]


def encoder_or_decoder(name: str) -> keras.Model:
    inputs = keras.Input((3,))
    hidden = layers.Dropout(0.0, name="drop")(layers.Dense(3, name="dense")(inputs))
    return keras.Model(inputs, layers.Dense(3, name=f"{name}_out")(hidden), name=name)


@pytest.mark.parametrize("kind", ["functional", "attributes"])
def test_layers_of_one_name_in_two_models_are_told_apart(tmp_path: Path, kind: str) -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            # Named by Keras, "functional" and so on: the attribute says more.
            self.encoder, self.decoder = (encoder_or_decoder(each) for each in ("a", "b"))
            self.encoder.name, self.decoder.name = "functional_7", "functional_8"

        def call(self, x: Any) -> Any:
            return self.decoder(self.encoder(x))

    if kind == "attributes":
        model = Own()
        encoder, decoder, ends = model.encoder, model.decoder, ("a_out", "b_out")
    else:
        encoder, decoder = encoder_or_decoder("encoder"), encoder_or_decoder("decoder")
        inputs = keras.Input((3,))
        model, ends = keras.Model(inputs, decoder(encoder(inputs))), ("encoder_out", "decoder_out")
    model.compile(keras.optimizers.SGD(0.1, 0.9), "mse")
    x = data(3)
    callback = nanwatch.Callback(tmp_path, watch="all", every=1)
    model.fit(x, np.zeros_like(x), BATCH, shuffle=False, verbose=0, callbacks=[callback])
    found = read_recorded(tmp_path / "nanwatch")
    # What is unique keeps the name that Keras gives it.
    inner = [
        *("encoder/dense", "encoder/drop", ends[0]),
        *("decoder/dense", "decoder/drop", ends[1]),
    ]
    assert found.names("activation") == inner
    kernels = [f"{name}/kernel" for name in inner if not name.endswith("drop")]
    for role in ("gradient", "update", "weight"):
        assert [each for each in found.names(role) if "kernel" in each] == kernels
    slots = [each for each in found.names("slot") if "kernel" in each]
    assert [each.partition("/")[2] for each in slots] == [
        f"{each.replace('/', '_')}_momentum" for each in kernels
    ]
    for model_, name in ((encoder, "encoder"), (decoder, "decoder")):
        kernel = model_.get_layer("dense").kernel
        norm = found.series("weight", f"{name}/dense/kernel", "largest_norm")[-1]
        assert norm == pytest.approx(float(np.linalg.norm(kernel.numpy())), rel=1e-5)
        (at,) = (number for number, each in enumerate(model.trainable_variables) if each is kernel)
        slot = [each for each in model.optimizer.variables if "momentum" in each.path][at]
        norm = found.series("slot", next(s for s in slots if f"{name}_dense" in s), "largest_norm")
        assert norm[-1] == pytest.approx(float(np.linalg.norm(slot.numpy())), rel=1e-5)
    tensors = found.manifests[int(found.records[0].field("manifest"))].tensors
    assert {tensor.layer for tensor in tensors} == {"", *inner}
