"""What to do about each cause."""

from __future__ import annotations

from tb_nanwatch.diagnosis.finding import Place


def of(cause: str, place: Place) -> str:
    """The advice for a cause at a place."""
    return _ADVICE[cause].format(layer=place.layer, tensor=place.tensor)


_ADVICE = {
    "nonfinite-input": "Clean the data before training: np.argwhere(~np.isfinite(x)) names the "
    "rows and columns. Impute or drop them.",
    "nonfinite-target": "Clean the labels before training: np.argwhere(~np.isfinite(y)) names the "
    "rows. Drop them or repair their source.",
    "nonfinite-initial-weight": "Load a checkpoint from before it went bad, or initialise "
    "{tensor!r} again.",
    "layer-forward": "Look in layer {layer!r} for a division, log, sqrt or exp, and keep its "
    "argument in the domain.",
    "loss-domain": "Let the loss take logits: from_logits=True, without an activation on the "
    "last layer.",
    "layer-backward": "Look in layer {layer!r} for a sqrt or log at 0, whose slope is infinite.",
    "optimizer-overflow": "Scale the targets or the loss so that gradients are near 1.",
}
