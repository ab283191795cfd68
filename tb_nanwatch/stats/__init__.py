"""What is counted and how it merges: the NumPy reference that every framework's kernels match.

Pure functions over arrays: no clock, no file, no framework.

- `columns`, `statistics`: the names, units and merge rules of all that is recorded or derived.
- `floats`: the bit layout of the floating-point formats.
- `histogram`: exponent histograms, of one tensor and of a record's tensors.
- `record`: one window's statistics for all the tensors of a stream, and `merge`.
- `reference`: every statistic of one tensor at one step, from its bits.
- `derived`: the statistics a person chooses, from a record's columns.
- `instability`: how far a tensor's norm is from its usual level, from its history.
"""
