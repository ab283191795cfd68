"""How to build into a TensorFlow step, and how to follow what it does.

A step is traced or runs eagerly: `context` says which. What is added to it runs in some steps only
(`cond`), reads a tensor without changing how the step rounds (`twins`), keeps its numbers in
variables of its own (`variables`), and calls the host when there is something to do
(`host_callback`). Meanwhile the step's own reads, writes, gradients and operations are followed.

- `context`: what TensorFlow builds at this moment: no graph, a graph, one that XLA compiles.
- `cond`: a conditional as one node of the graph.
- `host_callback`: how a step calls the host.
- `handoff`: how a step that XLA compiles leaves tensors to the host.
- `variables`: variables of our own.
- `twins`: what to read in place of a tensor that TensorFlow's graph optimizer would rearrange.
- `replicas`: which replica of which worker runs a step.
- `function_patching`: functions of a class or module replaced, for one thread.
- `operation_callbacks`: a callback after each operation that runs eagerly.
- `tapes`: a callback after each gradient that a tape computes.
- `state_changes`: what a step changes, as its operations are added to a graph.
"""
