"""All that a run recorded, as arrays: what a diagnosis reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.facts import UNKNOWN_MODEL, ModelFacts
from tb_nanwatch.format.nonfinite_logs import NonfiniteLogs
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.record import Matrix

Bins = tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]


def no_histogram(tensor: int, first: int, last: int) -> Bins:
    """Where no histogram is known."""
    return np.zeros(0, np.int64), np.zeros(0, np.int64)


@dataclass(frozen=True)
class Series:
    """Consecutive records of the same tensors.

    Attributes:
      rows: int64 [rows], index in `History.tensors` of each row, none twice.
      windows: float64 [records, len(WINDOW_FIELDS)], by ascending steps.
      columns: float64 [records, rows, len(COLUMNS)].
    """

    rows: npt.NDArray[np.int64]
    windows: Matrix
    columns: Matrix


@dataclass(frozen=True)
class History:
    """What one run recorded, as far as it could be read.

    Attributes:
      tensors: every tensor of the run, in model order within each role.
      workers: of each tensor, which worker or replica saw it; "" where there is only one.
      series: the records, by first step. Each call of `nanwatch.summary` makes series of its own,
        so that several may cover the same steps.
      initial: the state before the first step: its rows, one record each session.
      is_complete: whether every record that was written could be read.
      reruns: what running steps again has found, by step.
      nonfinite_logs: logs of epochs that are not finite, by step.
      model: what the framework knew of the model, as of the latest session.
      histogram: reads the exponent histogram of a tensor, by its index, over the records of the
        steps from the first to the last: int64 (codes, counts), as in `stats.histogram`, empty
        where none is known. Only read where a rule asks for it.
    """

    tensors: tuple[TensorInfo, ...]
    workers: tuple[str, ...]
    series: Sequence[Series]
    initial: Sequence[Series]
    is_complete: bool
    reruns: tuple[Rerun, ...] = ()
    nonfinite_logs: tuple[NonfiniteLogs, ...] = ()
    model: ModelFacts = UNKNOWN_MODEL
    histogram: Callable[[int, int, int], Bins] = no_histogram
