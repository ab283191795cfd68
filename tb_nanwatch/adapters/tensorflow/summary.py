"""`nanwatch.summary`: one call, one record, to the user's own `tf.summary` writer."""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary

from tb_nanwatch.adapters.tensorflow.graph.context import in_xla, without_op_callbacks
from tb_nanwatch.adapters.tensorflow.graph.variables import variable_path
from tb_nanwatch.adapters.tensorflow.private_api import private
from tb_nanwatch.adapters.tensorflow.statistics import kernels
from tb_nanwatch.adapters.tensorflow.statistics.kernels import Samples
from tb_nanwatch.adapters.tensorflow.statistics.samples import decode_samples, take_samples
from tb_nanwatch.adapters.tensorflow.tensors import (
    NamedTensor,
    as_list,
    flatten_data,
    is_pairs,
    name_tensor,
    parent_path,
    with_unique_names,
)
from tb_nanwatch.format.events import manifest_value, record_values
from tb_nanwatch.format.manifest import Manifest
from tb_nanwatch.format.records import new_window
from tb_nanwatch.format.roles import ROLE_NAMES, check_role, role_of_name
from tb_nanwatch.format.tags import RECORDS_PER_BLOCK, Stream
from tb_nanwatch.stats.columns import COLUMN, WINDOW_FIELD
from tb_nanwatch.stats.record import Record, empty_columns
from tb_nanwatch.training.session import new_session
from tb_nanwatch.training.warnings import warn


class _SummaryStream:
    """The records of one name and role in one writer: numbers them and lays them out."""

    def __init__(self, role: str, name: str):
        self._stream = Stream(new_session(), role, name)
        self._sequence = 0
        self._manifests: set[int] = set()

    def pack(self, manifest: Manifest, record: Record) -> bytes:
        """The record as one serialized Summary, with its manifest the first time."""
        digest = manifest.hash()
        record.window[WINDOW_FIELD["manifest"]] = digest
        record.window[WINDOW_FIELD["sequence"]] = self._sequence
        block = self._sequence // RECORDS_PER_BLOCK
        values = record_values(self._stream, block, record)
        if digest not in self._manifests:
            self._manifests.add(digest)
            values.insert(0, manifest_value(self._stream, manifest))
        self._sequence += 1
        return bytes(Summary(value=values).SerializeToString())


# A new writer is a new file: its records need their manifest again, and tags of their own.
_streams: weakref.WeakKeyDictionary[Any, dict[tuple[str, str], _SummaryStream]] = (
    weakref.WeakKeyDictionary()
)


def _stream(role: str, name: str) -> _SummaryStream:
    streams = _streams.setdefault(_default_writer(), {})
    if (role, name) not in streams:
        streams[role, name] = _SummaryStream(role, name)
    return streams[role, name]


def _default_writer() -> Any:
    """TensorFlow has no public name for it."""
    summary_ops = private("summary_ops_v2")
    return None if summary_ops is None else summary_ops._summary_state.writer


def _named(role: str, tag: str, data: Any) -> Iterator[NamedTensor]:
    """The tensors of `data`, in order, named below `tag`."""
    if is_pairs(data):
        for gradient, variable in data:
            if gradient is not None:
                path = variable_path(variable)
                yield name_tensor(
                    role, parent_path(path), f"{tag}/{path}", gradient, shape=variable.shape
                )
    elif isinstance(data, Mapping):
        for key, value in data.items():
            for path, leaf in flatten_data(value, str(key)):
                yield name_tensor(role, parent_path(path), f"{tag}/{path}", leaf)
    elif isinstance(data, (list, tuple)) and any(hasattr(item, "dtype") for item in data):
        for path, leaf in flatten_data(data, tag):
            yield name_tensor(role, parent_path(tag), path, leaf)
    elif data is not None:
        yield name_tensor(role, parent_path(tag), tag, data)


_UNSAID = "activation"
"""What tensors are where nothing says it: a value on the way to the loss."""

# Names of which a warning was given.
_asked: set[str] = set()


def _role(name: str, data: Any) -> str:
    """What the tensors are, where that is not said."""
    role = "gradient" if is_pairs(data) else role_of_name(name)
    if role is None and name not in _asked:
        _asked.add(name)
        warn(
            f"nanwatch.summary({name!r}) does not say what its tensors are, and records them as "
            f"activations. Pass role=..., one of {', '.join(ROLE_NAMES)}, or a name such as "
            '"loss" or "gradients/critic".'
        )
    return role or _UNSAID


