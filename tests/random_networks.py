"""Random small networks, each with one trap of a random kind, at a random depth and step.

`network(seed)` draws one; `train(network, folder)` trains it for `STEPS` steps with
`nanwatch.Callback` and leaves the event files in `folder`; `findings(folder)` is what NaNWatch says
of them; `judge(network, findings)` compares that with what is known beforehand: `Verdict` says
whether it was detected, at the exact step, with the role, the layer and the cause of the origin.
`python tests/random_networks.py COUNT` does all that for so many networks.

The trap goes off in the batch whose flag is set; the flag is a second input (or, where the loss is
the trap, a second column of the targets), finite like all the data, unless the data is the trap.
Without a trap (`kind="none"`) the network is healthy, and nothing is to be found.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tb_nanwatch as nanwatch
from tb_nanwatch.diagnosis import Finding, diagnose
from tb_nanwatch.reader import Access, Reader

STEPS, BATCH, TIMES, WIDTH = 10, 8, 4, 6

Tensor = Any

FORWARD: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "log of a negative number": lambda h, s: h + tf.math.log(1 - 2 * s),
    "square root of a negative number": lambda h, s: h * tf.sqrt(1 - 2 * s),
    "division by zero": lambda h, s: h / (1 - s),
    "overflow": lambda h, s: (1 + h * h) * tf.exp(100 * s),
    "0 * Inf": lambda h, s: h + (1 - s) * tf.math.log(1 - s),
}
"""What a layer makes of its input and the flag; 0 at a healthy step, 1 at the trap's."""

BACKWARD: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "square root at zero": lambda h, s: h + tf.sqrt((1 + h * h) * (1 - s)),
    "norm at zero": lambda h, s: h + tf.norm((1 + h) * (1 - s), axis=-1, keepdims=True),
    "log in a where": lambda h, s: h + _log_in_a_where((1 + h * h) * (1 - s)),
}
"""The same, with a finite value and a gradient that is none."""

KINDS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(FORWARD, ("layer-forward", "activation")),
    **dict.fromkeys(BACKWARD, ("layer-backward", "activation_gradient")),
    "NaN in the input": ("nonfinite-input", "input"),
    "Inf in the input": ("nonfinite-input", "input"),
    "NaN in the target": ("nonfinite-target", "target"),
    "loss out of its domain": ("loss-domain", "loss"),
    "loss with an infinite slope": ("loss-backward", "activation_gradient"),
    "optimizer overflow": ("optimizer-overflow", "slot"),
    "bad weight": ("nonfinite-initial-weight", "weight"),
}
"""Every kind of trap: the cause and the role of its origin."""

OPERATIONS: dict[str, tuple[str, str, str]] = {
    "log of a negative number": ("Log", "forward", "h + tf.math.log(1 - 2 * s)"),
    "square root of a negative number": ("Sqrt", "forward", "h * tf.sqrt(1 - 2 * s)"),
    "division by zero": ("RealDiv", "forward", "h / (1 - s)"),
    "overflow": ("Exp", "forward", "tf.exp(100 * s)"),
    "0 * Inf": ("Log", "forward", "(1 - s) * tf.math.log(1 - s)"),
    "square root at zero": ("Sqrt", "backward", "tf.sqrt((1 + h * h) * (1 - s))"),
    "norm at zero": ("Sqrt", "backward", "tf.norm((1 + h) * (1 - s)"),
    "log in a where": ("Log", "backward", "tf.where(x > 0, tf.math.log(x)"),
    "loss out of its domain": ("Log", "forward", "error + tf.math.log(1 - 2 * flag)"),
    "loss with an infinite slope": ("Sqrt", "backward", "tf.sqrt((1 + error) * (1 - flag))"),
}
"""Of kinds in which an operation is at fault: its type, the pass, and its source."""

BLOCKS = ("dense", "conv", "layer norm", "batch norm", "attention", "recurrent", "residual")


def _log_in_a_where(x: Tensor) -> Tensor:
    return tf.where(x > 0, tf.math.log(x), tf.zeros_like(x))


