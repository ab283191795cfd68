"""The analysis of a step that went non-finite, without any framework.

The way of a failing step: `guarded_update` has an adapter check losses and gradients before they
reach a weight. The adapter runs the step again as a `trace` of operations; `origin` finds the one
that made something non-finite, through `protocols.TensorAccess`; `describe_operation` turns it into
facts, and `step_dump` packs it for the disk.

- `guarded_update`: runs an optimizer's update behind its guard.
- `trace`: a training step as a list of operations.
- `origin`: which operation made something non-finite, in which pass.
- `describe_operation`: its source, operands and batch rows, as recorded.
- `step_dump`: the step as the contents of a few files: JSON and npz, no pickle.
"""
