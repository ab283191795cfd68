"""Keras 3 on TensorFlow.

- `callback`: `nanwatch.Callback`, what it records and what it does when a step goes non-finite.
- `train_function`: puts an observed training step in the model's place, and takes it out again.
- `observed_step`: a `train_step` that shows what it computes.
- `withholding`: withholds the update of a step that is not finite: to skip it, or to run it again.
- `withheld_step`: one step of `fit`, withheld so; `step_state`: what it may change, and puts back.
- `replica_step`: keeps one of several replicas, whose update cannot be withheld.
- `hold`: keeps the batch of such a step.
- `black_box`: runs it again, and has the training go on; `rerun` does so operation by operation.
- `watcher`: `nanwatch.Watcher`, which adds the black box to TensorFlow's.
- `loop`: the steps of a custom loop, held and run again; `loop_step`: one of them.
- `replay`: the same in another process, from what was kept on disk.
- `spies`: how it does: methods of single objects, spied on while a step is traced or run.
- `observation`: what one step shows: data, layers' outputs, loss, gradients, and its state.
- `layer_outputs`: which layers' outputs are watched, and how the gradients that arrive there are.
- `optimizers`: the optimizers of a model, their slots and loss scales.
"""
