"""A private name of TensorFlow that a release moves costs what needs it, and no training."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
ADAPTERS = REPOSITORY / "tb_nanwatch" / "adapters"
TABLE = ADAPTERS / "tensorflow" / "private_api.py"

NAMES = sorted(
    re.findall(r'^    "(\w+)": \($|^    "(\w+)": \("tensorflow', TABLE.read_text(), re.M)
)
KEYS = [one or other for one, other in NAMES]

IMPORTED = r"^\s*(?:from|import) (?:tensorflow\.(?:python|compiler)|keras\.src)\S*"

FITS = """
import sys
import warnings
from pathlib import Path
import keras
import numpy as np
import tensorflow as tf
import tb_nanwatch as nanwatch
from tb_nanwatch.adapters.tensorflow import private_api

found = private_api._found

def without(path):
    if path in gone:
        raise AttributeError(path)
    return found(path)

private_api._found = without
x = np.random.default_rng(0).uniform(0.1, 1, (48, 4)).astype("float32")
x[18, 2] = 0
y = x.sum(axis=1, keepdims=True)

class Gate(keras.layers.Layer):
    def call(self, x):
        return tf.math.log(x)

def trained(callbacks, **options):
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,)), Gate(), keras.layers.Dense(1)])
    model.compile(keras.optimizers.RMSprop(0.01), "mse", **options)
    model.fit(x, y, batch_size=8, shuffle=False, verbose=0, callbacks=callbacks)
    state = [*model.variables, *model.optimizer.variables, *model.metrics_variables]
    return [np.asarray(each) for each in state]

gone = set()
plain = {}
for mode in ({}, {"run_eagerly": True}):
    plain[len(mode)] = trained([], **mode)
for key in sys.argv[2:]:
    gone = {private_api.NAMES[key][0]}
    for mode in ({}, {"run_eagerly": True}):
        private_api.private.cache_clear()
        tf.keras.backend.clear_session()
        folder = Path(sys.argv[1]) / f"{key}{len(mode)}"
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            watched = trained([nanwatch.Callback(folder, every=1)], **mode)
        for mine, theirs in zip(watched, plain[len(mode)], strict=True):
            np.testing.assert_array_equal(mine, theirs, err_msg=key)
        events = list((folder / "nanwatch").glob("events*"))
        ours = [str(each.message) for each in said if "NaNWatch" in str(each.message)]
        print(key, len(mode), len(events), ours)
        assert events and events[0].stat().st_size > 5000, key
        assert all(private_api.NAMES[key][0] in each or "not analyzed" in each for each in ours)
"""


def test_all_private_modules_are_named_in_one_place() -> None:
    for file in ADAPTERS.rglob("*.py"):
        if file != TABLE:
            found = re.findall(
                r"^\s*(?:from|import) (?:tensorflow\.(?:python|compiler)|keras\.src)\S*",
                file.read_text(),
                re.M,
            )
            assert not found, f"{file.name}: {found}"


@pytest.mark.parametrize("part", range(2))
def test_without_any_one_of_them_a_fit_is_recorded(tmp_path: Path, part: int) -> None:
    assert len(KEYS) > 15
    command = [sys.executable, "-c", FITS, str(tmp_path), *KEYS[part::2]]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
