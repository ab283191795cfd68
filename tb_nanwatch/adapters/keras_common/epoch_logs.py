"""Logs of an epoch that are not finite, and where they come from: validation and metrics.

Neither is part of a training step, so that no record has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tb_nanwatch.adapters.keras_common.fit_call import argument_of_fit
from tb_nanwatch.adapters.keras_common.framework import framework_of
from tb_nanwatch.format.nonfinite_logs import NonfiniteLogs
from tb_nanwatch.stats.floats import holds_nonfinite
from tb_nanwatch.training.nonfinite import is_nonfinite

_MOST_BATCHES = 10_000
"""Of so many batches of a validation the logs are kept until its end: two tensors each."""

_MOST_ROWS = 8
"""So many rows of the validation data are named."""

_PARTS = ("x", "y", "sample_weight")


class EpochLogs:
    """Follows the logs of one model in one training."""

    def __init__(self, model: Any):
        self._model, self._framework = model, framework_of(model)
        # The model's own, and ours in its place.
        self._test_functions: tuple[Callable[..., Any], Callable[..., Any]] | None = None
        self._batches: list[Any] = []
        self._first_batch = -1
        self._known: set[tuple[str, ...]] = set()

    def on_test_begin(self) -> None:
        """Keeps what each batch's logs are, without looking at them: that would wait for the
        device."""
        self.restore()
        run, self._batches, self._first_batch = self._model.test_function, [], -1
        if run is None:
            return

        def test_function(iterator: Any) -> Any:
            logs = run(iterator)
            if len(self._batches) < _MOST_BATCHES:
                self._batches.append(logs)
            return logs

        self._test_functions = run, test_function
        self._model.test_function = test_function

    def on_test_end(self, logs: Mapping[str, Any]) -> None:
        """Finds the first batch with logs that are not finite, if the last one's are."""
        self.restore()
        if any(map(is_nonfinite, logs.values())):
            bad = [any(map(is_nonfinite, self._framework.flatten(each))) for each in self._batches]
            batches = self._framework.steps_per_execution(self._model)
            self._first_batch = bad.index(True) * batches if any(bad) else -1
        self._batches = []

    def restore(self) -> None:
        """Gives the model its own function back, unless another one has taken the place of ours."""
        if self._test_functions is not None:
            before, ours = self._test_functions
            if self._model.test_function is ours:
                self._model.test_function = before
            self._test_functions = None

    def on_epoch_end(self, step: int, logs: Mapping[str, Any]) -> NonfiniteLogs | None:
        """What is to be written; None for what is finite, or was said of an earlier epoch.

        Args:
          step: the last training step.
          logs: of the epoch, by name.
        """
        names = tuple(name for name, value in logs.items() if is_nonfinite(value))
        if not names or names in self._known:
            return None
        self._known.add(names)
        if not all(name.startswith("val_") for name in names):
            return NonfiniteLogs(step, names, in_validation=False)
        rows, bad = _validation_data(self._model)
        return NonfiniteLogs(step, names, True, self._first_batch, rows, bad)


def _validation_data(model: Any) -> tuple[int, dict[str, tuple[int, ...]]]:
    """How many rows of arrays `fit` was given to validate with, and those that are not finite.

    (-1, {}) for a dataset, which one cannot look into without taking from it.
    """
    data = argument_of_fit(model, "validation_data")
    if not isinstance(data, (tuple, list)) or not 1 <= len(data) <= len(_PARTS):
        return -1, {}
    rows = -1
    bad: dict[str, set[int]] = {}
    for part, value in zip(_PARTS, data, strict=False):
        for array in framework_of(model).flatten(value):
            if not isinstance(array, (np.ndarray, tf.Tensor)) or not array.ndim:
                continue
            values = np.asarray(array)
            rows = len(values)
            if holds_nonfinite(values.dtype):
                is_bad = ~np.isfinite(values).reshape(rows, -1).all(axis=1)
                bad.setdefault(part, set()).update(np.flatnonzero(is_bad)[:_MOST_ROWS].tolist())
    return rows, {part: tuple(sorted(found)) for part, found in bad.items() if found}
