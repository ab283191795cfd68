"""Which tensors to record: roles and layers, as the user writes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from typing import NamedTuple

from tb_nanwatch.format.roles import DEFAULT_ROLES, ROLE_NAMES

_GROUPS = {"default": DEFAULT_ROLES, "all": ROLE_NAMES, "*": ROLE_NAMES}


class _Entry(NamedTuple):
    roles: frozenset[str]
    pattern: str

    def matches(self, role: str, layer: str) -> bool:
        return role in self.roles and fnmatchcase(layer, self.pattern)


class Watch:
    """Which tensors to record.

    Args:
      watch: an entry or several. An entry is "default", "all" or a role, for all layers; or one of
        these, a colon and a pattern of layer paths, such as "activation:encoder/*" (`fnmatch`: "*"
        matches any characters, "/" too). With "-" before it the entry excludes what it names,
        whatever other entries say; "-embedding*" is short for "-*:embedding*". If all entries
        exclude, they exclude from "default".

    Attributes:
      named_roles: the roles that entries include by name and none excludes.

    Raises:
      ValueError: for anything else, for an unknown role, and where nothing is left to record.
    """

    def __init__(self, watch: str | Collection[str]):
        entries = [watch] if isinstance(watch, str) else watch
        if not isinstance(entries, Collection) or not all(
            isinstance(each, str) for each in entries
        ):
            raise ValueError(
                f"Expected watch to be a role or a list of roles, got {watch!r}. {_KNOWN}"
            )
        if not entries:
            raise ValueError(
                f"watch={watch!r} records nothing. Name at least one role, or omit the argument. "
                f"{_KNOWN}"
            )
        excluding = [each[1:] for each in entries if each.startswith("-")]
        including = [each for each in entries if not each.startswith("-")] or ["default"]
        self._included = [_parse(each, watch) for each in including]
        self._excluded = [_parse(each, watch, excludes=True) for each in excluding]
        names = {each.partition(":")[0] for each in including}
        self.named_roles = frozenset(
            role for role in ROLE_NAMES if role in names and self.has_role(role)
        )
        if not any(self.has_role(role) for role in ROLE_NAMES):
            raise ValueError(f"watch={watch!r} excludes everything, and records nothing.")

    def has_role(self, role: str) -> bool:
        """Whether tensors of the role are recorded, of some layer at least."""
        return any(role in each.roles for each in self._included) and not any(
            role in each.roles and each.pattern == "*" for each in self._excluded
        )

    def selects(self, role: str, layer: str) -> bool:
        """Whether the role's tensors of the layer with this path are recorded."""
        return any(each.matches(role, layer) for each in self._included) and not any(
            each.matches(role, layer) for each in self._excluded
        )

    def unmatched_patterns(self, layers: Iterable[str]) -> list[str]:
        """Patterns that match no layer's path: probably a typo."""
        layers = [*layers, ""]  # "": what belongs to no layer, such as the loss.
        patterns = dict.fromkeys(each.pattern for each in [*self._included, *self._excluded])
        return [
            pattern
            for pattern in patterns
            if not any(fnmatchcase(layer, pattern) for layer in layers)
        ]


_KNOWN = f"Known roles: {', '.join(ROLE_NAMES)}; and default, all."


def _parse(entry: str, watch: object, *, excludes: bool = False) -> _Entry:
    """The entry without its "-"."""
    role, colon, pattern = entry.partition(":")
    known = _GROUPS.get(role) or ((role,) if role in ROLE_NAMES else ())
    if known and (pattern or not colon):
        return _Entry(frozenset(known), pattern or "*")
    if excludes and entry and not colon:
        return _Entry(frozenset(ROLE_NAMES), entry)
    if known:
        raise ValueError(f"Expected a pattern of layer paths after {entry!r} in watch={watch!r}.")
    raise ValueError(
        f"Unknown role {role!r} in watch={watch!r}. {_KNOWN} "
        'Write role:pattern to restrict it to some layers, such as "activation:encoder/*".'
    )
