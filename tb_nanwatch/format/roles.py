"""The roles a watched tensor can have, in the order in which data flows through one step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """What a watched tensor is.

    Attributes:
      name: the name used in code, tags and the manifest.
      label: the name a person reads.
      description: a phrase for documentation and tooltips.
    """

    name: str
    label: str
    description: str


ROLES: tuple[Role, ...] = (
    Role("input", "Inputs", "Model inputs"),
    Role("target", "Targets", "Labels passed to the loss"),
    Role("activation", "Activations", "Layer outputs in the forward pass"),
    Role("prediction", "Predictions", "Model outputs"),
    Role("loss", "Loss", "The loss, before loss scaling"),
    Role("activation_gradient", "Activation gradients", "Gradient w.r.t. the layer's output"),
    Role("gradient", "Gradients", "Gradient w.r.t. a trainable variable, before clipping"),
    Role("slot", "Optimizer slots", "Optimizer state, such as momentum, after the step"),
    Role("update", "Updates", "Weight update applied in this step"),
    Role("weight", "Weights", "Variable after the step"),
)

ROLE_NAMES: tuple[str, ...] = tuple(role.name for role in ROLES)

DEFAULT_ROLES = ("input", "target", "prediction", "loss", "gradient", "weight")
"""What is recorded unless told otherwise: next to no cost, and no bit of the training changes."""

FLOW: dict[str, int] = {name: index for index, name in enumerate(ROLE_NAMES)}
"""Position of each role in the flow of one step."""


def check_role(role: str) -> str:
    """Returns `role` if it is known; raises ValueError naming the known ones otherwise."""
    if role not in FLOW:
        raise ValueError(f"Unknown role {role!r}. Known roles: {', '.join(ROLE_NAMES)}.")
    return role


def role_of_name(name: str) -> str | None:
    """The role that the name of a record says, as a person gives it; None where it says none.

    A part of the name is a role, or several of one: "loss", "gradients/critic", "generator/loss".
    Else its last word is: "critic_loss".
    """
    words = {name: name for name in ROLE_NAMES} | {f"{name}s": name for name in ROLE_NAMES}
    words |= {"losses": "loss"}
    parts = name.lower().replace("-", "_").split("/")
    said = (words[part] for part in parts if part in words)
    return next(said, words.get(parts[-1].rsplit("_", 1)[-1]))
