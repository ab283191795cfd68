"""Which tensor is the first non-finite one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from tb_nanwatch.diagnosis.first_nonfinite import FirstNonfinite, first_nonfinite, status
from tb_nanwatch.format.tensor_info import TensorInfo

NAN = np.nan


def first(
    roles: Sequence[str], steps: Sequence[float], initial: Sequence[int] = ()
) -> FirstNonfinite | None:
    """With counts that name the tensor: tensor i has i NaN, 10 i +Inf and 100 i -Inf."""
    counts = np.outer(np.arange(len(roles)), [1.0, 10.0, 100.0])
    at_start = np.isin(np.arange(len(roles)), initial)
    tensors = [TensorInfo(role, "", f"layer_{i}/{role}", (), "") for i, role in enumerate(roles)]
    return first_nonfinite(tensors, np.array(steps), at_start, counts)


@pytest.mark.parametrize(
    ("roles", "steps", "initial", "tensor"),
    [
        (["weight", "gradient"], [7, 9], [], 0),
        (["weight", "gradient", "input"], [7, 7, 7], [], 2),
        (["weight", "loss", "target"], [7, 7, 8], [], 1),
        (["gradient", "gradient"], [NAN, 3], [], 1),
        (["weight", "weight"], [3, 3], [], 0),
        (["gradient", "gradient"], [3, 3], [], 1),
        (["input", "weight"], [0, 0], [1], 1),
        (["input", "weight"], [0, 5], [1], 0),
        (["from_the_future", "weight"], [4, 4], [], 1),
    ],
    ids=[
        "the earlier step",
        "within a step the flow of data",
        "the step before the flow",
        "a tensor that never was is never first",
        "within a role the model's order",
        "and backward the reverse of it",
        "weights before the first step come before its inputs",
        "an initial state of a later session does not",
        "unknown roles last",
    ],
)
def test_the_first_by_step_then_flow_then_order(
    roles: list[str], steps: list[float], initial: list[int], tensor: int
) -> None:
    found = first(roles, steps, initial)
    counts = (tensor, 10 * tensor, 100 * tensor)
    expected = FirstNonfinite(tensor, int(steps[tensor]), tensor in initial, *counts)
    assert found == expected


def test_there_is_none_in_a_healthy_run() -> None:
    assert first(["input", "loss"], [NAN, NAN]) is None
    assert first([], []) is None


def test_status() -> None:
    assert status(0, None) == "empty"
    assert status(3, None) == "healthy"
    assert status(3, FirstNonfinite(0, 0, False, 1, 0, 0)) == "nonfinite"
