"""What the manifest says of a model is what the framework knows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from recorded import read_recorded

import tb_nanwatch as nanwatch
from tb_nanwatch.format.facts import LayerFacts, ModelFacts, OptimizerFacts
from tb_nanwatch.format.manifest import Manifest

MODES: dict[str, dict[str, bool]] = {
    "graph": {"jit_compile": False},
    "eager": {"run_eagerly": True, "jit_compile": False},
    "xla": {"jit_compile": True},
}
ROWS = 8


class Residual(keras.layers.Layer):
    """A user's own layer with layers within it."""

    def __init__(self, **options: Any):
        super().__init__(**options)
        self.wide = keras.layers.Dense(6, activation="relu", name="wide")
        self.narrow = keras.layers.Dense(4, name="narrow")

    def call(self, x: Any) -> Any:
        return x + self.narrow(self.wide(x))


class OwnDense(keras.layers.Dense):
    """A class of the user's, though all that it does is Keras's."""


def residual() -> keras.Model:
    inputs = keras.Input((4,))
    first = keras.layers.Dense(4, name="first")(inputs)
    normal = keras.layers.BatchNormalization(name="normal")(first)
    block = Residual(name="block")(normal)
    side = OwnDense(4, activation="tanh", name="side")(block)
    added = keras.layers.Add(name="added")([side, block])
    return keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid", name="last")(added))


def manifests(folder: Path) -> list[Manifest]:
    """In the order in which they were written."""
    return list(read_recorded(folder / "nanwatch").manifests.values())


def facts_of(model: Any, x: Any, y: Any, folder: Path, **options: Any) -> ModelFacts:
    """Of the latest manifest of a short training."""
    callback = nanwatch.Callback(folder, **options)
    model.fit(x, y, batch_size=4, verbose=0, callbacks=[callback])
    return manifests(folder)[-1].model


def by_path(facts: ModelFacts) -> dict[str, LayerFacts]:
    return {layer.path: layer for layer in facts.layers}


@pytest.mark.parametrize("mode", MODES)
def test_layers_and_their_calls(mode: str, tmp_path: Path) -> None:
    model = residual()
    model.compile("sgd", "binary_crossentropy", **MODES[mode])
    facts = facts_of(model, np.ones((ROWS, 4)), np.ones((ROWS, 1)), tmp_path)
    assert facts.framework == "keras"
    assert facts.versions == f"keras {keras.__version__}, tensorflow {tf.__version__}"
    assert facts.jit_compile == (mode == "xla")
    assert facts.dtype_policy == "float32"
    layers = by_path(facts)
    assert {path: layer.inputs for path, layer in layers.items()} == {
        "first": (),
        "normal": ("first",),
        "block/wide": ("normal",),
        "block/narrow": ("block/wide",),
        "block": ("normal",),
        "side": ("block",),
        "added": ("side", "block"),
        "last": ("added",),
    }
    assert list(layers) == [
        *("first", "normal", "block/wide", "block/narrow", "block", "side", "added", "last")
    ]
    kinds = {path: (layer.class_name, layer.is_builtin) for path, layer in layers.items()}
    assert kinds["normal"] == ("BatchNormalization", True)
    assert kinds["block"] == ("Residual", False)
    assert kinds["side"] == ("OwnDense", False)
    assert kinds["block/wide"] == ("Dense", True)
    activations = {path: layer.activation for path, layer in layers.items()}
    assert activations["block/wide"] == "relu"
    assert activations["side"] == "tanh"
    assert activations["last"] == "sigmoid"
    assert activations["added"] == ""


