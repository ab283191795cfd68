"""NaNWatch: where, when and why a TensorFlow training run hit NaN, exploded or stalled.

    import tb_nanwatch as nanwatch

    model.fit(x, y, callbacks=[nanwatch.Callback("logs/run1")])   # Keras

    with writer.as_default():                                     # a custom training loop
        nanwatch.summary("gradients", zip(gradients, variables), step=step)

Then ``tensorboard --logdir logs`` and its NaNWatch tab, or ``nanwatch.show("logs")`` in a notebook.
Importing this module imports no framework; each name loads what it needs when it is first used.
NaNWatch's own warnings are of the class ``nanwatch.NaNWatchWarning``, to be filtered by it.
"""

from __future__ import annotations

import functools
import importlib
import random
from types import ModuleType
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from tb_nanwatch.adapters.keras_common.callback import Callback as Callback
    from tb_nanwatch.adapters.keras_common.watcher import Watcher as Watcher
    from tb_nanwatch.adapters.tensorflow.summary import summary as summary
    from tb_nanwatch.notebook import show as show
    from tb_nanwatch.training.warnings import NaNWatchWarning as NaNWatchWarning

_LAZY = {
    "Callback": "tb_nanwatch.adapters.keras_common.callback",
    "Watcher": "tb_nanwatch.adapters.keras_common.watcher",
    "summary": "tb_nanwatch.adapters.tensorflow.summary",
    "show": "tb_nanwatch.notebook",
    "NaNWatchWarning": "tb_nanwatch.training.warnings",
}

__all__ = ["Callback", "NaNWatchWarning", "Watcher", "__version__", "show", "summary"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_imported(_LAZY[name]), name)
    globals()[name] = value
    return value


def _imported(module: str) -> ModuleType:
    """The module; an ImportError says in a sentence what this Python lacks, and how to mend it."""
    from tb_nanwatch import requirements

    if ".adapters." not in module:
        try:
            return _loaded(module)
        except ImportError as error:
            trouble = requirements.unmet_by_reading()
            raise ImportError(f"NaNWatch cannot read logs here. {trouble or error}") from error
    trouble = requirements.unmet()
    if trouble is not None:
        raise ImportError(f"NaNWatch cannot record here. {trouble}")
    _note_versions()
    try:
        return _loaded(module)
    except ImportError as error:
        raise ImportError(f"NaNWatch cannot record here. {requirements.unmet(error)}") from error


def _loaded(module: str) -> ModuleType:
    """The module. Keras draws from `random` when it is first imported, which with `tf_keras` is
    here: a training that has seeded it goes on as it would have."""
    state = random.getstate()
    try:
        return importlib.import_module(module)
    finally:
        random.setstate(state)


@functools.cache
def _note_versions() -> None:
    """Says, once, which packages are newer than the newest that this version was tested with."""
    from tb_nanwatch import requirements
    from tb_nanwatch.training.console import logger

    for note in requirements.newer_than_tested():
        logger.info("%s", note)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
