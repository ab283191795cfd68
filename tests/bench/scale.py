"""What grows: an embedding, many variables, steps, requests, the elements of a tensor.

    python tests/bench/scale.py embedding [--rows 10000000]
    python tests/bench/scale.py variables [--count 3000] [--plain]
    python tests/bench/scale.py steps [--count 100000]
    python tests/bench/scale.py requests [--count 100000] [--seed 0]
    python tests/bench/scale.py elements [--count 2147483651] [--dtype float32]

tests/bench/README.md has the results.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2])]

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from long_logs import write_session  # noqa: E402
from provider import Provider  # noqa: E402
from werkzeug.test import Client  # noqa: E402

import tb_nanwatch as nanwatch  # noqa: E402
from tb_nanwatch import http  # noqa: E402
from tb_nanwatch.adapters.tensorflow.statistics.accumulator import Accumulator  # noqa: E402
from tb_nanwatch.adapters.tensorflow.statistics.device_state import DeviceStepState  # noqa: E402
from tb_nanwatch.grid import AXES  # noqa: E402
from tb_nanwatch.stats.columns import COLUMN_NAMES  # noqa: E402
from tb_nanwatch.stats.statistics import STATISTIC  # noqa: E402

WHAT = ("embedding", "variables", "steps", "requests", "elements")


class _Times(keras.callbacks.Callback):
    """Clock and processor time at the beginning of each step; calls `look` with its number."""

    def __init__(self, look: Callable[[int], None] = lambda step: None):
        super().__init__()
        self._look = look
        self.begins: list[tuple[float, float]] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.begins.append((time.perf_counter(), time.process_time()))
        self._look(batch)

    def cost(self) -> np.ndarray:
        """Milliseconds a step, float64 [2]: on the clock, and of the processor."""
        times = np.array(self.begins)
        return 1e3 * (times[-1] - times[0]) / (len(times) - 1)


def _fit(model: keras.Model, x: Any, steps: int, *callbacks: Any) -> None:
    data = tf.data.Dataset.from_tensors((x, np.zeros((len(x), 1), np.float32))).repeat()
    model.fit(data, steps_per_epoch=steps, verbose=0, callbacks=list(callbacks))


def _compiled(layers: list[Any], optimizer: Any) -> keras.Model:
    model = keras.Sequential(layers)
    model.compile(optimizer, "mse", jit_compile=False)
    return model


def embedding(rows: int) -> None:
    """Two plain trainings and a watched one in turn: medians and quartiles of the ratios."""
    ids = np.random.default_rng(0).integers(0, rows, (64, 8))
    names = ("plain", "plain again", "watched")
    with tempfile.TemporaryDirectory() as folder:
        runs: list[tuple[keras.Model, list[Any]]] = []
        for name in names:
            layers = [keras.Input((8,), dtype="int32"), keras.layers.Embedding(rows, 2)]
            layers += [keras.layers.Flatten(), keras.layers.Dense(1)]
            watch = [nanwatch.Callback(folder)] if name == "watched" else []
            runs.append((_compiled(layers, keras.optimizers.Adam(1e-3)), watch))
            _fit(runs[-1][0], ids, 20, *watch)
        costs = np.zeros((7, len(names), 2))
        for costs_of_round in costs:
            for number, (model, watch) in enumerate(runs):
                times = _Times()
                _fit(model, ids, 17, times, *watch)
                costs_of_round[number] = times.cost()
    for number, name in enumerate(names):
        quartiles = np.percentile(costs[:, number] / costs[:, 0], [25, 50, 75], axis=0)
        for kind, what in enumerate(("clock", "processor")):
            low, middle, high = quartiles[:, kind]
            mean = np.median(costs[:, number, kind])
            print(f"{name:12} {what:9} {mean:7.1f} ms  {middle:.3f} ({low:.3f} - {high:.3f})")


def variables(count: int, plain: bool) -> None:
    """Processor time of the first step, and of a later one: of dense layers side by side."""
    inputs = keras.Input((8,))
    outputs = [keras.layers.Dense(8, "tanh")(inputs) for _ in range(count // 2)]
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Add()(outputs)))
    model.compile(keras.optimizers.SGD(1e-4), "mse", jit_compile=False)
    x = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        watch = [] if plain else [nanwatch.Callback(folder)]
        begin = time.process_time()
        _fit(model, x, 1, *watch)
        print(f"first step {time.process_time() - begin:.1f} s")
        times = _Times()
        _fit(model, x, 60, times, *watch)
        print(f"step {times.cost()[1]:.1f} ms")


def steps(count: int) -> None:
    """Memory and the size of the log, of a record a step."""
    x = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    layers = [keras.Input((8,)), keras.layers.Dense(16, "relu"), keras.layers.Dense(1)]
    began = time.process_time()
    with tempfile.TemporaryDirectory() as folder:

        def look(step: int) -> None:
            if step and step % (count // 10) == 0:
                size = sum(file.stat().st_size for file in Path(folder).rglob("*tfevents*"))
                spent = time.process_time() - began
                print(
                    f"{step:9,} steps: {_memory():.0f} MiB resident, {size / 2**20:.1f} MiB of "
                    f"log, {spent:.0f} s of the processor",
                    flush=True,
                )

        model = _compiled(layers, keras.optimizers.Adam(1e-3))
        _fit(model, x, count + 1, nanwatch.Callback(folder, every=1), _Times(look))


def elements(count: int, dtype: str) -> None:
    """Exact counts of one tensor, in a step that XLA does not compile, and the memory they take."""
    kind = np.dtype(tf.as_dtype(dtype).as_numpy_dtype)
    memory = np.empty(count * kind.itemsize + 64, np.uint8)
    start = -memory.ctypes.data % 64  # TensorFlow wants it aligned.
    values = memory[start : start + count * kind.itemsize].view(kind)
    values[:] = 1
    planted = {"nan": (0, count - 1), "pos_inf": (count // 2, count - 2), "neg_inf": (count // 3,)}
    for name, places in planted.items():
        values[list(places)] = {"nan": np.nan, "pos_inf": np.inf, "neg_inf": -np.inf}[name]
    values[: count // 4 : 7][1:] = 0
    # Shares the array's memory; NumPy hands over no bfloat16.
    integers = values.view(f"int{8 * kind.itemsize}")
    tensor = tf.bitcast(tf.experimental.dlpack.from_dlpack(integers.__dlpack__()), dtype)
    Path("/proc/self/clear_refs").write_text("5")  # Forgets the peak so far.
    before = _memory()
    step_state = DeviceStepState()
    accumulator = Accumulator(step_state, [tensor.dtype], [False], [False])
    began = time.process_time()
    tf.function(lambda: accumulator.add([tensor]))()
    spent = time.process_time() - began
    columns, histograms = accumulator.read_and_reset(step_state.counters())
    row = dict(zip(COLUMN_NAMES, columns[0], strict=True))
    assert histograms is not None
    for name, places in planted.items():
        print(f"{name:12} {row[name]:16,.0f}   expected {len(places):16,}")
    print(f"{'elements':12} {row['elements']:16,.0f}   expected {count:16,}")
    print(f"{'zero':12} {row['zero']:16,.0f}   expected {len(range(0, count // 4, 7)) - 1:16,}")
    others = count - len(range(0, count // 4, 7)) + 1 - sum(map(len, planted.values()))
    print(f"{'in bins':12} {histograms.tensor(0)[1].sum():16,}   expected {others:16,}")
    print(f"{spent:.0f} s of the processor; at the peak {_memory('VmHWM') - before:,.0f} MiB more")


HOSTILE = (
    "",
    "0",
    "-1",
    "nan",
    "1e9",
    "9" * 400,
    "\0",
    "\u202e'<b>",
    "../..",
    "%",
    "٣",
    "[]",
    "null",
)
"""Values of any parameter, most of which none takes."""


def requests(count: int, seed: int) -> None:
    """Memory while all routes are asked in process, and the statuses of the answers."""
    with tempfile.TemporaryDirectory() as folder:
        for number in range(3):
            logs = Path(folder, f"run{number}", "nanwatch")
            logs.mkdir(parents=True)
            write_session(logs, f"0{number}", 300, bad=[150])
        apps = http.apps(Provider(Path(folder)))
        random = np.random.default_rng(seed)
        asked = Client(apps["/run"]).get("/run", query_string={"run": "run0"})
        tensors = [tensor["id"] for tensor in json.loads(asked.text)["tensors"]]
        seen: dict[int, int] = {}
        slowest = 0.0
        for number in range(count):
            route, query = _request(random, tensors)
            begin = time.perf_counter()
            answer = Client(apps[route]).get(route, query_string=query)
            slowest = max(slowest, time.perf_counter() - begin)
            seen[answer.status_code] = seen.get(answer.status_code, 0) + 1
            if answer.status_code not in (200, 400, 404) or not answer.data:
                print(f"{route} {query}: {answer.status_code} {answer.text}")
            if (number + 1) % max(1, count // 10) == 0:
                print(
                    f"{number + 1:9,} requests: {_memory():.0f} MiB resident, {seen}, "
                    f"{1e3 * slowest:.0f} ms at the most, {time.process_time():.0f} s of processor",
                    flush=True,
                )


def _request(random: np.random.Generator, tensors: list[str]) -> tuple[str, dict[str, str]]:
    """A route and its query: one in three has a value that is hostile or a parameter missing."""
    routes = ("runs", "run", "findings", "layers", "compare", "grid", "cell", "spectrogram")
    first, last = np.sort(random.integers(-50, 350, 2)).tolist()
    query = {
        "run": f"run{random.integers(4)}",  # One of the four is unknown.
        "with": f"run{random.integers(3)}",
        "tensor": str(random.choice([*tensors, "0" * 12])),
        "statistic": str(random.choice(list(STATISTIC))),
        "axis": str(random.choice(AXES)),
        "columns": str(random.integers(1, 600)),
        "first": str(first),
        "last": str(last),
        "tolerance": f"{random.random():.3f}",
        "role": "gradient",
    }
    if random.random() < 1 / 3:
        name = str(random.choice(list(query)))
        query[name] = str(random.choice(HOSTILE))
        del query[str(random.choice(list(query)))]
    return "/" + str(random.choice(routes)), query


def _memory(field: str = "VmRSS") -> float:
    """MiB of this process that are in memory: now, or with "VmHWM" at the peak."""
    status = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in status if line.startswith(field)).split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=WHAT)
    parser.add_argument("--rows", type=int, default=10_000_000, help="of the embedding")
    parser.add_argument("--count", type=int, help="of variables, steps, requests or elements")
    parser.add_argument("--seed", type=int, default=0, help="of the requests")
    parser.add_argument("--dtype", default="float32", help="of the elements")
    parser.add_argument("--plain", action="store_true", help="the variables unwatched")
    arguments = parser.parse_args()
    if arguments.what == "embedding":
        embedding(arguments.rows)
    elif arguments.what == "variables":
        variables(arguments.count or 3000, arguments.plain)
    elif arguments.what == "steps":
        steps(arguments.count or 100_000)
    elif arguments.what == "elements":
        elements(arguments.count or 2**31 + 3, arguments.dtype)
    else:
        requests(arguments.count or 100_000, arguments.seed)


if __name__ == "__main__":
    main()
