"""Keras models on TensorFlow, of Keras 3 and Keras 2.

A step of `model.fit` runs instrumented: its tensors are collected and go to TensorFlow's recorder,
its losses and gradients through a guard. Where they are not finite, the step is analyzed.

- `framework`: the version of Keras that an object belongs to; `adapters.keras` and
  `adapters.tf_keras` implement what differs.
- `callback`: `nanwatch.Callback`, for `model.fit`.
- `fit_call`: notices a call of `fit` that ends by an exception.
- `watcher`: `nanwatch.Watcher`, for a custom training loop: TensorFlow's, with `@watcher.step`.

Rooms, the second importing from the first:

- `instrument`: shows what a training step of a Keras model computes.
- `failing_step`: what happens to a step that is not finite: captured, deferred, skipped, run again.
"""
