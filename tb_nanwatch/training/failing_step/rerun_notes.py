"""The notes of a rerun: what it found besides an operation, in sentences."""

from __future__ import annotations

from tb_nanwatch.format.rerun import Mode

NONFINITE_DATA = "The NaN or Inf is already in the batch; no operation produced it."

NONFINITE_WEIGHT = "A weight was already non-finite before the step."

_LAYERS = "The finding names the layer, not the operation."

_COMPILERS = {
    "xla": "XLA compiles the step as a whole and rounds differently",
    "graph": "TensorFlow fuses operations in a graph and rounds differently",
}


def rerun_failed(error_type: str, message: str) -> str:
    """Where the step could not be run operation by operation."""
    return (
        "The step could not be re-run operation by operation, in eager mode "
        f"({error_type}: {message})."
    )


def not_reproduced(is_random: bool, again: bool, mode: Mode) -> str:
    """Where the step was finite operation by operation, why that may be.

    Args:
      is_random: whether it drew random numbers that cannot be drawn again.
      again: whether it went non-finite again in `mode`.
      mode: how the training runs it.
    """
    if is_random:
        return (
            "Re-run from the same state with the same batch, the step was finite: it draws random "
            "numbers with `tf.random` that cannot be drawn again."
        )
    if again:
        compiler = _COMPILERS.get(mode, _COMPILERS["graph"])
        return f"In eager mode the step stays finite: {compiler}. {_LAYERS}"
    other = f", or {_COMPILERS[mode]}" if mode in _COMPILERS else ""
    return (
        "Re-run from the same state with the same batch, the step was finite: it depends on "
        f"something besides these, such as an environment{other}. {_LAYERS}"
    )