class Trap(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A layer that does `function` with its input and the flag."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor], name: str):
        super().__init__(name=name)
        self._function = function

    def call(self, inputs: Sequence[Tensor]) -> Tensor:
        hidden, flag = inputs
        return self._function(hidden, flag[:, :, tf.newaxis])


@dataclass(frozen=True)
class Network:
    """A random network.

    Attributes:
      seed: what it was drawn from.
      blocks: from the input on; "trap" is the layer that goes off.
      kind: a key of `KINDS`, or "none".
      step: when the trap goes off.
      layer: path of the trap's layer; "" where no layer is the origin.
    """

    seed: int
    blocks: tuple[str, ...]
    kind: str
    step: int
    layer: str

    @property
    def cause(self) -> str:
        return KINDS[self.kind][0]

    @property
    def role(self) -> str:
        return KINDS[self.kind][1]

    @property
    def operation(self) -> tuple[str, str, str] | None:
        """Type and pass of the operation at fault, and what stands in its line of source."""
        return OPERATIONS.get(self.kind)


@dataclass(frozen=True)
class Verdict:
    """What was right; of a healthy network `detected` says that nothing was found."""

    detected: bool
    step: bool
    role: bool
    layer: bool
    cause: bool
    operation: bool
    line: bool

    def all(self) -> bool:
        return all(vars(self).values())


def network(seed: int, kind: str | None = None) -> Network:
    """The network of this seed; `kind` where it is to be of one."""
    rng = np.random.default_rng(seed)
    drawn = str(rng.choice(list(KINDS)))
    kind = kind or drawn
    blocks = [str(block) for block in rng.choice(BLOCKS, rng.integers(2, 9))]
    step = int(rng.integers(0, STEPS - 1))
    layer = ""
    if kind in FORWARD or kind in BACKWARD:
        # Before a backward trap there must be something that has a gradient.
        at = int(rng.integers(kind in BACKWARD, len(blocks) + 1))
        blocks.insert(at, "trap")
        layer = f"block_{at}"
    if kind == "bad weight":
        blocks.insert(0, "dense")
        step = 0
    return Network(seed, tuple(blocks), kind, step, layer)


def build(network: Network) -> keras.Model:
    """The compiled model, its weights drawn from the seed."""
    keras.utils.set_random_seed(network.seed)
    x = keras.Input((TIMES, WIDTH), name="x")
    flag = keras.Input((1,), name="flag")
    function = FORWARD.get(network.kind) or BACKWARD.get(network.kind)
    hidden = x
    for index, block in enumerate(network.blocks):
        hidden = _block(block, f"block_{index}", hidden, flag, function)
    hidden = keras.layers.GlobalAveragePooling1D(name="pool")(hidden)
    model = keras.Model([x, flag], keras.layers.Dense(1, name="head")(hidden), name="net")
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=_loss(network.kind))
    if network.kind == "bad weight":
        weight = _bad_weight(network, model)
        value = weight.numpy()
        value.reshape(-1)[0] = np.nan
        weight.assign(value)
    return model


def _bad_weight(network: Network, model: keras.Model) -> keras.Variable:
    weights = model.trainable_variables
    return weights[network.seed % len(weights)]


def _block(
    block: str, name: str, hidden: Tensor, flag: Tensor, function: Callable[..., Tensor] | None
) -> Tensor:
    layers = keras.layers
    if block == "trap":
        assert function is not None
        return Trap(function, name)([hidden, flag])
    if block == "attention":
        return layers.MultiHeadAttention(2, 3, name=name)(hidden, hidden)
    if block == "residual":
        inner = layers.Dense(WIDTH, activation="tanh", name=f"{name}_inner")(hidden)
        return layers.Add(name=name)([hidden, inner])
    made = {
        "dense": lambda: layers.Dense(WIDTH, activation="gelu", name=name),
        "conv": lambda: layers.Conv1D(WIDTH, 3, padding="same", activation="tanh", name=name),
        "layer norm": lambda: layers.LayerNormalization(name=name),
        "batch norm": lambda: layers.BatchNormalization(name=name),
        "recurrent": lambda: layers.SimpleRNN(WIDTH, return_sequences=True, name=name),
    }
    return made[block]()(hidden)


def _loss(kind: str) -> Callable[[Tensor, Tensor], Tensor]:
    def loss(y: Tensor, prediction: Tensor) -> Tensor:
        flag = tf.reduce_max(y[:, 1])
        error = tf.reduce_mean((prediction - y[:, :1]) ** 2)
        if kind == "loss out of its domain":
            return error + tf.math.log(1 - 2 * flag)
        if kind == "loss with an infinite slope":
            return tf.sqrt((1 + error) * (1 - flag))
        if kind == "optimizer overflow":
            return error * (1 + 1e25 * flag)
        return error

    return loss


