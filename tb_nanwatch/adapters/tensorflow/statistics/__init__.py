"""Statistics of tensors, on the device.

The way of a step: `accumulator` reduces each tensor to its sum of squares (`kernels`); where one of
these is not finite it takes exact counts, in the same step; where the window ends it takes exponent
histograms (`samples`). The host reads the accumulated numbers once a window.

- `kernels`: the statistics as TensorFlow operations, eager, in graphs and under XLA.
- `blocks`: tensors of one dtype as blocks of one size, of which XLA compiles one kernel.
- `samples`: exponent histograms and extremes of many tensors; decoded on the host.
- `finite`: whether tensors are finite: by their sums first, by each element where these overflow.
- `device_state`: counts the steps on the device, and tells a step whether the host looks at it.
- `accumulator`: a window's statistics of many tensors in device variables.
"""
