"""What `watch=` selects, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from tb_nanwatch.format.roles import DEFAULT_ROLES, ROLE_NAMES
from tb_nanwatch.training.watch import Watch

LAYERS = ("encoder/dense", "encoder/embedding_1", "decoder", "")


def selected(watch: Any) -> dict[str, set[str]]:
    """Layers by role, of the roles that select any."""
    chosen = Watch(watch)
    pairs = {
        role: {layer for layer in LAYERS if chosen.selects(role, layer)} for role in ROLE_NAMES
    }
    return {role: layers for role, layers in pairs.items() if layers}


@pytest.mark.parametrize("watch", ["default", ["default"], ("default",), {"default"}])
def test_default_is_what_costs_next_to_nothing(watch: Any) -> None:
    assert selected(watch) == {role: set(LAYERS) for role in DEFAULT_ROLES}


@pytest.mark.parametrize("watch", ["all", "*"])
def test_all_is_every_role(watch: str) -> None:
    assert selected(watch) == {role: set(LAYERS) for role in ROLE_NAMES}


def test_a_role_alone_and_of_some_layers() -> None:
    assert selected("slot") == {"slot": set(LAYERS)}
    assert selected(["loss", "activation:encoder/*", "slot:dec*"]) == {
        "loss": set(LAYERS),
        "activation": {"encoder/dense", "encoder/embedding_1"},
        "slot": {"decoder"},
    }


def test_leaving_out_wins_wherever_it_stands() -> None:
    for watch in (["default", "-weight"], ["-weight", "default"], ["-weight"]):
        assert set(selected(watch)) == set(DEFAULT_ROLES) - {"weight"}
    assert selected(["-gradient:enc*", "gradient"]) == {"gradient": {"decoder", ""}}
    for pattern in ("-*:*embedding*", "-*embedding*", "-all:*embedding*"):
        assert selected(["all", pattern]) == {
            role: set(LAYERS) - {"encoder/embedding_1"} for role in ROLE_NAMES
        }
    assert selected(["activation", "weight", "-default:decoder"]) == {
        "activation": set(LAYERS),
        "weight": set(LAYERS) - {"decoder"},
    }


def test_patterns_tell_upper_from_lower_case_on_every_platform() -> None:
    assert not Watch("activation:Encoder*").selects("activation", "encoder/dense")


def test_only_roles_asked_for_by_name_are_missed() -> None:
    assert Watch(["all", "slot", "update:dense*", "-loss"]).named_roles == {"slot", "update"}
    assert Watch("default").named_roles == set()


def test_patterns_that_match_nothing_are_told() -> None:
    watch = Watch(["default", "activation:enc/*", "-decoder", "-gradients"])
    assert watch.unmatched_patterns(LAYERS) == ["enc/*", "gradients"]
    assert Watch("all").unmatched_patterns([]) == []


@pytest.mark.parametrize(
    ("watch", "message"),
    [
        (None, r"Expected watch to be a role or a list of roles, got None. Known roles: input, "),
        (3, "got 3"),
        ([None], r"got \[None\]"),
        ([], r"watch=\[\] records nothing. Name at least one role"),
        ("gradients", "Unknown role 'gradients' in watch='gradients'. Known roles: input, target,"),
        (["default", "logits:dense"], "Unknown role 'logits'"),
        ("-logits:dense", "Unknown role 'logits'"),
        ("encoder/*", "Write role:pattern"),
        ("", "Unknown role ''"),
        ("-", "Unknown role ''"),
        ("activation:", "Expected a pattern of layer paths after 'activation:'"),
        (["loss", "-loss"], r"watch=\['loss', '-loss'\] excludes everything"),
        ("-*", "excludes everything"),
    ],
)
def test_what_cannot_be_meant_is_refused(watch: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Watch(watch)
