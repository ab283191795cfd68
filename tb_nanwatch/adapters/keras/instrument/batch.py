"""What each part of a batch is: an input, a target, a sample weight."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType
from typing import Any, NamedTuple

import keras

from tb_nanwatch.adapters.tensorflow.tensors import flatten_data

_UNPACK = "unpack_x_y_sample_weight"


class Part(NamedTuple):
    """One tensor of a batch."""

    role: str
    name: str
    tensor: Any


class Batch:
    """One step's batch, whose parts are known when the step has run.

    Only Keras's own step is sure to take (x, y, sample_weight) for what these are called. To one
    that a model brings along three tensors may be three images: there a target is what the step
    hands to `compute_loss` as `y`.

    Args:
      data: the batch.
      is_unpacked: whether the step takes it apart as Keras's own does.

    Attributes:
      plain: its parts by their places alone.
    """

    def __init__(self, data: Any, is_unpacked: bool):
        self._is_unpacked = is_unpacked
        # Taken apart now: the step may take something out of a mapping.
        self._unpacked = list(_unpacked(data))
        whole = [*data] if isinstance(data, tuple) else data
        while isinstance(whole, list) and whole and whole[-1] is None:
            whole.pop()  # As in (x, None, None), which `train_on_batch` makes of x.
        if isinstance(whole, list) and len(whole) == 1 and isinstance(data, tuple):
            (whole,) = whole
        self.plain = [Part("input", *each) for each in flatten_data(whole, "input")]
        self._compared: dict[int, Part] = {}
        self._fed: set[int] = set()

    def compared(self, x: Any, y: Any, sample_weight: Any) -> None:
        """Takes in what the step hands to `compute_loss`."""
        self._fed |= {id(leaf) for _, leaf in flatten_data(x, "input")}
        for name, given in (("target", y), ("sample_weight", sample_weight)):
            for path, leaf in flatten_data(given, name):
                self._compared.setdefault(id(leaf), Part("target", path, leaf))

    def parts(self) -> list[Part]:
        """The tensors, each with its role and its name."""
        if not self._unpacked or self._is_unpacked or self._agrees():
            return self._unpacked or self.plain
        return [
            part if self._is_input(part) else self._compared[id(part.tensor)] for part in self.plain
        ]

    def _agrees(self) -> bool:
        """Whether what the step did with the parts is what Keras's own does."""
        has_targets = any(part.role == "target" for part in self._unpacked)
        return has_targets and all(
            self._is_input(part)
            if part.role == "input"
            else getattr(self._compared.get(id(part.tensor)), "name", "") == part.name
            for part in self._unpacked
        )

    def _is_input(self, part: Part) -> bool:
        key = id(part.tensor)
        # An autoencoder compares with what it is fed.
        return key not in self._compared or key in self._fed or len(self.plain) == 1


def _unpacked(data: Any) -> Iterator[Part]:
    """The parts as Keras's own step takes them; none where they cannot be taken so."""
    try:
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
    except ValueError:
        return
    for role, name, given in (
        ("input", "input", x),
        ("target", "target", y),
        ("target", "sample_weight", sample_weight),
    ):
        for path, leaf in flatten_data(given, name):
            yield Part(role, path, leaf)


def unpacks(train_step: Any) -> bool:
    """Whether a step takes its data apart as Keras's own does, which it is or does by its name."""
    code = getattr(train_step, "__code__", None)
    return code is not None and _names(code)


def _names(code: CodeType) -> bool:
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return _UNPACK in code.co_names or any(map(_names, inner))
