"""Keras 3 on TensorFlow.

- `callback`: `nanwatch.Callback`, for `model.fit`.
- `watcher`: `nanwatch.Watcher`, for a custom training loop: TensorFlow's, with `@watcher.step`.

Rooms:

- `instrument`: shows what a training step of a Keras model computes.
- `failing_step`: what happens to a step that is not finite: captured, deferred, skipped, run again.
"""
