"""What a report says beside a finding's sentences: statuses, places, what it spread to."""

from __future__ import annotations

from collections.abc import Sequence

from tb_nanwatch.diagnosis.finding import Affected, Finding, Place
from tb_nanwatch.diagnosis.text.names import code, role_words
from tb_nanwatch.diagnosis.text.numbers import listed, plural
from tb_nanwatch.diagnosis.verdict import Status
from tb_nanwatch.format.roles import DEFAULT_ROLES

STATUS_WORDS: dict[Status, str] = {
    "nonfinite": "NaN or Inf",
    "unstable": "unstable",
    "healthy": "healthy",
    "empty": "nothing recorded yet",
}
"""Every status as a badge has it."""


def seen_on(place: Place) -> str:
    """ "activation gradient `a/b#2`, layer `b`, worker `w1`": the tensor on which it was seen."""
    parts = [role_words(place.role)]
    if place.tensor != place.role:
        parts[0] += f" {code(place.tensor)}"
    if place.layer and place.layer != place.tensor:
        parts.append(f"layer {code(place.layer)}")
    if place.worker:
        parts.append(f"worker {code(place.worker)}")
    return ", ".join(parts)


def spread_to(affected: Sequence[Affected]) -> str:
    """ "5 gradients and 1 loss (steps 7-9), in `dense_0`, `dense_1` and 3 more"; "" for nothing."""
    if not affected:
        return ""
    roles: dict[str, int] = {}
    for each in affected:
        roles[each.role] = roles.get(each.role, 0) + 1
    counts = [plural(count, role_words(role)) for role, count in roles.items()]
    first, last = min(each.step for each in affected), max(each.step for each in affected)
    steps = f"step {first:,}" if first == last else f"steps {first:,}-{last:,}"
    layers = [code(path) for path in dict.fromkeys(a.layer for a in affected if a.layer)]
    where = f", in {listed(layers)}" if layers else ""
    return f"{listed(counts, 9)} ({steps}){where}"


def record_also(finding: Finding) -> str:
    """Which roles to record to learn more, with code where the default does not; "" for none."""
    roles = finding.record_also
    if not roles:
        return ""
    words = listed([role_words(role) + "s" * (role != "loss") for role in roles], 9)
    extra = [role for role in roles if role not in DEFAULT_ROLES]
    pinpoint = f"To pinpoint the origin, also record {words}"
    if not extra:
        return f"{pinpoint}."
    entries = ", ".join(f'"{entry}"' for entry in ("default", *extra))
    observed = ", ".join(f"{role}=..." for role in extra)
    return (
        f"{pinpoint}: `nanwatch.Callback(log_dir, watch=[{entries}])`, or "
        f"`watcher.observe({observed})` in a loop of your own."
    )
