"""What NaNWatch uses of TensorFlow and Keras that is not their public interface.

The only place for it. Each name is looked up where it is first needed, and not when this package is
imported: a release that moves one costs what depends on it, with one warning, and not the user's
training script.
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

from tb_nanwatch.training.warnings import warn

_NOT_LOOKED_INTO = "a step that goes non-finite is not looked into"
_LESS_FOUND = "less is found in a step that went non-finite"

NAMES: dict[str, tuple[str, str]] = {
    "get_handle_data": ("tensorflow.python.ops.handle_data_util.get_handle_data", _NOT_LOOKED_INTO),
    "resource_reads": (
        "tensorflow.python.framework.auto_control_deps_utils.RESOURCE_READ_OPS",
        _NOT_LOOKED_INTO,
    ),
    "get_read_write_resource_inputs": (
        "tensorflow.python.framework.auto_control_deps_utils.get_read_write_resource_inputs",
        _NOT_LOOKED_INTO,
    ),
    "context": (
        "tensorflow.python.eager.context.context",
        "steps that go non-finite are not looked into, and what is recorded is not hidden from "
        "tf.debugging",
    ),
    "execute": ("tensorflow.python.eager.execute", _NOT_LOOKED_INTO),
    "record": (
        "tensorflow.python.eager.record",
        f"no gradient is recorded that arrives at a layer, and {_LESS_FOUND}",
    ),
    "def_function": ("tensorflow.python.eager.def_function", _LESS_FOUND),
    "eager_function_run": (
        "tensorflow.python.eager.polymorphic_function.eager_function_run",
        _LESS_FOUND,
    ),
    "gradient_function": ("tensorflow.python.eager.backprop._gradient_function", _LESS_FOUND),
    "op_def_registry": (
        "tensorflow.python.framework.op_def_registry",
        "operands of an operation are numbered and not named",
    ),
    "resource_variable_ops": (
        "tensorflow.python.ops.resource_variable_ops",
        "which variables a step reads is not known of a custom loop",
    ),
    "ResourceVariable": (
        "tensorflow.python.ops.resource_variable_ops.ResourceVariable",
        "the first step takes longer",
    ),
    "in_xla_context": (
        "tensorflow.python.ops.control_flow_util.GraphOrParentsInXlaContext",
        "steps that XLA compiles may go unrecorded",
    ),
    "optimization_barrier": (
        "tensorflow.compiler.tf2xla.python.xla.optimization_barrier",
        "steps that XLA compiles take longer",
    ),
    "pywrap_tfe": (
        "tensorflow.python.pywrap_tfe",
        "no remedy is tried on a step that went non-finite",
    ),
    "is_onednn": (
        "tensorflow.python.util._pywrap_util_port.IsMklEnabled",
        "whether oneDNN's kernels are used is not recorded",
    ),
    "summary_ops_v2": ("tensorflow.python.ops.summary_ops_v2", "nanwatch.summary writes nothing"),
    "ag_ctx": ("tensorflow.python.autograph.core.ag_ctx", "a decorated train_step is not seen"),
    "tf_convert": (
        "tensorflow.python.autograph.impl.api.tf_convert",
        "a decorated train_step is not seen",
    ),
    "tf_decorator": (
        "tensorflow.python.util.tf_decorator",
        "the lines of a decorated train_step are not found",
    ),
    "TfMethodTarget": (
        "tensorflow.python.eager.polymorphic_function.tf_method_target.TfMethodTarget",
        "the lines of a decorated train_step are not found",
    ),
}
"""Where each name is, and what does not work without it."""


@functools.cache
def private(name: str) -> Any:
    """The module, class or function of that name in `NAMES`.

    None, after one warning that says what is lost, where this version does not have it.
    """
    path, loss = NAMES[name]
    try:
        return _found(path)
    except (ImportError, AttributeError):
        warn(f"TensorFlow {tf.__version__} has no {path}: {loss}.")
        return None


def _found(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        return importlib.import_module(path)


def variable_spec(handle: Any) -> tf.TensorSpec | None:
    """Of the variable that a tensor of dtype resource stands for.

    None where that is no variable but a table, queue or iterator.
    """
    get = private("get_handle_data")
    data = None if get is None else get(handle)
    if data is None or not data.is_set or len(data.shape_and_type) != 1:
        return None
    (held,) = data.shape_and_type
    return tf.TensorSpec(tf.TensorShape(held.shape), tf.as_dtype(held.dtype))


def is_read_only(operation_type: str) -> bool:
    """Whether operations of this type only read the resources that they are given."""
    known = private("resource_reads")
    return known is not None and operation_type in known


def changed_inputs(operation: Any) -> list[Any]:
    """The inputs of a graph's operation that are resources which it may change.

    Of a function's call, a conditional or a loop by what is in it.
    """
    get = private("get_read_write_resource_inputs")
    return [] if get is None else list(get(operation)[1])


@contextmanager
def operations_intercepted(
    graph: Any, before: Callable[[str, list[Any]], Callable[[Any], None] | None]
) -> Iterator[bool]:
    """Until the block ends `before` is called with each operation that is added to this graph.

    Args:
      graph: a function's graph.
      before: is given the type and the inputs before the operation is there, and returns what is to
        be called with the operation afterwards, or None.

    Yields:
      Whether that works in this version of TensorFlow.
    """
    original = getattr(graph, "_create_op_internal", None)
    if original is None:
        yield False
        return

    def create(op_type: str, inputs: Iterable[Any], *args: Any, **kwargs: Any) -> Any:
        inputs = list(inputs)
        after = before(op_type, inputs)
        operation = original(op_type, inputs, *args, **kwargs)
        if after is not None:
            after(operation)
        return operation

    graph._create_op_internal = create
    try:
        yield True
    finally:
        if inspect.ismethod(original):
            del graph._create_op_internal
        else:  # Of a second recorder of the same step.
            graph._create_op_internal = original


def types_within(name: str, graph: Any = None) -> set[str]:
    """The types of the operations of a function and of those that it calls.

    Args:
      name: the function's.
      graph: that calls it; None where it is called eagerly.
    """
    types: set[str] = set()
    waiting, seen = [name], set()
    while waiting:
        each = waiting.pop()
        if each in seen:
            continue
        seen.add(each)
        for node in _nodes_of(each, graph):
            types.add(node.op)
            for attribute in node.attr.values():
                waiting += [attribute.func.name] if attribute.func.name else []
                waiting += [function.name for function in attribute.list.func]
            waiting.append(node.op)  # A function may be called by its name as the type.
    return types


def _nodes_of(function: str, graph: Any) -> Iterable[Any]:
    try:
        if graph is not None:
            found = graph._get_function(function)
            if found is not None:
                return list(found.cached_definition.node_def)
        context = private("context")()
        if context.has_function(function):
            return list(context.get_function_def(function).node_def)
    except Exception:  # What cannot be looked into is taken for harmless.
        return []
    return []


def unconverted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which AutoGraph is to run as it is: it would turn it into a graph, too.

    Not as `tf.autograph.experimental.do_not_convert` does, which what it calls would inherit.
    """
    function.autograph_info__ = None  # type: ignore[attr-defined]
    return function


def can_follow_changes() -> bool:
    """Whether this version tells what operations change."""
    needed = ("get_handle_data", "resource_reads", "get_read_write_resource_inputs", "context")
    return all(private(name) is not None for name in needed)
