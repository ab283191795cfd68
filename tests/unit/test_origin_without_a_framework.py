"""The search for the origin asks a framework only for what `protocols.TensorAccess` lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tb_nanwatch.training.failing_step.describe_operation import describe_operation
from tb_nanwatch.training.failing_step.origin import find_origin
from tb_nanwatch.training.failing_step.trace import CallSite, Gradients, Trace, TracedOperation
from tb_nanwatch.training.protocols import TensorAccess


class NumPyAccess:
    """Of NumPy arrays, and operations whose type is the name of a ufunc."""

    def identity(self, tensor: Any) -> int:
        return id(tensor)

    def is_float(self, tensor: Any) -> bool:
        return isinstance(tensor, np.ndarray) and tensor.dtype.kind == "f"

    def is_nonfinite(self, tensor: Any) -> bool:
        return self.is_float(tensor) and not bool(np.isfinite(tensor).all())

    def has_nan(self, tensor: Any) -> bool:
        return bool(np.isnan(tensor).any())

    def is_array(self, value: Any) -> bool:
        return isinstance(value, np.ndarray)

    def dtype_name(self, tensor: Any) -> str:
        return str(tensor.dtype)

    def dense(self, tensor: Any) -> Any:
        return tensor

    def nonfinite_mask(self, tensor: Any) -> np.ndarray:
        return ~np.isfinite(tensor)

    def input_names(self, operation: TracedOperation) -> Sequence[str]:
        return [f"x{number}" for number in range(len(operation.inputs))]

    def local_gradients(self, operation: TracedOperation, upstream: Sequence[Any]) -> Sequence[Any]:
        with np.errstate(divide="ignore"):
            return [upstream[0] * 0.5 / np.sqrt(operation.inputs[0])]

    def is_random(self, operation: TracedOperation) -> bool:
        return operation.type == "random"

    def is_assignment(self, operation: TracedOperation) -> bool:
        return operation.type == "assign"


ACCESS: TensorAccess = NumPyAccess()
SITE = CallSite(__file__, 1, "step")


def ran(name: str, *inputs: np.ndarray) -> TracedOperation:
    with np.errstate(divide="ignore"):
        output = np.asarray(getattr(np, name)(*inputs))
    return TracedOperation(name, inputs, (output,), (), SITE, "gate")


def test_forward_the_first_operation_is_found_and_described() -> None:
    batch = np.array([[1.0, 2.0], [0.0, 3.0]])
    log = ran("log", batch)
    loss = ran("sum", log.outputs[0])
    trace = Trace([log, loss], [Gradients(loss.outputs[0], {})], first_update=2)
    search = find_origin(trace, [batch], [], ACCESS)
    assert search.is_nonfinite
    assert search.origin is not None
    assert (search.origin.operation, search.origin.direction) == (log, "forward")
    described = describe_operation(search.origin, ACCESS)
    assert (described.type, described.layer, described.line) == ("log", "gate", 1)
    (operand,) = described.operands
    assert (operand.name, operand.dtype, operand.shape) == ("x0", "float64", (2, 2))
    assert [(each.index, each.value) for each in operand.elements] == [((1, 0), "0.0")]
    assert described.result is not None
    assert [each.value for each in described.result.elements] == ["-inf"]


def test_backward_the_operation_nearest_to_the_loss_is_found() -> None:
    batch = np.array([4.0, 0.0])
    root = ran("sqrt", batch)
    loss = ran("sum", root.outputs[0])
    gradients = {
        id(loss.outputs[0]): np.ones(()),
        id(root.outputs[0]): np.ones(2),
        id(batch): np.array([0.25, np.inf]),
    }
    trace = Trace([root, loss], [Gradients(loss.outputs[0], gradients)], first_update=2)
    origin = find_origin(trace, [batch], [], ACCESS).origin
    assert origin is not None
    assert (origin.operation, origin.direction) == (root, "backward")
    np.testing.assert_array_equal(origin.nonfinite, [False, True])


def test_data_and_weights_that_were_non_finite_before_are_no_operations_fault() -> None:
    for is_data in (True, False):
        value = np.array([1.0, np.nan])
        loss = ran("sum", value)
        trace = Trace([loss], [Gradients(loss.outputs[0], {})], first_update=1)
        search = find_origin(trace, [value] if is_data else [], [value], ACCESS)
        assert search.origin is None
        assert (len(search.data), search.by_weight) == ((1, False) if is_data else (0, True))
