"""`label-out-of-range`, `id-out-of-range`: whole numbers that name no class, and no row of a table.

A CPU raises an error for both. A GPU, and XLA on any device, make NaN of the one, and another
row, or zeros, of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.loss_kinds import SPARSE
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.rules.event_finding import Answer, finding_from_event
from tb_nanwatch.diagnosis.rules.trend_finding import finding_of_trend


def label_beyond_classes(run: Run, event: Event) -> Answer:
    """For a loss that becomes non-finite in a step with a label that names no class."""
    losses, predictions = run.history.model.losses, run.recorded("prediction")
    labels = run.integers("target")
    if run.info(event.origin).role != "loss" or not len(losses) == len(predictions) == 1:
        return None
    if len(labels) != 1 or not losses[0].is_builtin or losses[0].class_name not in SPARSE:
        return None
    shape = run.info(predictions[0]).shape
    classes = shape[-1] if shape else -1
    history = run.histories[labels[0]]
    record = history.record_at(event.step)
    if classes < 1 or record is None:
        return None
    ends = (float(history.column(name)[record]) for name in ("min", "max"))
    bad = [end for end in ends if not 0 <= end < classes and end != losses[0].ignore_class]
    if not bad or np.isnan(bad[0]):
        return None
    return finding_from_event(
        run, event, "label-out-of-range", evidence={"label": bad[0], "classes": classes}
    )


def ids_beyond_table(run: Run, findings: Sequence[Finding]) -> Iterator[Finding]:
    """For ids that are no row of the one table that takes them."""
    tables = [
        layer
        for layer in run.history.model.layers
        if layer.is_builtin and layer.class_name == "Embedding" and not layer.inputs
    ]
    ids = run.integers("input")
    if not len(tables) == len(ids) == 1:
        return
    weights = [t for t in run.recorded("weight") if run.info(t).layer == tables[0].path]
    shape = run.info(weights[0]).shape if weights else None
    history = run.histories[ids[0]]
    low, high = history.column("min"), history.column("max")
    rows = shape[0] if shape else 0
    beyond = np.flatnonzero((low < 0) | (high >= rows))
    if not rows or not len(beyond):
        return
    first = beyond[0]
    found = finding_of_trend(
        run,
        "id-out-of-range",
        ids[0],
        (int(history.last[first]), int(history.last[beyond[-1]])),
        {"id": float(low[first] if low[first] < 0 else high[first]), "rows": rows},
    )
    yield replace(found, origin=replace(found.origin, layer=tables[0].path))
