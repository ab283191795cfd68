"""The reduction that looks at every tensor in every step, beside `tf.reduce_sum` of the same bytes.

    python tests/bench/reduction.py

Bandwidth as a ratio: 1.0 is as fast as TensorFlow's own sum. Interleaved; the best of many calls of
each, less the best of a function that reads a single element.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.statistics.kernels import sums_of_squares

CALLS = 300


def best(functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Seconds of the quickest call of each."""
    seconds = dict.fromkeys(functions, float("inf"))
    for function in functions.values():
        function()
    for _ in range(CALLS):
        for name, function in functions.items():
            began = time.perf_counter()
            function()
            seconds[name] = min(seconds[name], time.perf_counter() - began)
    return seconds


def _run(function: Callable[[tf.Tensor], tf.Tensor], values: tf.Tensor) -> None:
    function(values).numpy()


def main() -> None:
    print(f"{'MiB':>5} {'mode':6} {'sum GB/s':>9} {'ours GB/s':>10} {'ratio':>6}")
    for mebibytes in (1, 4, 16, 64):
        size = mebibytes * 2**20
        values = tf.constant(np.random.default_rng(0).normal(size=size // 4).astype(np.float32))
        for mode, jit in (("graph", False), ("XLA", True)):
            bodies: dict[str, Callable[[tf.Tensor], tf.Tensor]] = {
                "nothing": lambda x: x[0],
                "sum": tf.reduce_sum,
                "ours": lambda x: sums_of_squares([x]),
            }
            traced = {name: tf.function(body, jit_compile=jit) for name, body in bodies.items()}
            seconds = best({n: partial(_run, f, values) for n, f in traced.items()})
            rates = {n: size / (seconds[n] - seconds["nothing"]) / 1e9 for n in ("sum", "ours")}
            ratio = rates["ours"] / rates["sum"]
            print(f"{mebibytes:5} {mode:6} {rates['sum']:9.1f} {rates['ours']:10.1f} {ratio:6.2f}")


if __name__ == "__main__":
    main()
