"""TensorFlow: statistics on the device, and what records them from a custom training loop.

A step runs; `statistics` reduces its tensors to a few numbers each, in device variables; where the
host has to look, `graph.host_callback` says so; `recorder` reads the variables, makes a record of
them and hands it to `sink`, which writes the event file.

- `watcher`: a custom training loop (`nanwatch.Watcher` adds the failing step to it).
- `summary`: one call, one record, to the user's own writer (`nanwatch.summary`).
- `recorder`: windows of steps to records in a file of their own.
- `sink`: the event file.
- `tensors`: what users pass (mappings, pairs, slices) as named tensors.
- `facts`: what TensorFlow knows of the program, for the manifest.
- `private_api`: all that is used of TensorFlow and is not public, looked up where it is needed.

Rooms, each importing only from those before it:

- `graph`: how to build into a TensorFlow step, and how to follow what it does.
- `statistics`: counts, norms and histograms of many tensors.
- `tracing`: a step run eagerly, operation by operation, and the first non-finite one among these.
"""
