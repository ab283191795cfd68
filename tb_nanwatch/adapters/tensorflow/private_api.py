"""All that NaNWatch uses of TensorFlow and Keras that is not public.

Each name is looked up where it is first needed, not when this package is imported: a release that
moves one disables what depends on it, with one warning, and does not break the training script.
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

_NOT_ANALYZED = "steps that go non-finite are not analyzed"
_LESS_FOUND = "the analysis of a step that went non-finite finds less"

NAMES: dict[str, tuple[str, str]] = {
    "get_handle_data": ("tensorflow.python.ops.handle_data_util.get_handle_data", _NOT_ANALYZED),
    "resource_reads": (
        "tensorflow.python.framework.auto_control_deps_utils.RESOURCE_READ_OPS",
        _NOT_ANALYZED,
    ),
    "get_read_write_resource_inputs": (
        "tensorflow.python.framework.auto_control_deps_utils.get_read_write_resource_inputs",
        _NOT_ANALYZED,
    ),
    "context": (
        "tensorflow.python.eager.context.context",
        f"{_NOT_ANALYZED}, and tf.debugging sees NaNWatch's own operations",
    ),
    "execute": ("tensorflow.python.eager.execute", _NOT_ANALYZED),
    "record": (
        "tensorflow.python.eager.record",
        f"activation gradients are not recorded, and {_LESS_FOUND}",
    ),
    "def_function": ("tensorflow.python.eager.def_function", _LESS_FOUND),
    "eager_function_run": (
        "tensorflow.python.eager.polymorphic_function.eager_function_run",
        _LESS_FOUND,
    ),
    "gradient_function": ("tensorflow.python.eager.backprop._gradient_function", _LESS_FOUND),
    "op_def_registry": (
        "tensorflow.python.framework.op_def_registry",
        "the operands of an operation have numbers instead of names",
    ),
    "resource_variable_ops": (
        "tensorflow.python.ops.resource_variable_ops",
        "the variables that a step of a custom loop reads are not known",
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
    "pywrap_tfe": ("tensorflow.python.pywrap_tfe", _NOT_ANALYZED),
    "random_seed": (
        "tensorflow.python.framework.random_seed",
        "after the analysis of a step tf.random draws other numbers than without it",
    ),
    "script_ops": (
        "tensorflow.python.ops.script_ops",
        "an eager step that calls tf.numpy_function is run again, and calls it twice",
    ),
    "is_onednn": (
        "tensorflow.python.util._pywrap_util_port.IsMklEnabled",
        "whether oneDNN's kernels are used is not recorded",
    ),
    "summary_ops_v2": ("tensorflow.python.ops.summary_ops_v2", "nanwatch.summary writes nothing"),
    "ag_ctx": (
        "tensorflow.python.autograph.core.ag_ctx",
        "a train_step that is a tf.function is not recorded",
    ),
    "tf_convert": (
        "tensorflow.python.autograph.impl.api.tf_convert",
        "a train_step that is a tf.function is not recorded",
    ),
    "tf_decorator": (
        "tensorflow.python.util.tf_decorator",
        "the source lines of a train_step that is a tf.function are not found",
    ),
    "TfMethodTarget": (
        "tensorflow.python.eager.polymorphic_function.tf_method_target.TfMethodTarget",
        "the source lines of a train_step that is a tf.function are not found",
    ),
}
"""The path of each name, and what does not work without it."""


@functools.cache
def private(name: str) -> Any:
    """The module, class or function of that name in `NAMES`.

    None, after one warning that says what is lost, where this version does not have it.
    """
    path, loss = NAMES[name]
    try:
        return _found(path)
    except (ImportError, AttributeError):
        warn(
            f"TensorFlow {tf.__version__} has no {path}, so {loss}. Update tb-nanwatch, or report "
            "this if it is the latest version."
        )
        return None


def _found(path: str) -> Any:
    module, _, name = path.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError:
        return importlib.import_module(path)


def variable_spec(handle: Any) -> tf.TensorSpec | None:
    """Shape and dtype of the variable that a resource tensor refers to.

    None where it refers to something else, such as a table, queue or iterator.
    """
    get = private("get_handle_data")
    data = None if get is None else get(handle)
    if data is None or not data.is_set or len(data.shape_and_type) != 1:
        return None
    (element,) = data.shape_and_type
    return tf.TensorSpec(tf.TensorShape(element.shape), tf.as_dtype(element.dtype))


def is_read_only(operation_type: str) -> bool:
    """Whether operations of this type only read their resources."""
    known = private("resource_reads")
    return known is not None and operation_type in known


def changed_inputs(operation: Any) -> list[Any]:
    """The resource inputs that an operation of a graph may change.

    For a function call, a conditional or a loop, those that its operations may change.
    """
    get = private("get_read_write_resource_inputs")
    return [] if get is None else list(get(operation)[1])


@contextmanager
def on_operation_added(
    graph: Any, before: Callable[[str, list[Any]], Callable[[Any], None] | None]
) -> Iterator[bool]:
    """Calls `before` with each operation that is added to this graph, until the block ends.

    Args:
      graph: a function's graph.
      before: called with the type and the inputs before the operation is added; returns a function
        to be called with the operation afterwards, or None.

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
        else:  # There is a second recorder of the same step.
            graph._create_op_internal = original


def types_within(name: str, graph: Any = None) -> set[str]:
    """The types of the operations of a function and of the functions that it calls.

    Args:
      name: the function's.
      graph: the graph that calls it; None where it is called eagerly.
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
    except Exception:  # What cannot be inspected is considered harmless.
        return []
    return []


def without_autograph(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, which AutoGraph will not convert.

    Unlike `tf.autograph.experimental.do_not_convert`, this does not extend to what it calls.
    """
    function.autograph_info__ = None  # type: ignore[attr-defined]
    return function


def can_follow_changes() -> bool:
    """Whether this version has what is needed to follow what operations change."""
    needed = ("get_handle_data", "resource_reads", "get_read_write_resource_inputs", "context")
    return all(private(name) is not None for name in needed)
