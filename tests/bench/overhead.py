"""Step time with NaNWatch over without, and with its peers: ratios, interleaved in one run.

    python tests/bench/overhead.py [--model NAME] [--jit] [--rounds N] [--roles] [--peers]

Each variant trains the same model on the same batch. Rounds go over all variants in turn, so that a
noisy machine disturbs all alike; a round's ratio is to the plain step of the same round, and the
median over the rounds is printed with its quartiles; so is the ratio of the processor time, which
other work on the machine disturbs less. Variants that change TensorFlow for the whole
process (Debugger V2, check_numerics) run in processes of their own, beside a plain step there.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

import tb_nanwatch as nanwatch

PROCESS_WIDE = ("check_numerics", "debugger_v2_curt", "debugger_v2_full")


Model = tuple[keras.Model, np.ndarray, np.ndarray]


def _images(size: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(batch, size, size, 3)).astype("float32")
    return pixels, rng.integers(0, 10, batch)


def _rows(batch: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(batch, *shape)).astype("float32"), rng.integers(0, 10, batch)


def mlp() -> Model:
    """0.4 M parameters, about 4 ms a step."""
    layers = [keras.layers.Dense(width, "relu") for width in (256, 512, 256, 128)]
    model = keras.Sequential([keras.Input((256,)), *layers, keras.layers.Dense(10)])
    return model, *_rows(128, 256)


def wide() -> Model:
    """Four layers of 2,048 units, 17 M parameters."""
    layers = [keras.layers.Dense(2048, "relu") for _ in range(4)]
    model = keras.Sequential([keras.Input((2048,)), *layers, keras.layers.Dense(10)])
    return model, *_rows(64, 2048)


def mobilenet() -> Model:
    """MobileNetV2 at 96 px, batch 16."""
    model = keras.applications.MobileNetV2(
        (96, 96, 3), weights=None, classes=10, classifier_activation=None
    )
    return model, *_images(96, 16)


def inception() -> Model:
    """InceptionV3 at 139 px, batch 8."""
    model = keras.applications.InceptionV3(
        input_shape=(139, 139, 3), weights=None, classes=10, classifier_activation=None
    )
    return model, *_images(139, 8)


def transformer() -> Model:
    """Four blocks of 4 heads and 128 units over 64 places, batch 16."""
    x = inputs = keras.Input((64, 128))
    for _ in range(4):
        attended = keras.layers.MultiHeadAttention(4, 32)(x, x)
        x = keras.layers.LayerNormalization()(x + attended)
        hidden = keras.layers.Dense(512, "gelu")(x)
        x = keras.layers.LayerNormalization()(x + keras.layers.Dense(128)(hidden))
    outputs = keras.layers.Dense(10)(keras.layers.GlobalAveragePooling1D()(x))
    return keras.Model(inputs, outputs), *_rows(16, 64, 128)


def lstm() -> Model:
    """Two LSTMs of 128 units over 40 places, batch 32."""
    layers = [keras.layers.LSTM(128, return_sequences=True), keras.layers.LSTM(128)]
    model = keras.Sequential([keras.Input((40, 64)), *layers, keras.layers.Dense(10)])
    return model, *_rows(32, 40, 64)


MODELS = {
    "mlp": mlp,
    "wide": wide,
    "mobilenet": mobilenet,
    "inception": inception,
    "transformer": transformer,
    "lstm": lstm,
}
STEPS = {"mlp": 65, "lstm": 33, "transformer": 33}
"""Steps a round and variant; 17 of the others."""

OPTIONS: dict[str, dict[str, Any]] = {
    "nanwatch": {},
    "nanwatch_no_rerun": {"blackbox": "off"},
    "nanwatch_every_1": {"every": 1},
    "nanwatch_gradients_every_1": {"every": 1, "watch": "gradient", "blackbox": "off"},
    "nanwatch_skip": {"on_nonfinite": "skip"},
    **{
        f"nanwatch_{role}": {"watch": ["default", role]}
        for role in ("activation", "activation_gradient", "slot", "update")
    },
    "nanwatch_all": {"watch": "all"},
}
"""Variants with a Callback, and how they make it."""

USUAL = ("nanwatch", "nanwatch_no_rerun", "nanwatch_every_1", "nanwatch_gradients_every_1")
"""Those that are measured where nothing else is asked for."""


class Cost(NamedTuple):
    """Seconds a step: on the clock, and of the process on all cores."""

    wall: float
    cpu: float


class _StepTimes(keras.callbacks.Callback):
    """When each step begins: from one to the next lie the step and all callbacks between.

    Attributes:
      ended: when the last step had ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self._begins: list[tuple[float, float]] = []
        self.ended = 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._begins.append((time.perf_counter(), time.process_time()))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.ended = time.perf_counter()

    def cost(self) -> Cost:
        """The mean of the steps but the last."""
        between = max(1, len(self._begins) - 1)
        pairs = zip(self._begins[0], self._begins[-1], strict=True)
        return Cost(*((last - first) / between for first, last in pairs))


