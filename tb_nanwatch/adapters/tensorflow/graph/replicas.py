"""Which of several replicas, and which of several workers, runs a step."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

_KNOWN = (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)


def is_supported(strategy: tf.distribute.Strategy) -> bool:
    """Whether steps under this strategy can be recorded: with one replica, or mirrored ones."""
    return strategy.num_replicas_in_sync == 1 or isinstance(strategy, _KNOWN)


def is_single_process(strategy: tf.distribute.Strategy) -> bool:
    """Whether all the replicas of a strategy run in this process."""
    replicas = int(strategy.num_replicas_in_sync)
    return replicas == 1 or replicas == len(strategy.extended.worker_devices)


def is_one_replica() -> bool:
    """In the step: whether no other replica takes it, in this process or another."""
    return int(tf.distribute.get_strategy().num_replicas_in_sync) == 1


def current_replica() -> int:
    """Number of the replica of this process whose step is traced or run; 0 outside of replicas."""
    context = tf.distribute.get_replica_context()
    if context is None or _replicas_here() == 1:
        return 0
    number = int(tf.get_static_value(context.replica_id_in_sync_group))
    return number % _replicas_here()


def merges_updates() -> bool:
    """Whether an update calls `merge_call`, as most strategies' do: not allowed in a branch."""
    supports = getattr(tf.__internal__.distribute, "strategy_supports_no_merge_call", None)
    return tf.distribute.has_strategy() and not (supports is not None and supports())


def replica_label() -> str:
    """The label of rows of this replica alone; "" with one replica in the process."""
    context = tf.distribute.get_replica_context()
    return "" if context is None or _replicas_here() == 1 else f"replica-{current_replica()}"


def worker_name() -> str:
    """The name of this process among the workers of one training, such as "worker-1"; or ""."""
    resolver = getattr(tf.distribute.get_strategy(), "cluster_resolver", None)
    if resolver is None or resolver.task_type is None:
        return ""
    tasks = sum(map(len, resolver.cluster_spec().as_dict().values()))
    return f"{resolver.task_type}-{resolver.task_id}" if tasks > 1 else ""


def is_mirrored(variable: Any) -> bool:
    """Whether every replica holds the same value of a variable, TensorFlow's or Keras'."""
    inner = getattr(variable, "_value", variable)
    return getattr(inner, "synchronization", None) is not tf.VariableSynchronization.ON_READ


def _replicas_here() -> int:
    if not tf.distribute.has_strategy():
        return 1
    return len(tf.distribute.get_strategy().extended.worker_devices)
