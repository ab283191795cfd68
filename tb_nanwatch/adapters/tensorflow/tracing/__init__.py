"""A step run eagerly, operation by operation, and the first non-finite operation in it.

The way of a failing step: `operations` keeps each operation with its inputs, outputs, source line
and layer, and the gradient that arrives at each; `origin` finds the one that made something
non-finite; `describe_operation` turns it into facts to be recorded.

- `operations`: all operations of what runs eagerly, and the gradients that arrive at each.
- `variable_hooks`: callbacks before a variable is written, and when one is read.
- `origin`: which operation made something non-finite.
- `describe_operation`: that operation as facts: its source, its operands, the rows of the batch.
"""