def summary(
    name: str,
    data: Any,
    step: Any = None,
    *,
    role: str | None = None,
    description: str | None = None,
) -> tf.Tensor:
    """Records the numerical health of tensors: exact NaN, +Inf and -Inf counts, statistics and the
    exponent histogram of each.

    The counterpart of `tf.summary.scalar`, eager or in a `tf.function`: it writes one record to
    the default `tf.summary` writer, obeys `tf.summary.record_if` and the default step, and takes
    the surrounding name scopes into the name.

    Args:
      name: a name for the record; the tensors' names begin with it.
      data: a tensor; a mapping of names to tensors; a list of tensors; or (gradient, variable)
        pairs as `optimizer.apply_gradients` takes them. float16, bfloat16, float32, float64,
        complex64 and complex128, any shape. `tf.IndexedSlices` are recorded by their values; `None`
        gradients are left out.
      step: int64-castable; by default `tf.summary.experimental.get_step()`.
      role: what the tensors are, one of `format.roles`. By default what `data` or `name` says:
        pairs are gradients, and "loss", "gradients/critic" or "critic_loss" name a role. Where
        neither says it, a warning asks for it, and they are recorded as activations.
      description: shown beside the tensors.

    Returns:
      A bool scalar tensor: whether a record was written. False where there is no default writer,
      where `record_if` is False, and where `data` has no tensor.

    Raises:
      TypeError: for integer, string and other tensors that cannot hold NaN or Inf.
      ValueError: for an unknown role, or where there is a default writer and no step.
      RuntimeError: in a function with `jit_compile=True`, which cannot write summaries.
    """
    data = as_list(data)
    role = _role(name, data) if role is None else check_role(role)
    with tf.summary.experimental.summary_scope(name or "unnamed", "nanwatch") as (tag, _):
        tensors = with_unique_names(_named(role, tag, data))
        if in_xla():
            raise RuntimeError(
                f"nanwatch.summary({name!r}) was called in a function compiled by XLA "
                "(jit_compile=True), where nothing can be written. Use nanwatch.Watcher, whose "
                "observe() works there and whose step_end() writes outside, or call "
                "nanwatch.summary outside of the compiled function."
            )
        if _default_writer() is None or not tensors:
            return tf.constant(False)
        if step is None:
            step = tf.summary.experimental.get_step()
        if step is None:
            raise ValueError(
                f"nanwatch.summary({name!r}) has no step. Pass step=..., or set a default step "
                "with tf.summary.experimental.set_step()."
            )
        manifest = Manifest(
            tuple(each.info for each in tensors), "summary", description=description or ""
        )
        return _write(_stream(role, tag), manifest, tensors, step)


def _write(
    stream: _SummaryStream, manifest: Manifest, tensors: Sequence[NamedTensor], step: Any
) -> tf.Tensor:
    formats = [kernels.dtype_format(each.tensor.dtype) for each in tensors]

    def pack(
        step: npt.NDArray[np.int64],
        counts: npt.NDArray[np.float64],
        *samples: npt.NDArray[Any],
    ) -> bytes:
        columns = empty_columns(len(formats))
        histograms = decode_samples(formats, Samples(*samples), 1, columns)
        columns[:, COLUMN["steps"]] = 1
        columns[:, COLUMN["elements"]] = columns[:, COLUMN["sampled_elements"]]
        columns[:, COLUMN["nan"] : COLUMN["neg_inf"] + 1] = counts[:, :3]
        with np.errstate(over="ignore"):
            columns[:, COLUMN["sum_squares"]] = counts[:, 3] ** 2
        columns[:, COLUMN["largest_norm"]] = counts[:, 3]
        bad = counts[:, :3].any(axis=1)
        columns[bad, COLUMN["nonfinite_steps"]] = 1
        columns[bad, COLUMN["first_nonfinite_step"]] = step
        columns[bad, COLUMN["last_nonfinite_step"]] = step
        window = new_window(0, 0, int(step), int(step))
        window[WINDOW_FIELD["sampled_step"]] = step
        return stream.pack(manifest, Record(window, columns, histograms))

    @without_op_callbacks()
    def record() -> tf.Tensor:
        rows = kernels.group_rows(kernels.flatten([each.tensor for each in tensors]))
        counts = kernels.count_nonfinite(rows)
        samples = take_samples(rows, masked=True)
        step64 = tf.cast(step, tf.int64)
        # In Python, not as graph operations: only `format` knows the encoding, and this call takes
        # no longer than writing the record.
        message = tf.numpy_function(pack, [step64, counts, *samples], tf.string)
        with tf.summary.record_if(True):  # Decided already.
            return tf.summary.experimental.write_raw_pb(message, step=step64)

    wanted = tf.summary.should_record_summaries()
    return tf.cond(tf.convert_to_tensor(wanted), record, lambda: tf.constant(False))