class Variant:
    """One way to train the model: compiled and traced once, run a few steps at a time."""

    def __init__(self, name: str, model_name: str, jit: bool, log_dir: str):
        keras.utils.set_random_seed(0)
        self.name = name
        self._log_dir = log_dir
        self._model, x, y = MODELS[model_name]()
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if name.startswith("step_"):
            _with_step(self._model, name)
        self._model.compile(keras.optimizers.Adam(1e-4), loss, jit_compile=jit)
        self._data = tf.data.Dataset.from_tensors((x, y)).repeat()
        self._callbacks: list[keras.callbacks.Callback] = []
        if name in OPTIONS:
            self._callbacks = [nanwatch.Callback(os.path.join(log_dir, name), **OPTIONS[name])]
        start = time.perf_counter()
        # Without what `fit` does then: tf.data may wait for seconds to end a thread of its own.
        self.first_step = self._fit(1).ended - start

    def run(self, steps: int) -> Cost:
        """Trains `steps` steps and gives their mean cost."""
        return self._fit(steps).cost()

    def _fit(self, steps: int) -> _StepTimes:
        times = _StepTimes()
        self._model.fit(
            self._data,
            steps_per_epoch=steps,
            epochs=1,
            verbose=0,
            callbacks=[times, *self._callbacks],
        )
        return times


def _with_step(model: keras.Model, name: str) -> None:
    """Gives the model what people write by hand: something of each gradient at every step."""
    writer = tf.summary.create_file_writer(tempfile.mkdtemp())

    def watch(gradients: list[tf.Tensor], variables: list[Any], step: tf.Tensor) -> None:
        if name == "step_histogram":
            with writer.as_default():
                for gradient, variable in zip(gradients, variables, strict=True):
                    tf.summary.histogram(variable.path, gradient, step=step)
        elif name == "step_any_nan":
            bad = [tf.reduce_any(tf.math.is_nan(gradient)) for gradient in gradients]
            counter.assign_add(tf.cast(tf.reduce_any(tf.stack(bad)), tf.int64))

    counter = tf.Variable(0, dtype=tf.int64)

    def train_step(data: Any) -> dict[str, Any]:
        x, y = data
        with tf.GradientTape() as tape:
            predictions = model(x, training=True)
            loss = model.compute_loss(x, y, predictions)
        variables = model.trainable_variables
        gradients = tape.gradient(loss, variables)
        watch(gradients, variables, tf.cast(model.optimizer.iterations, tf.int64))
        model.optimizer.apply_gradients(zip(gradients, variables, strict=True))
        return {"loss": loss}

    vars(model)["train_step"] = train_step


def measure(names: list[str], model: str, jit: bool, rounds: int, steps: int) -> dict[str, Any]:
    """Interleaved medians: {variant: {ratio, quartiles, cpu_ratio, ms, first_step, bytes}}."""
    with tempfile.TemporaryDirectory() as log_dir:
        variants = [Variant(name, model, jit, log_dir) for name in names]
        for variant in variants:
            variant.run(steps)
        costs: dict[str, list[Cost]] = {name: [] for name in names}
        for _ in _progress(rounds):
            for variant in variants:
                costs[variant.name].append(variant.run(steps))
        result = {}
        for variant in variants:
            pairs = list(zip(costs[variant.name], costs[names[0]], strict=True))
            ratios = [mine.wall / plain.wall for mine, plain in pairs]
            result[variant.name] = {
                "ratio": statistics.median(ratios),
                "quartiles": statistics.quantiles(ratios, n=4) if len(ratios) > 1 else ratios * 3,
                "cpu_ratio": statistics.median(mine.cpu / plain.cpu for mine, plain in pairs),
                "ms": 1e3 * statistics.median(mine.wall for mine, _ in pairs),
                "first_step_s": variant.first_step,
                **_bytes(os.path.join(log_dir, variant.name, "nanwatch")),
            }
        return result