def test_a_graph_follows_what_stands_between_layers(tmp_path: Path) -> None:
    class Between(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.one = keras.layers.Dense(3, name="one")
            self.two = keras.layers.Dense(3, name="two")
            self.three = keras.layers.Dense(1, name="three")

        def call(self, x: Any) -> Any:
            a = self.one(x)
            b = self.two(tf.math.log(tf.abs(x) + 1.0))
            return self.three(tf.concat([a * 2.0, tf.reshape(b, tf.shape(a))], axis=-1))

    model = Between()
    model.compile("sgd", "mse", jit_compile=False)
    facts = facts_of(model, np.ones((ROWS, 4)), np.ones((ROWS, 1)), tmp_path)
    inputs = {layer.path: set(layer.inputs) for layer in facts.layers}
    assert inputs == {"one": set(), "two": set(), "three": {"one", "two"}}


def test_the_two_networks_of_a_gan_are_told_apart(tmp_path: Path) -> None:
    class Gan(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.generator = keras.Sequential(
                [keras.Input((2,)), keras.layers.Dense(4, name="dense")]
            )
            self.critic = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, name="dense")])
            self.generator_optimizer = keras.optimizers.Adam(1e-3, epsilon=1e-5)
            self.critic_optimizer = keras.optimizers.RMSprop(1e-3)
            self.bce = keras.losses.BinaryCrossentropy(from_logits=True)

        def train_step(self, data: Any) -> Any:
            noise = tf.random.normal((4, 2))
            with tf.GradientTape() as tape:
                scores = self.critic(self.generator(noise))
                loss = self.bce(tf.ones((4, 1)), scores)
            trained = self.generator.trainable_variables
            self.generator_optimizer.apply(tape.gradient(loss, trained), trained)
            with tf.GradientTape() as tape:
                loss = self.bce(tf.ones((4, 1)), self.critic(data))
            trained = self.critic.trainable_variables
            self.critic_optimizer.apply(tape.gradient(loss, trained), trained)
            return {"loss": loss}

    model = Gan()
    model.compile(jit_compile=False)
    facts = facts_of(model, np.ones((ROWS, 4), "float32"), None, tmp_path)
    generator, critic = facts.layers
    assert (generator.owner, critic.owner) == ("generator", "critic")
    assert critic.inputs == (generator.path,)
    assert {each.class_name for each in facts.optimizers} == {"Adam", "RMSprop"}
    assert [(each.name, each.class_name, each.from_logits) for each in facts.losses] == [
        ("bce", "BinaryCrossentropy", True)
    ]


def own_loss(y: Any, p: Any) -> Any:
    return tf.reduce_mean(tf.square(y - p), axis=-1)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("binary_crossentropy", ("binary_crossentropy", True, False)),
        ("mse", ("mean_squared_error", True, None)),
        (keras.losses.BinaryCrossentropy(from_logits=True), ("BinaryCrossentropy", True, True)),
        (keras.losses.MeanSquaredError(), ("MeanSquaredError", True, None)),
        (own_loss, ("own_loss", False, None)),
    ],
)
def test_the_loss(loss: Any, expected: tuple[str, bool, bool | None], tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", loss)
    facts = facts_of(model, np.ones((ROWS, 4)), np.ones((ROWS, 1)), tmp_path)
    (found,) = facts.losses
    assert (found.class_name, found.is_builtin, found.from_logits) == expected


def test_several_losses_by_name(tmp_path: Path) -> None:
    inputs = keras.Input((4,))
    outputs = {
        "a": keras.layers.Dense(1, name="a")(inputs),
        "b": keras.layers.Dense(1, name="b")(inputs),
    }
    model = keras.Model(inputs, outputs)
    model.compile("sgd", {"a": "mse", "b": keras.losses.Huber()})
    y = np.ones((ROWS, 1))
    facts = facts_of(model, np.ones((ROWS, 4)), {"a": y, "b": y}, tmp_path)
    assert {(each.name, each.class_name) for each in facts.losses} == {
        ("a", "mean_squared_error"),
        ("b", "Huber"),
    }


def test_the_optimizer(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    schedule = keras.optimizers.schedules.CosineDecay(0.1, 10)
    optimizer = keras.optimizers.Adam(schedule, epsilon=1e-3, global_clipnorm=2.0)
    model.compile(keras.optimizers.LossScaleOptimizer(optimizer), "mse", jit_compile=False)
    facts = facts_of(model, np.ones((ROWS, 4)), np.ones((ROWS, 1)), tmp_path)
    assert facts.optimizers == (
        OptimizerFacts(
            optimizer.name, "Adam", True, epsilon=1e-3, global_clipnorm=2.0, is_loss_scaled=True
        ),
    )


def test_variables(tmp_path: Path) -> None:
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, name="frozen", trainable=False),
            keras.layers.BatchNormalization(name="normal"),
            keras.layers.Dense(1, name="last"),
        ],
        name="model",
    )
    model.compile("adam", "mse", jit_compile=False)
    facts_of(model, np.ones((ROWS, 4)), np.ones((ROWS, 1)), tmp_path, watch="all")
    infos = manifests(tmp_path)[-1].tensors
    weights = {
        info.name.removeprefix("model/"): (info.trainable, info.is_statistic, info.attribute)
        for info in infos
        if info.role == "weight"
    }
    assert weights == {
        "frozen/kernel": (False, False, "kernel"),
        "frozen/bias": (False, False, "bias"),
        "normal/gamma": (True, False, "gamma"),
        "normal/beta": (True, False, "beta"),
        "normal/moving_mean": (False, True, "moving_mean"),
        "normal/moving_variance": (False, True, "moving_variance"),
        "last/kernel": (True, False, "kernel"),
        "last/bias": (True, False, "bias"),
    }
    gradients = {
        info.name.removeprefix("model/"): info.attribute
        for info in infos
        if info.role == "gradient"
    }
    assert gradients["normal/gamma"] == "gamma"


