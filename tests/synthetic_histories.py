"""Histories of trainings that never ran: values by hand, statistics by the NumPy reference.

`history` gives what a recording of an imaginary network of four dense layers and a batch
normalization would be. `change` says what is different from a healthy step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.facts import (
    UNKNOWN_MODEL,
    LayerFacts,
    LossFacts,
    ModelFacts,
    OptimizerFacts,
)
from tb_nanwatch.format.history import Bins, History, Series
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.columns import COLUMN, COLUMNS, WINDOW_FIELD
from tb_nanwatch.stats.histogram import total_histogram
from tb_nanwatch.stats.record import empty_window, merge_columns
from tb_nanwatch.stats.reference import exponent_histogram, statistics

Key = tuple[str, str]
Values = dict[Key, npt.NDArray[Any]]
Change = Callable[[int, Values], None]

LAYERS = ("one", "two", "norm", "three", "four")
WEIGHTS = {layer: ("gamma", "beta") if layer == "norm" else ("kernel", "bias") for layer in LAYERS}
DEFAULT = ("input", "target", "prediction", "loss", "gradient", "weight")
ALL = (*DEFAULT, "activation", "activation_gradient", "slot", "update")
STATISTICS = (("weight", "norm/moving_mean"), ("weight", "norm/moving_variance"))
MODEL = ModelFacts(
    framework="keras",
    layers=tuple(
        LayerFacts(
            layer,
            "BatchNormalization" if layer == "norm" else "Dense",
            True,
            "" if layer in ("norm", "four") else "relu",
            LAYERS[max(0, place - 1) : place],
        )
        for place, layer in enumerate(LAYERS)
    ),
    losses=(LossFacts("", "MeanSquaredError", True),),
    optimizers=(OptimizerFacts("adam", "Adam", True, learning_rate=0.01, epsilon=1e-7),),
)
"""What the framework says of that network."""
_SAMPLED = [c.name for c in COLUMNS if c.name in (
    "sampled_steps", "sampled_elements", "sampled_finite", "zero", "subnormal", "min", "max", "sum"
)]  # fmt: skip


def healthy(step: int) -> Values:
    """What a step of a healthy training shows, in model order within each role; read-only."""
    return dict(_healthy(step))


@functools.cache
def _healthy(step: int) -> Values:
    rng = np.random.default_rng(step)

    def normal(*shape: int, scale: float = 1.0) -> npt.NDArray[Any]:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    names = [f"{layer}/{part}" for layer, parts in WEIGHTS.items() for part in parts]
    values: Values = {
        ("input", "input"): normal(8, 5),
        ("target", "target"): normal(8, 2),
        ("prediction", "prediction"): normal(8, 2),
        ("loss", "loss"): np.array(np.exp(-0.02 * step) + 0.05 * rng.random(), np.float32),
    }
    for layer in LAYERS:
        values["activation", layer] = normal(8, 5)
        values["activation_gradient", layer] = normal(8, 5, scale=0.1)
    for name in names:
        values["gradient", name] = normal(5, 4, scale=0.1)
        values["slot", f"adam/{name.replace('/', '_')}_velocity"] = normal(5, 4, scale=0.01) ** 2
        values["update", name] = normal(5, 4, scale=0.001)
        values["weight", name] = normal(5, 4)
    for key in STATISTICS:
        values[key] = np.abs(normal(5))
    for array in values.values():
        array.setflags(write=False)
    return values


@functools.cache
def _healthy_row(step: int, key: Key, dtype: str) -> npt.NDArray[np.float64]:
    return statistics(_healthy(step)[key].astype(dtype), step)


def layer_of(key: Key) -> str:
    """The layer of a tensor; "" for none."""
    role, name = key
    if role == "slot":
        return name.split("/")[1].split("_")[0]
    return name.split("/")[0] if role not in ("input", "target", "prediction", "loss") else ""


def _facts(key: Key) -> dict[str, Any]:
    """What the recorder knows of a tensor."""
    role, name = key
    if role == "target" and name == "sample_weight":
        return {"attribute": "sample_weight"}
    if role not in ("gradient", "weight"):
        return {}
    is_statistic = key in STATISTICS
    attribute = name.rpartition("/")[2]
    return {"attribute": attribute, "trainable": not is_statistic, "is_statistic": is_statistic}


def of_role(values: Values, *roles: str, layers: Collection[str] = LAYERS) -> list[Key]:
    """The tensors of these roles and, where they have one, of these layers."""
    return [key for key in values if key[0] in roles and layer_of(key) in ("", *layers)]


def poison(values: Values, *keys: Key, value: float = np.nan) -> None:
    """Puts one non-finite element into each of these tensors."""
    for key in keys:
        values[key] = np.array(values[key])
        values[key].reshape(-1)[0] = value


def ruin(values: Values, *roles: str) -> None:
    """NaN in everything of these roles; trained weights alone, of the weights."""
    poison(values, *(key for key in of_role(values, *roles) if key not in STATISTICS))


def aftermath(values: Values) -> None:
    """A step that found NaN weights: all but the data is NaN."""
    ruin(values, "activation", "prediction", "loss", "activation_gradient", "gradient", "slot")
    ruin(values, "update", "weight")


def history(
    change: Change = lambda step, values: None,
    *,
    steps: int = 40,
    every: int = 1,
    roles: Collection[str] = ALL,
    initial: Change | None = None,
    flush_at: Collection[int] = (),
    sample_every: int = 1,
    only_at: Mapping[str, Collection[int]] | None = None,
    loss_scale: Callable[[int], float] = lambda step: np.nan,
    skipped: Collection[int] = (),
    dtypes: Mapping[str, str] | None = None,
    make: Callable[[int], Values] = healthy,
    model: ModelFacts = MODEL,
) -> History:
    """A recording of `steps` steps.

    Args:
      change: takes the values of a healthy step, and puts in what is wrong.
      steps: how many.
      every: in a window.
      roles: that were recorded.
      initial: the same as `change` for the weights before step 0; None: not recorded.
      flush_at: steps that end a window early, as the recorder does where something changes.
      sample_every: of so many records one is sampled, and those that end early.
      only_at: roles that were looked at in some steps alone.
      loss_scale: at each step.
      skipped: steps that a loss-scaling optimizer refused.
      dtypes: of the roles that are not float32, by name.
      make: gives the values of a healthy step.
      model: what the framework said of it; where that is nothing, the tensors have no facts either.
    """
    keys = [key for key in make(0) if key[0] in roles]
    infos = []
    for role, name in keys:
        dtype = (dtypes or {}).get(role, "float32")
        shape = make(0)[role, name].shape
        info = TensorInfo(role, layer_of((role, name)), name, shape, dtype)
        if model is not UNKNOWN_MODEL:
            info = replace(info, **_facts((role, name)))
        infos.append(info)

    def rows(step: int, edit: Change, sampled: bool) -> npt.NDArray[np.float64]:
        values = make(step)
        edit(step, values)
        made = []
        for info, key in zip(infos, keys, strict=True):
            looked_at = only_at is None or step in only_at.get(info.role, range(steps))
            if values[key] is _healthy(step).get(key):  # Most are, and a row takes its time.
                row = _healthy_row(step, key, info.dtype).copy()
            else:
                row = statistics(values[key].astype(info.dtype), step)
            if not looked_at:
                row = np.array([column.empty for column in COLUMNS])
            elif step in skipped and row[COLUMN["nonfinite_steps"]]:
                row[COLUMN["nonfinite_steps"]] = 0
                row[COLUMN["scale_skipped_steps"]] = 1
                row[COLUMN["first_nonfinite_step"]] = row[COLUMN["last_nonfinite_step"]] = np.nan
            if not sampled:
                for name in _SAMPLED:
                    row[COLUMN[name]] = COLUMNS[COLUMN[name]].empty
            made.append(row)
        return np.array(made)

    windows, columns, first = [], [], 0
    for step in range(steps):
        if step < steps - 1 and step - first < every - 1 and step not in flush_at:
            continue
        within = range(first, step + 1)
        due = step in flush_at or len(windows) % sample_every == 0
        columns.append(merge_columns([rows(each, change, due and each == step) for each in within]))
        window = empty_window()
        window[WINDOW_FIELD["first_step"]], window[WINDOW_FIELD["last_step"]] = first, step
        window[WINDOW_FIELD["scale_skipped_steps"]] = sum(each in skipped for each in within)
        window[WINDOW_FIELD["loss_scale"]] = np.fmin.reduce([loss_scale(each) for each in within])
        windows.append(window)
        first = step + 1

    def histogram(tensor: int, first: int, last: int) -> Bins:
        parts = []
        for step in range(first, min(last, steps - 1) + 1):
            values = make(step)
            change(step, values)
            parts.append(exponent_histogram(values[keys[tensor]].astype(infos[tensor].dtype)))
        return total_histogram(parts)

    everything = np.arange(len(keys))
    before = []
    if initial is not None:
        window = empty_window()
        window[WINDOW_FIELD["first_step"]] = window[WINDOW_FIELD["last_step"]] = 0
        weights = np.array([index for index, key in enumerate(keys) if key[0] == "weight"])
        before = [Series(weights, window[None], rows(0, initial, True)[None, weights])]
    return History(
        tensors=tuple(infos),
        workers=("",) * len(infos),
        series=[Series(everything, np.array(windows), np.array(columns))] if windows else [],
        initial=before,
        is_complete=True,
        model=model,
        histogram=histogram,
    )
