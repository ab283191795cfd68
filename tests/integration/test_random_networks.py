"""Random networks with a random trap, trained by TensorFlow: NaNWatch says where, when and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from random_networks import findings, judge, network, train


@pytest.mark.parametrize(
    ("seed", "kind"),
    [
        (1, "division by zero"),
        (2, "log in a where"),
        (3, "loss with an infinite slope"),
        (4, "optimizer overflow"),
        (5, "none"),
    ],
)
def test_the_trap_is_found(seed: int, kind: str, tmp_path: Path) -> None:
    drawn = network(seed, kind)
    train(drawn, tmp_path)
    found = findings(tmp_path)
    assert judge(drawn, found).all(), (drawn, found)
