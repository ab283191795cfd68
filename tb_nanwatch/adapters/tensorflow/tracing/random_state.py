"""Random numbers that are drawn from no variable: a rerun takes none away from the training."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tb_nanwatch.adapters.tensorflow.graph.function_patching import FunctionPatch, patch_functions
from tb_nanwatch.adapters.tensorflow.private_api import private

_seeds = random.Random("nanwatch")
"""Not a number, with which a training may seed TensorFlow: the seeds would be the same."""


@contextmanager
def restoring_random_state() -> Iterator[None]:
    """Has the block leave the global generators of Python, NumPy and TensorFlow as they were.

    TensorFlow keeps a counter of eager operations without a seed, and a state for each seed that
    such an operation was given. So the operations of the block get seeds that nobody else has, in
    this thread alone.
    """
    module = private("random_seed")
    patches = [] if module is None else [FunctionPatch(module, "get_seed", _with_own_seed)]
    # NumPy's old global generator, which training scripts draw from.
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with patch_functions(*patches):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def _with_own_seed(original: Callable[..., Any], op_seed: int | None) -> Any:
    return original(_seeds.randrange(2**31 - 1))
