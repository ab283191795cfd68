"""The roles a watched tensor can have, in the order in which data flows through one step."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """What a watched tensor is.

    Attributes:
      name: the name used in code, tags and the manifest.
      label: the name a person reads.
      description: one sentence for documentation and tooltips.
    """

    name: str
    label: str
    description: str


ROLES: tuple[Role, ...] = (
    Role("input", "Inputs", "What the batch feeds to the model."),
    Role("target", "Targets", "The labels that the loss compares with."),
    Role("activation", "Activations", "The output of a layer in the forward pass."),
    Role("prediction", "Predictions", "What the model returns to the loss."),
    Role("loss", "Loss", "The loss before any loss scaling."),
    Role("activation_gradient", "Activation gradients", "The gradient arriving at a layer."),
    Role("gradient", "Gradients", "The gradient of a trainable variable, before any clipping."),
    Role("slot", "Optimizer slots", "The optimizer's own state, as the step leaves it."),
    Role("update", "Updates", "The change that the step made to a variable."),
    Role("weight", "Weights", "A variable of the model as the step leaves it."),
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
