"""A command that reads needs no TensorFlow, and no seconds of its import."""

from __future__ import annotations

import sys
import types


def read_without_tensorflow() -> None:
    """Has TensorBoard take its own file access in place of TensorFlow's, as where there is none.

    For the whole process, so never in one that has imported TensorFlow: its `tf.summary` would
    find no TensorFlow any more.
    """
    if "tensorflow" not in sys.modules:
        sys.modules.setdefault("tensorboard.compat.notf", types.ModuleType("notf"))
