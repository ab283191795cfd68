"""Which part of a batch is an input, a target or a sample weight."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

from tb_nanwatch.adapters.tensorflow.tensors import flatten_data

_UNPACK = "unpack_x_y_sample_weight"


class Part(NamedTuple):
    """One tensor of a batch; `attribute` is that of `TensorInfo`."""

    role: str
    name: str
    tensor: Any
    attribute: str = ""


def _part_of_loss(name: str, path: str, tensor: Any) -> Part:
    """A target or a sample weight."""
    return Part("target", path, tensor, name if name == "sample_weight" else "")


class Batch:
    """One step's batch, whose parts are known when the step has run.

    Only Keras' own step is sure to take a tuple as (x, y, sample_weight). For a custom step three
    tensors may be three images: there a target is what the step passes to `compute_loss` as `y`.

    Args:
      data: the batch.
      is_unpacked: whether the step unpacks it as Keras' own does.

    Attributes:
      plain: all parts as inputs, named by position.
    """

    def __init__(self, data: Any, is_unpacked: bool):
        self._is_unpacked = is_unpacked
        # Unpacked now, because the step may pop items from a mapping.
        self._unpacked = list(_unpacked(data))
        whole = [*data] if isinstance(data, tuple) else data
        while isinstance(whole, list) and whole and whole[-1] is None:
            whole.pop()  # As in (x, None, None), which `train_on_batch` makes of x.
        if isinstance(whole, list) and len(whole) == 1 and isinstance(data, tuple):
            (whole,) = whole
        self.plain = [Part("input", *each) for each in flatten_data(whole, "input")]
        self._loss_arguments: dict[int, Part] = {}
        self._fed: set[int] = set()

    def add_loss_arguments(self, x: Any, y: Any, sample_weight: Any) -> None:
        """Adds what the step passes to `compute_loss`."""
        self._fed |= {id(leaf) for _, leaf in flatten_data(x, "input")}
        for name, given in (("target", y), ("sample_weight", sample_weight)):
            for path, leaf in flatten_data(given, name):
                self._loss_arguments.setdefault(id(leaf), _part_of_loss(name, path, leaf))

    def parts(self) -> list[Part]:
        """The tensors, each with its role and its name."""
        if not self._unpacked or self._is_unpacked or self._agrees():
            return self._unpacked or self.plain
        return [
            part if self._is_input(part) else self._loss_arguments[id(part.tensor)]
            for part in self.plain
        ]

    def _agrees(self) -> bool:
        """Whether the step passed the parts to `compute_loss` as Keras' own does."""
        has_targets = any(part.role == "target" for part in self._unpacked)
        return has_targets and all(
            self._is_input(part)
            if part.role == "input"
            else getattr(self._loss_arguments.get(id(part.tensor)), "name", "") == part.name
            for part in self._unpacked
        )

    def _is_input(self, part: Part) -> bool:
        key = id(part.tensor)
        # An autoencoder's target is its input.
        return key not in self._loss_arguments or key in self._fed or len(self.plain) == 1


def _unpacked(data: Any) -> Iterator[Part]:
    """The parts as Keras' own step unpacks them; none where it cannot."""
    whole = tuple(data) if isinstance(data, (list, tuple)) else (data,)
    if not 1 <= len(whole) <= 3:
        return
    x, y, sample_weight = (*whole, None, None)[:3]
    for path, leaf in flatten_data(x, "input"):
        yield Part("input", path, leaf)
    for name, given in (("target", y), ("sample_weight", sample_weight)):
        for path, leaf in flatten_data(given, name):
            yield _part_of_loss(name, path, leaf)


def unpacks(train_step: Any) -> bool:
    """Whether a step is Keras' own, or calls the function with which that unpacks its data."""
    code = getattr(train_step, "__code__", None)
    return code is not None and _names(code)


def _names(code: CodeType) -> bool:
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return _UNPACK in code.co_names or any(map(_names, inner))
