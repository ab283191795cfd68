"""What happens after a step with a NaN or an infinity: `on_nonfinite`."""

from __future__ import annotations

from typing import Literal, get_args

OnNonfinite = Literal["record", "skip", "stop", "raise"]

_NOT_RECORDED = "Training continues, but is not recorded from here on"

NOT_RECORDED: dict[OnNonfinite, str] = {
    "record": f"{_NOT_RECORDED}.",
    "skip": f"{_NOT_RECORDED}. Non-finite steps are still skipped.",
    "stop": f"{_NOT_RECORDED}. It stops if a value in the logs is non-finite.",
    "raise": f"{_NOT_RECORDED}. A non-finite value in the logs raises.",
}
"""The consequence where a step cannot be recorded."""

BY_LOGS: dict[OnNonfinite, str] = {
    "stop": " The training stops if a value in the logs is non-finite.",
    "raise": " A non-finite value in the logs raises.",
}
"""What a policy does where it has nothing else to go by, as a further sentence."""

_NOT_ANALYZED = "Training continues, but steps that go non-finite are not analyzed from here on"

NOT_ANALYZED: dict[OnNonfinite, str] = {
    "record": f"{_NOT_ANALYZED}.",
    "skip": f'{_NOT_ANALYZED}, and on_nonfinite="skip" is off: they update the weights.',
    "stop": f"{_NOT_ANALYZED}.",
    "raise": f"{_NOT_ANALYZED}.",
}
"""The consequence where a step's update cannot be checked."""


NOT_GUARDED = (
    'on_nonfinite="skip" is off, because the update of this training cannot be checked: non-finite '
    'steps update the weights. Use "stop" or "raise" to end the training instead.'
)
"""Where nothing can check an update."""


def validate_policy(on_nonfinite: str, max_skips: int) -> None:
    """Raises ValueError for an unknown policy, and for a `max_skips` below 1."""
    if on_nonfinite not in get_args(OnNonfinite):
        raise ValueError(
            f"Unknown policy on_nonfinite={on_nonfinite!r}. "
            f"Known policies: {', '.join(get_args(OnNonfinite))}."
        )
    if isinstance(max_skips, bool) or not isinstance(max_skips, int) or max_skips < 1:
        raise ValueError(f"Expected max_skips to be an integer of at least 1, got {max_skips!r}.")