def data(network: Network) -> tuple[dict[str, Any], Any]:
    """`STEPS` batches: the inputs "x" and "flag", and the targets with their own flag."""
    rng = np.random.default_rng(network.seed)
    rows = STEPS * BATCH
    x = rng.standard_normal((rows, TIMES, WIDTH)).astype(np.float32)
    flag = np.zeros((rows, 1), np.float32)
    y = rng.standard_normal((rows, 2)).astype(np.float32)
    y[:, 1] = 0
    batch = slice(network.step * BATCH, (network.step + 1) * BATCH)
    if network.kind in FORWARD or network.kind in BACKWARD:
        flag[batch] = 1
    elif network.kind.endswith("in the input"):
        x[batch.start + 3, 1, 2] = np.nan if network.kind.startswith("NaN") else np.inf
    elif network.kind.endswith("in the target"):
        y[batch.start + 3, 0] = np.nan
    elif network.kind not in ("none", "bad weight"):
        y[batch, 1] = 1
    return {"x": x, "flag": flag}, y


def train(network: Network, folder: str | Path, watch: str = "all", **options: Any) -> None:
    """Trains the network, and records it into `folder`; `options` go to the Callback."""
    x, y = data(network)
    recording = nanwatch.Callback(str(folder), **{"every": 1, "watch": watch, **options})
    build(network).fit(x, y, batch_size=BATCH, shuffle=False, verbose=0, callbacks=[recording])


def findings(folder: str | Path) -> tuple[Finding, ...]:
    """What NaNWatch says of the run recorded in `folder`."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext

    files = EventMultiplexer(tensor_size_guidance={"nanwatch": 0})
    files.AddRunsFromDirectory(str(folder)).Reload()
    reader = Reader(MultiplexerDataProvider(files, str(folder)))
    access = Access(RequestContext())
    (index,) = reader.runs(access)
    return diagnose(reader.history(access, index))


def judge(network: Network, found: Sequence[Finding]) -> Verdict:
    """What of the first finding is right, where every role was recorded."""
    if network.kind == "none":
        return Verdict(*[not any(each.severity != "info" for each in found)] * 7)
    if not found or found[0].severity != "error":
        return Verdict(*[False] * 7)
    first = found[0]
    expected = network.layer
    if network.kind == "bad weight":
        expected = _bad_weight(network, build(network)).path.removeprefix("net/").rpartition("/")[0]
    elif network.kind == "optimizer overflow":
        expected = first.origin.layer  # No layer is at fault more than another.
    return Verdict(
        True,
        first.step == network.step,
        first.origin.role == network.role,
        first.origin.layer == expected,
        first.cause == network.cause,
        *_named(network, first),
    )


def _named(network: Network, finding: Finding) -> tuple[bool, bool]:
    """Whether operation and line are right; True where none is at fault."""
    if network.operation is None:
        return True, True
    kind, direction, source = network.operation
    told = None if finding.rerun is None else finding.rerun.operation
    if told is None:
        return False, False
    return (told.type, told.direction) == (kind, direction), source in told.code


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains random networks, and judges what is said.")
    parser.add_argument("count", type=int)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--kind", choices=[*KINDS, "none"])
    parser.add_argument("--watch", default="all")
    parser.add_argument(
        "--every", default=1, type=lambda text: text if text == "auto" else int(text)
    )
    options = parser.parse_args()
    verdicts = []
    for seed in range(options.first_seed, options.first_seed + options.count):
        drawn = network(seed, options.kind)
        with tempfile.TemporaryDirectory() as folder:
            train(drawn, folder, options.watch, every=options.every)
            found = findings(folder)
        verdicts.append(judge(drawn, found))
        print(drawn, "right" if verdicts[-1].all() else f"{verdicts[-1]} {found[:2]}", flush=True)
        keras.utils.clear_session()
    for name in vars(verdicts[0]):
        print(f"{name:9}", sum(getattr(verdict, name) for verdict in verdicts), "of", len(verdicts))


if __name__ == "__main__":
    main()
