"""Keras 3 on TensorFlow.

- `callback`: `nanwatch.Callback`, what it records and what it does when a step goes non-finite.
- `train_function`: puts an observed training step in the model's place, and takes it out again.
- `observed_step`: a `train_step` that shows what it computes.
- `own_step`: a `train_step` that is a `tf.function`, opened.
- `batch`: what the parts of a batch are; `losses`: those of steps of one's own.
- `paths`: what layers and variables are called.
- `step_guard`: looks at losses and gradients before they reach a weight: keeps a step that is not
  finite, or skips it; `compiled_guard`: the same of a step that XLA compiles, which it holds back.
- `step_state`: what a step of a model may change.
- `kept_step`: keeps the batch of such a step, and what variables held before it.
- `held_steps`: the batches of steps that are held back.
- `black_box`: looks into a step that was kept or held; `rerun` runs it operation by operation.
- `watcher`: `nanwatch.Watcher`, which adds the black box to TensorFlow's.
- `loop`: the steps of a custom loop; `loop_step`: one of them.
- `replay`: the same in another process, from what was kept on disk.
- `spies`: how it does: methods of single objects, spied on while a step is traced or run.
- `observation`: what one step shows: data, layers' outputs, loss, gradients, and its state.
- `layer_outputs`: which layers' outputs are watched, and how the gradients that arrive there are.
- `optimizers`: the optimizers of a model, their slots and loss scales.
"""
