"""A training step as a list of the operations that ran in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple


class CallSite(NamedTuple):
    """The line of the user's source code that an operation comes from.

    Attributes:
      file, line, function: of the call.
      columns: where in the line the call begins and ends, as offsets in UTF-8; None where it is not
        known (before Python 3.11), or where it takes several lines.
    """

    file: str
    line: int
    function: str
    columns: tuple[int, int] | None = None


class Owner(NamedTuple):
    """Which part of the model runs an operation: a layer's path, or an optimizer's name."""

    layer: str = ""
    optimizer: str = ""


@dataclass(frozen=True)
class TracedOperation:
    """One operation that ran.

    Attributes:
      type: the framework's name of it; for a function with a custom gradient, the function's name.
      inputs, outputs: its tensors.
      attributes: as the framework takes them to compute the operation's gradient.
      call_site: None where no line of the user's source leads there.
      layer: path of the innermost layer that ran it; "" outside of layers.
      optimizer: name of the optimizer whose update it belongs to; "" for none.
      is_backward: whether it ran to compute a gradient.
      custom_gradients: for a function with a custom gradient, what that returned for the inputs;
        filled in when a gradient is computed. None for any other operation.
    """

    type: str
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]
    attributes: tuple[Any, ...]
    call_site: CallSite | None
    layer: str
    optimizer: str = ""
    is_backward: bool = False
    custom_gradients: list[Any] | None = None


@dataclass
class Gradients:
    """The result of one differentiation.

    Attributes:
      target: the tensor that was differentiated; the first of several.
      by_tensor: a tensor's identity to the gradient of the target with respect to it.
      requested: the gradients that the step asked for.
    """

    target: Any
    by_tensor: dict[int, Any]
    requested: tuple[Any, ...] = ()


@dataclass
class Trace:
    """All that ran in a step, in order.

    Attributes:
      operations: the operations of the step. Of the backward pass, only those of custom gradients
        and those that are differentiated again.
      gradients: one for each differentiation.
      first_update: index of the first operation after the last differentiation.
      applied_gradients: the gradients that optimizers were given.
    """

    operations: list[TracedOperation] = field(default_factory=list)
    gradients: list[Gradients] = field(default_factory=list)
    first_update: int = 0
    applied_gradients: list[Any] = field(default_factory=list)
