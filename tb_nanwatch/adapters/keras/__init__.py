"""Keras 3 on TensorFlow.

- `callback`: `nanwatch.Callback`, what it records and what it does when a step goes non-finite.
- `train_function`: puts an observed training step in the model's place, and takes it out again.
- `observation`: what one `train_step` shows: data, predictions, loss, gradients, weights.
"""
