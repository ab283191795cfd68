"""Trains under each strategy with a fault of ours at each place, and compares with plain trainings.

A process of its own, because logical devices are made before TensorFlow begins:

    python tests/integration/faults_under_strategies.py LOG_DIR [--every-combination]

Every third place is tried, each under another strategy and in another mode in turn; with
`--every-combination` each place under each strategy in each mode, which takes a quarter of an hour.
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
from test_own_faults import BATCH, MODES, PLACES, Gate, assert_same, data, fail

import tb_nanwatch as nanwatch

distribute = tf.distribute
STRATEGIES: dict[str, Callable[[], Any]] = {
    "two mirrored": lambda: distribute.MirroredStrategy(["CPU:0", "CPU:1"]),
    "one mirrored": lambda: distribute.MirroredStrategy(["CPU:0"]),
    "one device": lambda: distribute.OneDeviceStrategy("CPU:1"),
    "central storage": lambda: distribute.experimental.CentralStorageStrategy(["CPU:0"], "CPU:0"),
    "a worker alone": distribute.MultiWorkerMirroredStrategy,
}
TRAINING = [
    (name, mode)
    for name, mode in itertools.product(STRATEGIES, MODES)
    # TensorFlow itself compiles a step neither of several replicas on a CPU nor for a second one.
    if mode != "xla" or name not in ("two mirrored", "one device")
]


def trained(strategy: Any, mode: str, *callbacks: Any) -> list[np.ndarray]:
    keras.utils.set_random_seed(1)
    layers = [Gate(name="gate"), keras.layers.BatchNormalization(), keras.layers.Dense(1)]
    with strategy.scope():
        model = keras.Sequential([keras.Input((6,)), *layers])
        model.compile(keras.optimizers.RMSprop(0.01), "mse", **MODES[mode])
        model.optimizer.build(model.trainable_variables)
    history = model.fit(
        *data(), batch_size=BATCH, shuffle=False, verbose=0, callbacks=list(callbacks)
    )
    state = [*model.variables, *model.optimizer.variables]
    return [*map(np.asarray, history.history.values()), *(each.numpy() for each in state)]


def trials(every: bool) -> Iterator[tuple[str, str, Any, str]]:
    """Strategy, mode, and the place of the fault: the owner of a method, and its name."""
    if every:
        yield from ((*how, *place) for how in TRAINING for place in PLACES[how[1]])
        return
    places = {mode: itertools.cycle(PLACES[mode][::3]) for mode in MODES}
    for name, mode in TRAINING:
        yield name, mode, *next(places[mode])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log_dir")
    parser.add_argument("--every-combination", action="store_true")
    options = parser.parse_args()
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategies = {name: make() for name, make in STRATEGIES.items()}
    plain = {how: trained(strategies[how[0]], how[1]) for how in TRAINING}
    wrong = 0
    for number, (name, mode, owner, attribute) in enumerate(trials(options.every_combination)):
        callback = nanwatch.Callback(f"{options.log_dir}/{number}", every=1)
        try:
            with mock.patch.object(owner, attribute, fail), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                watched = trained(strategies[name], mode, callback)
            assert_same(mode, watched, plain[name, mode])
        except Exception:
            wrong += 1
            print(f"{name}, {mode}, {owner.__name__}.{attribute}:\n{traceback.format_exc()}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
