"""A step run eagerly, operation by operation, and the first non-finite operation in it.

The way of a failing step: `operations` runs it and keeps each operation with its inputs, outputs,
source line and layer, and the gradient that arrives there, as a `training.failing_step.trace`;
`origin` lets `training.failing_step` search it and describe what it finds.

- `operations`: all operations of what runs eagerly, and the gradients that arrive at each.
- `random_state`: what draws random numbers for the whole process, as it was.
- `variable_hooks`: callbacks before a variable is written, and when one is read.
- `origin`: what the search for the first non-finite operation asks of TensorFlow's tensors.
- `remedies`: what to write in place of an operation, as code to show and to run.
- `stand_in`: runs something else in place of one operation.
"""
