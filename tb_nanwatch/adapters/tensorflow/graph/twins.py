"""Duplicates of tensors, so that a statistic does not change how the step rounds.

Grappler reorders sums and products, and fuses a bias with the product before it, only where the
intermediate tensor has a single reader. A statistic would be a second one, and the step would round
differently. So the statistic reads a twin: the same operations once more, beside the step's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.graph.context import in_xla

_REARRANGED = frozenset({"Add", "AddN", "AddV2", "Div", "Mul", "Neg", "RealDiv", "Sub"})
"""Arithmetic that Grappler's AddOpsRewrite, MinimizeBroadcasts and ConstantPushDown rewrite."""

_PASS_THROUGH = frozenset({"Cast", "ExpandDims", "Identity", "Reshape", "Squeeze", "StopGradient"})
"""Operations that Grappler may remove, so that their reader becomes the reader of their input."""

_BIASED = frozenset({"Add", "AddV2", "BiasAdd"})
_PRODUCTS = frozenset({"Conv2D", "Conv3D", "DepthwiseConv2dNative", "MatMul"})

_FUSIBLE = frozenset({"BiasAdd", "FusedBatchNormV3"})
_FUSED = frozenset({"Add", "AddN", "AddV2", "Elu", "LeakyRelu", "Relu", "Relu6", "Sigmoid", "Tanh"})
"""What Grappler's remapper fuses with these: with a BiasAdd and the product before it, or a batch
normalization."""

_TWIN = "_nanwatch_twin"
"""Attribute of a tensor: its twin. And of the twin's operation, as Grappler merges equal ones."""


def twin(tensor: Any) -> Any:
    """A tensor with the same elements, whose reading changes no bit of the step.

    This is the tensor itself eagerly, under XLA, which rounds differently anyway, and in a graph
    wherever Grappler does not rewrite it, which is almost everywhere.
    """
    if not isinstance(tensor, tf.Tensor) or not tf.is_symbolic_tensor(tensor) or in_xla():
        return tensor
    pending = [tensor]
    while pending:  # No recursion: a sum of a thousand losses is a chain of a thousand additions.
        inputs = pending[-1].op.inputs if _is_rearranged(pending[-1]) else []
        unknown = [each for each in inputs if not hasattr(each, _TWIN)]
        if unknown:
            pending += unknown
            continue
        each = pending.pop()
        if not hasattr(each, _TWIN):
            made = _with_inputs(each, [getattr(source, _TWIN) for source in inputs])
            setattr(each, _TWIN, made)
            setattr(made, _TWIN, made)
    return getattr(tensor, _TWIN)


def _with_inputs(tensor: Any, inputs: Sequence[Any]) -> Any:
    """The twin of a tensor, computed from its inputs' twins; itself if it needs none."""
    kind = tensor.op.type
    if not inputs or (kind in _PASS_THROUGH and inputs[0] is tensor.op.inputs[0]):
        return tensor
    if kind in _BIASED:
        inputs = [
            _copy(each, each.op.inputs) if each.op.type in _PRODUCTS else each for each in inputs
        ]
    return _copy(tensor, inputs)


def _is_rearranged(tensor: Any) -> bool:
    """Whether one more reader might keep Grappler from rewriting the tensor's operation.

    However many readers it has now: some are pruned, some merged, some may be added later.
    """
    kind = tensor.op.type
    return kind in _REARRANGED | _PASS_THROUGH or (kind in _FUSIBLE and _is_fused(tensor))


def _is_fused(tensor: Any) -> bool:
    """Whether Grappler may fuse what makes a tensor with a reader of it."""
    return any(
        reader.type in _FUSED or (reader.type == "Identity" and _is_fused(reader.outputs[0]))
        for reader in tensor.consumers()
    )


def _copy(tensor: Any, inputs: Sequence[Any]) -> Any:
    operation = tensor.op
    attributes = {
        name: value for name, value in operation.node_def.attr.items() if not name.startswith("_")
    }
    attributes[_TWIN] = tf.compat.v1.AttrValue(b=True)
    # Grappler sorts the inputs of an AddN by name, and merges a fused twin with its original: so no
    # name in the step itself changes, and a twin's sorts right after its original's.
    graph = operation.graph
    with graph.name_scope(None), graph.device(operation.device):
        name = f"{operation.name}-nanwatch"
        dtypes = [each.dtype for each in operation.outputs]
        copy = graph.create_op(operation.type, list(inputs), dtypes, attrs=attributes, name=name)
    return copy.outputs[tensor.value_index]
