"""A run as rules see it: arrays and facts, no cause and no sentence.

- `run`: everything below for one run; what every rule is given.
- `tensor_history`: the records, tensor by tensor.
- `nonfinite_intervals`: when each tensor was non-finite.
- `step_order`: the order in which a step computes its tensors, and which variables are trained.
- `layers`: what each layer is and what feeds it, as the framework reported.
- `layer_kinds`: which built-in classes drop a NaN, and which have an infinite derivative.
- `layer_gradients`: the gradients of each layer over a run.
- `causal_chain`: which non-finite tensor explains which.
- `curves`: norms over the steps, and when they have run away.
- `trends`: whether a finite curve has risen for good.
- `magnitudes`: which numbers are large for a dtype.
- `common_stretches`: the steps that whole records of two runs cover.

Names of layers and tensors are the user's and mean nothing here: they are compared for equality and
passed on. What a layer is comes from `format.facts`; where that is not known, rules say less.
"""