def _bytes(directory: str) -> dict[str, float]:
    """Bytes a tensor and record of what was written, statistics and histograms apart."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    from tb_nanwatch.format.tags import parse_tag

    sizes: dict[str, list[float]] = {"stats": [], "hist": []}
    rows = 0
    for file in glob.glob(os.path.join(directory, "*")):
        for event in EventFileLoader(file).Load():
            values = list(event.summary.value)
            kinds = {parse_tag(value.tag).kind: value for value in values}
            if "stats" in kinds:
                rows = kinds["stats"].tensor.tensor_shape.dim[0].size - 1
                for kind, value in kinds.items():
                    if kind in sizes:
                        sizes[kind].append(value.ByteSize() / rows)
    return {
        f"{kind}_bytes": statistics.median(values) for kind, values in sizes.items() if values
    } | ({"tensors": rows} if rows else {})


def _progress(rounds: int) -> Iterator[int]:
    for number in range(rounds):
        if sys.stderr.isatty():
            print(f"\rround {number + 1}/{rounds}", end="", file=sys.stderr, flush=True)
        yield number
    if sys.stderr.isatty():
        print(file=sys.stderr)


def _in_own_process(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures a process-wide variant against a plain process of the same length, alternating."""
    ratios = []
    for _ in range(2):
        times = {}
        for variant in ("plain", name):
            command = [sys.executable, __file__, "--model", arguments.model, "--only", variant]
            command += ["--steps", "20"] + ["--jit"] * arguments.jit
            output = subprocess.run(command, capture_output=True, text=True, check=False)
            if output.returncode:
                return {"error": output.stderr.strip().splitlines()[-1][:100]}
            times[variant] = json.loads(output.stdout.splitlines()[-1])
        ratios.append(times[name] / times["plain"])
    return {
        "ratio": statistics.mean(ratios),
        "quartiles": [min(ratios), 0.0, max(ratios)],
        "ms": 1e3 * times[name],
    }


def _peak_memory(name: str, arguments: argparse.Namespace) -> int:
    """Bytes resident at the peak of a process of its own that trains so many steps."""
    command = [sys.executable, __file__, "--model", arguments.model, "--only", name, "--memory"]
    command += ["--steps", str(arguments.steps)] + ["--jit"] * arguments.jit
    output = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(output.stdout.splitlines()[-1])


def _only(name: str, arguments: argparse.Namespace) -> None:
    if name == "check_numerics":
        tf.debugging.enable_check_numerics()
    elif name.startswith("debugger_v2"):
        mode = {"curt": "CURT_HEALTH", "full": "FULL_HEALTH"}[name.rpartition("_")[2]]
        tf.debugging.experimental.enable_dump_debug_info(
            tempfile.mkdtemp(), tensor_debug_mode=mode, circular_buffer_size=1000
        )
    with tempfile.TemporaryDirectory() as log_dir:
        known = name if name in OPTIONS else "plain"
        variant = Variant(known, arguments.model, arguments.jit, log_dir)
        variant.run(arguments.steps)
        if arguments.memory:
            print(1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
            return
        print(json.dumps(statistics.median(variant.run(arguments.steps).wall for _ in range(3))))


def _table(results: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{'variant':27} {'ratio':>7}  {'quartiles':15} {'cpu':>6} "
        f"{'ms/step':>8} {'first s':>8}  bytes"
    )
    for name, result in results.items():
        if "error" in result:
            yield f"{name:27} {result['error']}"
            continue
        low, _, high = result["quartiles"]
        sizes = ""
        if "stats_bytes" in result:
            sizes = (
                f"{result['stats_bytes']:.0f} + {result.get('hist_bytes', 0):.0f} "
                f"a tensor and record, {result['tensors']} tensors"
            )
        yield (
            f"{name:27} {result['ratio']:7.3f}  {low:6.3f} - {high:6.3f} "
            f"{result.get('cpu_ratio', float('nan')):6.3f} {result['ms']:8.2f} "
            f"{result.get('first_step_s', float('nan')):8.1f}  {sizes}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="mlp")
    parser.add_argument("--jit", action="store_true", help="compile the step with XLA")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=None, help="steps a round and variant")
    parser.add_argument("--roles", action="store_true", help="measure each role apart, too")
    parser.add_argument("--memory", action="store_true", help="measure peak memory, and no time")
    parser.add_argument("--peers", action="store_true", help="measure what people use instead, too")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    arguments.steps = arguments.steps or STEPS.get(arguments.model, 17)
    if arguments.only:
        _only(arguments.only, arguments)
        return
    if arguments.memory:
        for name in ("plain", "nanwatch", "nanwatch_all"):
            print(f"{name:20} {_peak_memory(name, arguments) / 2**20:8.0f} MiB at the peak")
        return
    names = [
        "plain",
        *(OPTIONS if arguments.roles else USUAL),
    ]
    if arguments.peers:
        names.append("step_any_nan")
        if not arguments.jit:  # tf.summary does not compile
            names.append("step_histogram")
    results = measure(names, arguments.model, arguments.jit, arguments.rounds, arguments.steps)
    if arguments.peers:
        for name in PROCESS_WIDE:
            results[name] = _in_own_process(name, arguments)
    print(f"{arguments.model}, {'XLA' if arguments.jit else 'graph'}, {os.cpu_count()} cores")
    for line in _table(results):
        print(line)


if __name__ == "__main__":
    main()
