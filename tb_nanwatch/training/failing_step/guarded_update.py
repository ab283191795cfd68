"""Runs an optimizer's update behind its guard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tb_nanwatch.training.internal_errors import InternalErrorGuard
from tb_nanwatch.training.protocols import UpdateGuard


def run_guarded_update(
    error_guard: InternalErrorGuard,
    guard: UpdateGuard,
    optimizer: Any,
    update: Callable[[], object],
    gradients: list[Any],
    variables: list[Any],
) -> object:
    """Runs an update behind its guard.

    If the guard itself fails before the update, the update runs as it is. An error in the update
    belongs to the training and is raised.
    """
    has_begun = False
    result: object = None

    def begin() -> None:
        nonlocal has_begun, result
        has_begun = True
        result = update()

    try:
        guard.apply(optimizer, begin, gradients, variables)
    except Exception as error:
        if has_begun:
            raise
        error_guard.fail("check an update", error)
        return update()
    return result
