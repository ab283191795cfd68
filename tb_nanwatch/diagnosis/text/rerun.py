"""What running a step again has shown besides an operation, and the remedies tried on it."""

from __future__ import annotations

from collections.abc import Iterator

from tb_nanwatch.diagnosis.text.names import code
from tb_nanwatch.diagnosis.text.numbers import number, plural
from tb_nanwatch.diagnosis.text.operation import operation_name, source_line
from tb_nanwatch.format.rerun import Rerun, Trial

_LAYERS = "The finding names the layer, not the operation."

_COMPILERS = {
    "xla": "XLA compiles the step as a whole and rounds differently",
    "graph": "TensorFlow fuses operations in a graph and rounds differently",
}


def outcome(rerun: Rerun) -> str:
    """ "reproduced when re-run eagerly": what came of running the step again."""
    mode = {"eager": "eagerly", "graph": "as a graph", "xla": "under XLA"}[rerun.mode]
    return f"reproduced when re-run {mode}" if rerun.reproduced else "not reproduced when re-run"


def note(rerun: Rerun) -> str:
    """What else is to be said of it, in sentences; "" for nothing."""
    if rerun.failure:
        return (
            f"The step could not be re-run operation by operation, in eager mode ({rerun.failure})."
        )
    if rerun.reproduced and rerun.mode == "eager":
        batch = "The NaN or Inf is already in the batch; no operation produced it."
        weight = "A weight was already non-finite before the step."
        said = [batch] * rerun.is_of_batch + [weight] * rerun.is_of_weight
        return " ".join(said)
    return _finite_note(rerun)


def _finite_note(rerun: Rerun) -> str:
    """Where the step was finite operation by operation, why that may be."""
    if rerun.draws_random:
        return (
            "Re-run from the same state with the same batch, the step was finite: it draws random "
            "numbers with `tf.random` that cannot be drawn again."
        )
    if rerun.reproduced:
        compiler = _COMPILERS.get(rerun.mode, _COMPILERS["graph"])
        return f"In eager mode the step stays finite: {compiler}. {_LAYERS}"
    other = f", or {_COMPILERS[rerun.mode]}" if rerun.mode in _COMPILERS else ""
    return (
        "Re-run from the same state with the same batch, the step was finite: it depends on "
        f"something besides these, such as an environment{other}. {_LAYERS}"
    )


def trials(rerun: Rerun | None) -> Iterator[str]:
    """A sentence for each remedy that was tried on the step."""
    for trial in () if rerun is None else rerun.tried:
        yield trial_sentence(trial)


def trial_sentence(trial: Trial) -> str:
    """ "With `tf.sqrt(x + 1e-6)` the loss is 0.83 and all 14 gradients are finite."."""
    with_it = f"With {_remedy(trial)}"
    if trial.outcome == "failed":
        return f"{with_it} the step could not be run."
    if trial.outcome == "finite":
        loss = "" if trial.loss is None else f"the loss is {number(trial.loss)} and "
        return f"{with_it} {loss}{_all(trial.gradients)} finite."
    where = ""
    if trial.operation is not None:
        line = source_line(trial.operation)
        where = f", next in {operation_name(trial.operation)}{f' ({line})' if line else ''}"
    return f"{with_it} the step is still not finite{where}."


def _all(gradients: int) -> str:
    if gradients == 0:
        return "everything is"
    return "the gradient is" if gradients == 1 else f"all {plural(gradients, 'gradient')} are"


_REMEDIES = {
    "leave-out-rows": "those rows left out",
    "from-logits": "logits and `from_logits=True`",
    "fill": "these elements filled with 0",
    "fill-example": "these elements filled with 0",
    "float32-layer": "the layer in float32",
}


def _remedy(trial: Trial) -> str:
    return _REMEDIES.get(trial.remedy) or code(trial.code)
