"""TensorFlow: statistics on the device, and what records them from a custom training loop.

- `kernels`: the statistics of tensors as TensorFlow operations, eager, in graphs and under XLA.
- `blocks`: tensors of one dtype as blocks of one size, of which XLA compiles one kernel.
- `twins`: what is looked at in place of a tensor that TensorFlow would rearrange.
- `samples`: those of the cadence, of many tensors; `finite`: whether tensors are, by sums first.
- `accumulator`: a window's statistics of many tensors in device variables.
- `bell`: how a step calls the host.
- `branch`: what runs in some steps only, as one node of the graph.
- `variables`: variables of our own.
- `graphs`: what TensorFlow builds at this moment.
- `watcher`: windows to records, records to a file of their own (`nanwatch.Watcher` adds to it).
- `private_api`: all that is used of TensorFlow and is not public, looked up where it is needed.
- `exchange`: functions of others, exchanged for one thread.
- `state_changes`: what a step changes, as its operations are added to a graph.
- `assignments`: hears of variables before something is assigned to them, eagerly.
- `tapes`: hears what gradient tapes are asked for; `heard_operations`: each eager operation.
- `summary`: one call, one record, to the user's own writer (`nanwatch.summary`).
- `operations`: all operations of what runs eagerly, and the gradients that arrive at each.
- `operation_origin`: which of them made something non-finite; `told_operation` puts it into words.
- `live_diagnosis`: what is wrong with a training, said while it runs.
- `replicas`: which replica of which worker runs a step.
- `tensors`: what users hand over (mappings, pairs, slices) as named tensors.
"""
