"""The cross entropies of Keras, as classes and as functions, by what their targets are."""

from __future__ import annotations

BINARY = frozenset(
    {
        *("BinaryCrossentropy", "binary_crossentropy"),
        *("BinaryFocalCrossentropy", "binary_focal_crossentropy"),
    }
)
CATEGORICAL = frozenset(
    {
        *("CategoricalCrossentropy", "categorical_crossentropy"),
        *("CategoricalFocalCrossentropy", "categorical_focal_crossentropy"),
    }
)
SPARSE = frozenset({"SparseCategoricalCrossentropy", "sparse_categorical_crossentropy"})
