"""Nested structures with the place of each leaf: Keras has a function for it from 3.8 on only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras

Place = tuple[Any, ...]
"""The indexes and keys that lead to a leaf."""


def flatten_with_path(structure: Any) -> list[tuple[Place, Any]]:
    """(place, leaf) of each leaf, in the order of `keras.tree.flatten`."""
    leaves = keras.tree.flatten(structure)
    numbered = keras.tree.pack_sequence_as(structure, list(range(len(leaves))))
    places = dict(_places(numbered, ()))
    return [(places[number], leaf) for number, leaf in enumerate(leaves)]


def _places(numbered: Any, place: Place) -> Iterator[tuple[int, Place]]:
    """(number, its place) of a structure whose leaves are numbers."""
    if isinstance(numbered, int):
        yield numbered, place
        return
    items = numbered.items() if isinstance(numbered, Mapping) else enumerate(numbered)
    for key, value in items:
        yield from _places(value, (*place, key))
