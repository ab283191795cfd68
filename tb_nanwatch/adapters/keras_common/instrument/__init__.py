"""Collects what a training step of a Keras model computes, and changes nothing in it.

The way of a step: `train_function` replaces the model's train function by an instrumented one;
`train_step` runs the model's own step with patched methods (`method_patching`), which report each
call of a layer, a loss or an optimizer; `step_tensors` collects them with names and roles. A guard
and an analyzer of failing steps are plugged in, as `training.protocols` describes them.

- `train_function`: the model's train function replaced, and restored.
- `train_step`: a `train_step` that collects its tensors.
- `step_function`: the Python function in a `train_step` that is a `tf.function`.
- `method_patching`: methods of single objects replaced while a step is traced or run.
- `step_tensors`: the tensors of one step.
- `batch`: what the parts of a batch are: input, target, sample weight.
- `losses`: the losses of a step, of custom steps too.
- `call_graph`: which layer consumes the outputs of which.
- `facts`: what Keras knows of the model, for the manifest.
- `layer_outputs`: which layers' outputs are recorded, and how the gradients that arrive there are.
- `optimizers`: the optimizers of a model, their slots and loss scales.
- `paths`: what layers and variables are called.
- `structures`: nested structures with the place of each leaf.
- `model_state`: all variables that a step of a model may change.
"""