def test_sample_weights(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse", jit_compile=False)
    callback = nanwatch.Callback(tmp_path)
    y, weight = np.ones((ROWS, 1)), np.ones(ROWS)
    model.fit(np.ones((ROWS, 4)), y, sample_weight=weight, verbose=0, callbacks=[callback])
    targets = [info for info in manifests(tmp_path)[-1].tensors if info.role == "target"]
    assert [(each.name, each.attribute) for each in targets] == [
        ("target", ""),
        ("sample_weight", "sample_weight"),
    ]


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float16"])
def test_the_dtype_policy(policy: str, tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, dtype=policy)])
    model.compile("sgd", "mse", jit_compile=False)
    facts = facts_of(model, np.ones((ROWS, 4)), np.ones((ROWS, 1)), tmp_path)
    assert facts.layers[0].dtype_policy == policy


@pytest.mark.parametrize("mode", ["eager", "graph", "xla"])
def test_a_custom_loop(mode: str, tmp_path: Path) -> None:
    model = residual()
    drop = keras.layers.Dropout(0.5, name="drop")  # Never built, so Keras sets no path.
    optimizer = keras.optimizers.SGD(0.1, clipvalue=1.0)
    watcher = nanwatch.Watcher(tmp_path)

    def step(x: Any) -> None:
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(drop(model(x, training=True)) ** 2)
        trained = model.trainable_variables
        gradients = tape.gradient(loss, trained)
        optimizer.apply_gradients(zip(gradients, trained, strict=True))
        watcher.observe(loss=loss, gradient=zip(gradients, trained, strict=True))

    function = step if mode == "eager" else tf.function(step, jit_compile=mode == "xla")
    run = watcher.step(function)
    with watcher:
        for _ in range(3):
            run(tf.ones((4, 4)))
            watcher.step_end()
    (manifest,) = manifests(tmp_path)
    layers = by_path(manifest.model)
    assert layers["added"].inputs == ("side", "block")
    assert layers["block"].class_name == "Residual"
    assert layers["drop"].class_name == "Dropout"
    assert [each.clipvalue for each in manifest.model.optimizers] == [1.0]
    assert all(info.trainable for info in manifest.tensors if info.role == "gradient")


def test_a_loop_without_a_model(tmp_path: Path) -> None:
    with nanwatch.Watcher(tmp_path) as watcher:
        for _ in range(3):
            watcher.observe(loss=tf.constant(1.0))
            watcher.step_end()
    (manifest,) = manifests(tmp_path)
    assert manifest.model.framework == "tensorflow"
    assert manifest.model.layers == ()


def test_replicas_describe_the_model_once(tmp_path: Path) -> None:
    with tf.distribute.MirroredStrategy(["cpu:0"]).scope():
        model = residual()
        model.compile("sgd", "mse", jit_compile=False)
    facts = facts_of(model, np.ones((ROWS, 4)), np.ones((ROWS, 1)), tmp_path)
    assert by_path(facts)["added"].inputs == ("side", "block")
