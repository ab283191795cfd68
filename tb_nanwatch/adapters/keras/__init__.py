"""Keras 3 on TensorFlow.

- `callback`: `nanwatch.Callback`, what it records and what it does when a step goes non-finite.
- `train_function`: puts an observed training step in the model's place, and takes it out again.
- `observed_step`: a `train_step` that shows what it computes.
- `skip`: withholds the update of a step that is not finite.
- `spies`: how it does: methods of single objects, spied on while a step is traced or run.
- `observation`: what one step shows: data, layers' outputs, loss, gradients, and its state.
- `layer_outputs`: which layers' outputs are watched, and how the gradients that arrive there are.
- `optimizers`: the optimizers of a model, their slots and loss scales.
"""
