"""Trains under each strategy with a fault of ours at each place, and compares with plain trainings.

A process of its own, because logical devices are made before TensorFlow begins:

    python tests/integration/faults_under_strategies.py LOG_DIR [--every-place]

Every third place is tried, each under another strategy in turn; with `--every-place` each place
under each strategy, which takes five minutes.
Prints what differs, and exits with 1 where anything does.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import keras
import numpy as np
import tensorflow as tf
from test_own_faults import BATCH, EVERYWHERE, GRAPH, INTO, LIVE, Gate, data, fail

import tb_nanwatch as nanwatch

distribute = tf.distribute
STRATEGIES: dict[str, Callable[[], Any]] = {
    "two mirrored": lambda: distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    "one mirrored": lambda: distribute.MirroredStrategy(["CPU:0"]),
    "one device": lambda: distribute.OneDeviceStrategy("CPU:1"),
    "central storage": lambda: distribute.experimental.CentralStorageStrategy(["CPU:0"], "CPU:0"),
    "a worker alone": distribute.MultiWorkerMirroredStrategy,
}
PLACES = EVERYWHERE + INTO + LIVE + GRAPH


def trained(strategy: Any, *callbacks: Any) -> list[np.ndarray]:
    keras.utils.set_random_seed(1)
    layers = [Gate(name="gate"), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
    with strategy.scope():
        model = keras.Sequential([keras.Input((6,)), *layers])
        model.compile(keras.optimizers.RMSprop(0.01), "mse")
        model.optimizer.build(model.trainable_variables)
    history = model.fit(
        *data(), batch_size=BATCH, shuffle=False, verbose=0, callbacks=list(callbacks)
    )
    state = [*model.variables, *model.optimizer.variables]
    return [*map(np.asarray, history.history.values()), *(each.numpy() for each in state)]


def trials(every_place: bool) -> Iterator[tuple[str, Any, str]]:
    if every_place:
        yield from ((name, *place) for name in STRATEGIES for place in PLACES)
    else:
        names = itertools.cycle(STRATEGIES)
        yield from ((next(names), *place) for place in PLACES[::3])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log_dir")
    parser.add_argument("--every-place", action="store_true")
    options = parser.parse_args()
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategies = {name: make() for name, make in STRATEGIES.items()}
    plain = {name: trained(strategy) for name, strategy in strategies.items()}
    wrong = 0
    for number, (name, owner, attribute) in enumerate(trials(options.every_place)):
        callback = nanwatch.Callback(f"{options.log_dir}/{number}", every=1)
        try:
            with mock.patch.object(owner, attribute, fail), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                watched = trained(strategies[name], callback)
            for mine, theirs in zip(watched, plain[name], strict=True):
                np.testing.assert_array_equal(mine, theirs)
        except Exception:
            wrong += 1
            print(f"{name}, {owner.__name__}.{attribute}:\n{traceback.format_exc()}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
