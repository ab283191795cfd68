"""What happens to a step that is not finite.

The way of a failing step: `step_guard` (under XLA `compiled_guard`) checks losses and gradients
before an update uses them. Where they are not finite, the step's batch and variables are captured
(`captured_step`), or the step is deferred (`deferred_steps`), or its update is skipped. `black_box`
then has the step run again, operation by operation (`rerun`), and writes down what that found.

- `update_policy`: what happens to a step that is not finite.
- `update_guard`: what all guards have in common; `model_guards` makes one for each step.
- `step_guard`: checks losses and gradients of a step that runs eagerly or in a graph.
- `compiled_guard`: the same for a step that XLA compiles.
- `prior_values`: values of variables from before a step.
- `armed_buffer`: what captured and deferred steps have in common.
- `captured_step`: the batch of a failing step, and the values of variables before it.
- `deferred_steps`: the batches of failing steps whose update waits for the host.
- `black_box`: what the host does with such a step.
- `rerun`: runs a step again, operation by operation.
- `trials`: runs it with a remedy, to see whether that cures it.
- `replay`: the same in another process, from what is on disk (`nanwatch replay`).
- `loop`: the step function of a custom training loop; `loop_step`: one of its steps.
"""
