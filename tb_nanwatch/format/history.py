"""All that a run recorded, as arrays: what a diagnosis reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tb_nanwatch.format.facts import UNKNOWN_MODEL, ModelFacts
from tb_nanwatch.format.rerun import Rerun
from tb_nanwatch.format.tensor_info import TensorInfo
from tb_nanwatch.stats.record import Matrix


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
      model: what the framework knew of the model, as of the latest session.
    """

    tensors: tuple[TensorInfo, ...]
    workers: tuple[str, ...]
    series: Sequence[Series]
    initial: Sequence[Series]
    is_complete: bool
    reruns: tuple[Rerun, ...] = ()
    model: ModelFacts = UNKNOWN_MODEL
