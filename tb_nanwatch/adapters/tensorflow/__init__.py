"""TensorFlow: statistics on the device, and what records them from a custom training loop.

- `kernels`: the statistics of tensors as TensorFlow operations, eager, in graphs and under XLA.
- `samples`: those of the cadence, of many tensors; `finite`: whether tensors are, by sums first.
- `accumulator`: a window's statistics of many tensors in device variables.
- `bell`: how a step calls the host.
- `branch`: what runs in some steps only, as one node of the graph.
- `variables`: variables of our own.
- `graphs`: what TensorFlow builds at this moment.
- `watcher`: windows to records, records to a file of their own (`nanwatch.Watcher` adds to it).
- `assignments`: hears of variables before something is assigned to them.
- `summary`: one call, one record, to the user's own writer (`nanwatch.summary`).
- `operations`: all operations of what runs eagerly, and the gradients that arrive at each.
- `operation_origin`: which of them made something non-finite; `told_operation` puts it into words.
- `live_diagnosis`: what is wrong with a training, said while it runs.
- `replicas`: which replica of which worker runs a step.
- `tensors`: what users hand over (mappings, pairs, slices) as named tensors.
"""
