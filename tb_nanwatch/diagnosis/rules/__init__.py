"""From facts to findings: one module a cause, or a family of causes; listed here, in one place.

There are two kinds of rules:

- An **event rule** explains one event: something that became non-finite of itself, by the causal
  chain (`facts.causal_chain`). It is given the run and the event, and answers with a finding, with
  `NO_FINDING` where the event is no trouble, or with None to leave it to the rules after it. The
  first answer counts, so the order of `EVENT_RULES` is the order of precedence.
- A **run rule** looks at the whole run, and at the findings so far: trends, ranges, whatever stays
  finite. It yields any number of findings.

To add a rule, such as `improper_output`:

1. Name the cause, with its severity and variants, in `diagnosis.finding.CAUSES`.
2. Write a module here. `run.recorded("prediction")` lists the tensors, `run.histories[t]` has their
   records (`.column("max")`), and `run.history.model.losses` is what the framework reported of the
   loss. Numbers to compare with go into `diagnosis.thresholds`. Never parse a name.
3. List its function below.
4. Give it words in `diagnosis.text`: `headlines`, `explanations`, `fixes`. Tests fail until each
   variant has them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from tb_nanwatch.diagnosis.facts.causal_chain import Event
from tb_nanwatch.diagnosis.facts.run import Run
from tb_nanwatch.diagnosis.finding import Finding
from tb_nanwatch.diagnosis.rules.backward import (
    backward,
    every_gradient,
    overflowing_gradients,
    update_between_losses,
)
from tb_nanwatch.diagnosis.rules.data import initial_weight, mask, nonfinite_data
from tb_nanwatch.diagnosis.rules.divergence import running_away
from tb_nanwatch.diagnosis.rules.empty_batch import empty_batch
from tb_nanwatch.diagnosis.rules.epoch_logs import nonfinite_logs
from tb_nanwatch.diagnosis.rules.event_finding import Answer
from tb_nanwatch.diagnosis.rules.fill_values import fill_values, overflowing_fill_value
from tb_nanwatch.diagnosis.rules.growth import grown_until_overflow
from tb_nanwatch.diagnosis.rules.improper_output import improper_output
from tb_nanwatch.diagnosis.rules.integers import ids_beyond_table, label_beyond_classes
from tb_nanwatch.diagnosis.rules.layer_forward import hidden_forward, layer_forward
from tb_nanwatch.diagnosis.rules.loss_domain import infinite_loss_beside_overflow, loss_domain
from tb_nanwatch.diagnosis.rules.loss_scaling import loss_scaling
from tb_nanwatch.diagnosis.rules.not_training import not_training
from tb_nanwatch.diagnosis.rules.optimizer import optimizer_overflow, unseen_gradients
from tb_nanwatch.diagnosis.rules.ranges import overflow_risk, underflow
from tb_nanwatch.diagnosis.rules.statistics import (
    lost_statistics,
    poisoned_statistics,
    surviving_statistics,
)
from tb_nanwatch.diagnosis.rules.swallowed import swallowed
from tb_nanwatch.diagnosis.rules.unscaled import constant_columns, unscaled_data
from tb_nanwatch.diagnosis.rules.weak_gradients import weak_gradients

EventRule = Callable[[Run, Event], Answer]
RunRule = Callable[[Run, Sequence[Finding]], Iterator[Finding]]

EVENT_RULES: tuple[EventRule, ...] = (
    empty_batch,
    label_beyond_classes,
    mask,
    nonfinite_data,
    initial_weight,
    overflowing_fill_value,
    swallowed,
    surviving_statistics,
    infinite_loss_beside_overflow,
    grown_until_overflow,
    lost_statistics,
    update_between_losses,
    layer_forward,
    loss_domain,
    overflowing_gradients,
    every_gradient,
    hidden_forward,
    backward,
    unseen_gradients,
    optimizer_overflow,
)
"""By precedence: what is given before what is made, growth before the operation at its end, and
each stage of a step before what follows from it."""

RUN_RULES: tuple[RunRule, ...] = (
    poisoned_statistics,
    loss_scaling,
    ids_beyond_table,
    improper_output,
    running_away,
    weak_gradients,
    not_training,
    overflow_risk,
    underflow,
    fill_values,
    constant_columns,
    unscaled_data,
    nonfinite_logs,
)
"""In an order in which each finds what it builds on."""

__all__ = ["EVENT_RULES", "RUN_RULES", "EventRule", "RunRule"]
