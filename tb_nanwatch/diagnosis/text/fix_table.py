"""What to do about each cause, in words and as code: a table, and nothing else.

Keys are a cause, or "cause/variant" where a cause has several. `keras` is code for `model.fit`,
`tensorflow` for a loop of one's own where that differs. In words and code, {layer} is the layer to
look in, {optimizer} the class of the optimizer, and {rate} a tenth of the learning rate. The live
message has room for the first sentence only.
"""

from __future__ import annotations

from typing import NamedTuple


class Fix(NamedTuple):
    """What to do: words, and code to copy."""

    words: str
    keras: str = ""
    tensorflow: str = ""

    def code(self, framework: str) -> str:
        """The code for a framework."""
        return self.tensorflow if framework == "tensorflow" and self.tensorflow else self.keras


_CLIPPING = "Clipping will not fix this: a clipped NaN is still NaN."

_GUARDS = (
    "tf.math.divide_no_nan(x, y)  # not x / y\n"
    "tf.math.log(tf.maximum(x, 1e-6))  # not tf.math.log(x)\n"
    "tf.sqrt(tf.maximum(x, 0.0) + 1e-6)  # not tf.sqrt(x)"
)

_BACKWARD_GUARDS = (
    "tf.sqrt(x + 1e-6)  # not tf.sqrt(x)\n"
    "tf.sqrt(tf.reduce_sum(x * x, axis=-1) + 1e-6)  # not tf.norm(x)\n"
    "safe = tf.where(x > 0, x, 1.0)\n"
    "tf.where(x > 0, tf.math.log(safe), 0.0)  # not where(x > 0, log(x), 0)"
)

_SCALED_TARGETS = (
    'y = y.astype("float64")\n'
    "mean, std = y.mean(axis=0), y.std(axis=0)\n"
    "y = (y - mean) / np.where(std > 0, std, 1)\n"
    "# after training: prediction * std + mean"
)

_CLIPPING_OPTIMIZER = (
    "optimizer = keras.optimizers.{optimizer}(\n    learning_rate={rate}, global_clipnorm=1.0\n)"
)

_CLIPPED = (
    "gradients, _ = tf.clip_by_global_norm(gradients, 1.0)\n"
    "optimizer.apply_gradients(zip(gradients, model.trainable_variables))"
)

FIXES: dict[str, Fix] = {
    "nonfinite-input": Fix(
        "Find the rows, and drop them or impute the values. If a normalization produced them, a "
        "constant column has a standard deviation of 0: divide by `np.where(std > 0, std, 1)`. "
        + _CLIPPING,
        "good = np.isfinite(np.asarray(x)).reshape(len(x), -1).all(axis=1)\n"
        "print(np.flatnonzero(~good))  # bad rows\n"
        "x, y = x[good], y[good]",
        "dataset = dataset.unbatch().filter(\n"
        "    lambda x, y: tf.reduce_all(tf.math.is_finite(x))\n"
        ").batch(batch_size)",
    ),
    "nonfinite-target": Fix(
        "Find the rows, and drop them or fix their source. A sample weight of 0 is not enough, "
        f"because 0 * NaN is NaN. {_CLIPPING}",
        "good = np.isfinite(np.asarray(y)).reshape(len(y), -1).all(axis=1)\n"
        "print(np.flatnonzero(~good))  # bad rows\n"
        "x, y = x[good], y[good]",
        "dataset = dataset.unbatch().filter(\n"
        "    lambda x, y: tf.reduce_all(tf.math.is_finite(y))\n"
        ").batch(batch_size)",
    ),
    "nonfinite-target/sample-weight": Fix(
        "Find the rows with `np.flatnonzero(~np.isfinite(sample_weight))`. Where a count or a sum "
        f"normalizes the weights, it may be 0. To leave a row out, use the weight 0. {_CLIPPING}",
        "sample_weight = total / np.maximum(count, 1)",
    ),
    "nonfinite-initial-weight": Fix(
        "Load an earlier checkpoint, or re-initialize the variable. The code lists all such "
        "weights; run the same check before saving a checkpoint.",
        "[w.path for w in model.weights if not np.isfinite(w.numpy()).all()]",
        "[v.name for v in model.variables if not np.isfinite(v.numpy()).all()]",
    ),
    "nonfinite-initial-weight/between": Fix(
        "Find what writes to the weights before that step: run the code after each thing that "
        "does. If it is another training, look at its own finding first.",
        "[w.path for w in model.weights if not np.isfinite(w.numpy()).all()]",
        "[v.name for v in model.variables if not np.isfinite(v.numpy()).all()]",
    ),
    "empty-batch": Fix(
        "Drop batches without rows: a filter, a split or the end of a shard leaves nothing at "
        "times. Filter rows before `batch`, or batches after it.",
        "dataset = dataset.filter(lambda x, y: tf.shape(x)[0] > 0)  # after batch()",
    ),
    "label-out-of-range": Fix(
        "Number the labels from 0 to one less than the units of the last layer: subtract 1 where "
        "they start at 1, or give the last layer as many units as there are classes. Leave out "
        "rows without a label, such as -1 or 255, with `ignore_class`.",
        "print(np.unique(y))  # has to be within 0 ... units - 1\n"
        "y = y - 1  # labels that start at 1\n"
        "loss = keras.losses.SparseCategoricalCrossentropy(\n"
        "    from_logits=True, ignore_class=-1\n"
        ")",
    ),
    "id-out-of-range": Fix(
        "Give the table as many rows as the largest id needs, or send unknown ids to one row for "
        "all of them.",
        "print(x.min(), x.max())  # has to be within 0 ... rows - 1\n"
        "keras.layers.Embedding(x.max() + 1, units)",
    ),
    "layer-forward/invalid": Fix(
        "Look in {layer} for 0/0, Inf - Inf, the log or square root of a negative number, or the "
        "softmax of an all -Inf row, and clamp its input. In a mask use -1e9 (-3e4 in float16) "
        f"instead of -Inf. {_CLIPPING}",
        _GUARDS,
    ),
    "layer-forward/division": Fix(
        "Look in {layer} for a division by zero, log(0) or an exponential: the values around it "
        "are moderate, so nothing grew. Guard the division, clamp the input of the log, and bound "
        "that of an exponential.",
        "tf.math.divide_no_nan(x, y)  # not x / y\n"
        "tf.math.log(tf.maximum(x, 1e-6))  # not tf.math.log(x)\n"
        "tf.exp(tf.minimum(x, 20.0))  # not tf.exp(x)",
    ),
    "layer-forward/overflow": Fix(
        "Normalize the input of {layer}, or use a smaller initializer or a lower learning rate: "
        "values outgrow their dtype there.",
        "x = keras.layers.LayerNormalization()(x)",
    ),
    "layer-forward/hidden": Fix(
        "Check {layer} for an invalid operation, even though the loss looks fine: other devices or "
        "builds may propagate the NaN.",
        'x = tf.debugging.assert_all_finite(x, "input of the layer")\n' + _GUARDS,
    ),
    "loss-domain/probabilities": Fix(
        "Compute the loss from logits: it then stays finite. Adding 1e-7 to p does not fix "
        "log(1 - p). For another formula, clamp the input of each log and root, and guard each "
        "division.",
        "outputs = keras.layers.Dense(units)(x)  # logits: no activation\n"
        "loss = keras.losses.BinaryCrossentropy(from_logits=True)\n"
        "# or CategoricalCrossentropy(from_logits=True)",
        "tf.nn.sigmoid_cross_entropy_with_logits(labels=y, logits=z)\n"
        "tf.nn.log_softmax(z)  # not tf.math.log(tf.nn.softmax(z))",
    ),
    "loss-domain/formula": Fix(
        "Look in the loss for a division by zero, or the log or root of a number that is 0 or "
        "negative; regularizers and `add_loss` are part of it. Clamp the input of each log and "
        "root, guard each division, and make a predicted variance positive with softplus.",
        "tf.math.divide_no_nan(total, count)  # mean over a mask, may be empty\n"
        "tf.math.log(tf.maximum(x, 1e-6))  # not tf.math.log(x)\n"
        "scale = tf.nn.softplus(x) + 1e-6  # a predicted variance or rate",
    ),
    "loss-domain/overflow": Fix(
        "Scale the targets to unit variance, and scale predictions back after training; or use a "
        "loss that grows more slowly, such as `keras.losses.Huber()`.",
        _SCALED_TARGETS,
    ),
    "loss-domain/inferred": Fix(
        "Record what is missing to see where it starts. Then check the loss for log(0) and "
        "divisions by zero, and the data for NaN.",
        _GUARDS,
    ),
    "layer-backward": Fix(
        "Look in {layer} for an operation whose derivative is infinite: sqrt, norm or log at 0, or "
        "a `where` whose unused branch is undefined. Add an epsilon under the root; mask the input "
        "of a `where`, not its output (the double-where trick). Clipping will not fix this: NaN "
        "stays NaN, and `global_clipnorm` spreads it to every gradient.",
        _BACKWARD_GUARDS,
    ),
    "layer-backward/regularized": Fix(
        "Look in the regularizer of {layer} for an operation whose derivative is infinite, such as "
        "a norm of weights that are all zero, and add an epsilon under the root.",
        "tf.sqrt(tf.reduce_sum(w * w, axis=-1) + 1e-12)  # not tf.norm(w)",
    ),
    "layer-backward/inferred": Fix(
        "Record gradients to see where it starts. Then look for an operation whose derivative is "
        "infinite: sqrt, norm or log at 0, or a `where` whose unused branch is undefined.",
        _BACKWARD_GUARDS,
    ),
    "loss-backward": Fix(
        "Look in the loss for an operation whose derivative is infinite: sqrt, norm or log at 0, "
        "or a `where` whose unused branch is undefined. Add an epsilon under the root; mask the "
        "input of a `where`, not its output (the double-where trick). Clipping will not fix this: "
        "NaN stays NaN.",
        _BACKWARD_GUARDS,
    ),
    "optimizer-overflow/squares": Fix(
        "Scale the targets or the loss down, or clip each element of the gradients: the optimizer "
        "squares them. Clipping by a norm squares them first, and turns a norm that overflows into "
        "NaN.",
        "optimizer = keras.optimizers.{optimizer}(learning_rate, clipvalue=1.0)",
        "gradients = [tf.clip_by_value(g, -1.0, 1.0) for g in gradients]",
    ),
    "optimizer-overflow/learning-rate": Fix(
        "Check that the learning rate is finite at this step: a custom schedule may take a root, "
        "log or quotient of an invalid value. Also check constraints of the variables. "
        "`nanwatch.Callback(log_dir, check_updates=True)` names the operation. Clipping will not "
        "fix this: the gradients are finite.",
        "print(float(optimizer.learning_rate))",
    ),
    "optimizer-overflow/elements": Fix(
        "Check what a constraint of the variable divides by (`w / norm(w)` is NaN where w is "
        "zero), and that the optimizer's epsilon is not 0. "
        "`nanwatch.Callback(log_dir, check_updates=True)` names the operation. Clipping will not "
        "fix this: the gradients are finite.",
        "w / (tf.norm(w) + 1e-7)  # in the constraint\n"
        "optimizer = keras.optimizers.{optimizer}(learning_rate, epsilon=1e-7)",
    ),
    "optimizer-overflow/epsilon": Fix(
        "Give the optimizer an epsilon above 0. Clipping will not fix this: the gradients are "
        "finite.",
        "optimizer = keras.optimizers.{optimizer}(learning_rate, epsilon=1e-7)",
    ),
    "optimizer-overflow/float16": Fix(
        "Keep the variables in float32: use the policy `mixed_float16` instead of `float16`, or a "
        "larger epsilon.",
        'keras.mixed_precision.set_global_policy("mixed_float16")\n'
        "# or: keras.optimizers.{optimizer}(learning_rate, epsilon=1e-3)",
    ),
    "optimizer-overflow/operation": Fix(
        "Guard what the update divides by or takes the root of. Clipping will not fix this: the "
        "gradients are finite.",
        "tf.math.divide_no_nan(x, y)  # not x / y",
    ),
    "poisoned-statistics": Fix(
        "Load an earlier checkpoint, or reset the statistics and let a few training batches refill "
        "them. They never recover: a moving average that contains NaN or Inf stays so. Keep bad "
        "batches away from any call with `training=True`; "
        '`nanwatch.Callback(log_dir, on_nonfinite="skip")` protects the statistics, too.',
        "bn.moving_mean.assign(keras.ops.zeros_like(bn.moving_mean))\n"
        "bn.moving_variance.assign(keras.ops.ones_like(bn.moving_variance))",
    ),
    "poisoned-statistics/untrained": Fix(
        "Find what writes to it, and load an earlier checkpoint. If it is another training, look "
        "at its own finding first.",
        "[w.path for w in model.weights if not np.isfinite(w.numpy()).all()]",
        "[v.name for v in model.variables if not np.isfinite(v.numpy()).all()]",
    ),
    "swallowed-nonfinite": Fix(
        "Fix {layer} even though the loss looks fine: other devices or builds may propagate the "
        "NaN.",
        _GUARDS,
    ),
    "nonfinite-validation": Fix(
        "Look at that batch: a NaN in it, no rows, a mask without elements, or values far from "
        "those of the training. The training needs no change.",
        "x, y = next(iter(validation_data.skip({batch})))\n"
        "print(x.shape, np.isfinite(x).all(), np.isfinite(y).all())\n"
        "print(np.isfinite(model(x)).all())",
    ),
    "nonfinite-validation/data": Fix(
        "Clean the validation data as you clean the training data: drop the rows, or impute the "
        "values. The training needs no change.",
        "keep = np.isfinite({part}_val).reshape(len({part}_val), -1).all(axis=1)\n"
        "x_val, y_val = x_val[keep], y_val[keep]",
    ),
    "nonfinite-validation/empty": Fix(
        "Give `fit` validation data with rows: a split of a small data set, or a filter, leaves "
        "none at times.",
        "model.fit(x, y, validation_split=0.2)",
    ),
    "nonfinite-metric": Fix(
        "Guard the division in the metric, such as a count of positives that is 0 in a batch or an "
        "epoch. The training needs no change.",
        "tf.math.divide_no_nan(total, count)  # not total / count",
    ),
    "not-training/frozen": Fix(
        "Train it with `trainable = True`. To train one network through another that stays as it "
        "is, such as a generator through its discriminator, write a `train_step` that takes the "
        "gradients of the first one alone.",
        "model.trainable = True\nprint(len(model.trainable_variables))",
    ),
    "not-training/no-variables": Fix(
        "Make the variables with `add_weight`, and assign layers to attributes of the model, so "
        "that Keras knows them.",
        "self.scale = self.add_weight(shape=())  # not tf.Variable(1.0)\n"
        "print(len(model.trainable_variables))",
    ),
    "not-training/stuck": Fix(
        "Bring the loss into reach: scale inputs and targets to unit variance, and start from "
        "small weights. A higher learning rate is no cure for a loss of this size.",
        _SCALED_TARGETS,
    ),
    "divergence/unbounded": Fix(
        "Give the loss a lower bound: targets within [0, 1] for a cross entropy, a least standard "
        "deviation for the log density, a weight clip or a gradient penalty for a critic.",
        'y = (y > 0).astype("float32")  # labels of -1 and 1, under a cross entropy\n'
        "scale = tf.nn.softplus(scale) + 1e-3  # of a log density",
    ),
    "exploding-gradient": Fix(
        "Lower the learning rate (try 10x lower first) or warm it up, and clip by the global norm. "
        "Also check that inputs and targets have roughly unit variance.",
        _CLIPPING_OPTIMIZER,
        _CLIPPED,
    ),
    "exploding-gradient/clipped": Fix(
        "Lower the learning rate (try 10x lower first) or warm it up; the optimizer clips gradients"
        " already. Also check that inputs and targets have roughly unit variance.",
        "optimizer = keras.optimizers.{optimizer}(learning_rate={rate})  # and clip",
    ),
    "exploding-gradient/depth": Fix(
        "Use gated cells (LSTM or GRU), an orthogonal initializer with gain 1, normalization "
        "between layers, or shorter sequences: gains compound across layers or time steps. Also "
        "clip by the global norm, which helps while that norm is finite.",
        "keras.layers.GRU(units)  # not SimpleRNN\n"
        "x = keras.layers.LayerNormalization()(x)  # between layers\n" + _CLIPPING_OPTIMIZER,
        _CLIPPED,
    ),
    "exploding-gradient/recurrent": Fix(
        "Use tanh, the layer's own default, as its activation: with {activation} its state grows "
        "at each time step, and nothing bounds it. If that is meant, normalize, or use shorter "
        "sequences and an orthogonal initializer of gain 1.",
        "keras.layers.{recurrent}(units)  # tanh, not {activation}",
    ),
    "exploding-gradient/exponential": Fix(
        "Scale the inputs to unit variance, and bound the exponent smoothly: exponentials compound "
        "from layer to layer. Or start from exponents of 0, by a kernel initializer of zeros in "
        "the layer that predicts them.",
        "s = tf.tanh(s)  # before tf.exp(s)\n"
        'keras.layers.Dense(units, kernel_initializer="zeros")  # predicts s',
    ),
    "divergence": Fix(
        "Lower the learning rate (try 10x lower first) or warm it up, and clip by the global norm.",
        _CLIPPING_OPTIMIZER,
        _CLIPPED,
    ),
    "divergence/clipped": Fix(
        "Lower the learning rate (try 10x lower first) or warm it up; the optimizer clips gradients"
        " already.",
        "optimizer = keras.optimizers.{optimizer}(learning_rate={rate})  # and clip",
    ),
    "divergence/amplified": Fix(
        "Look in {layer} for a division by a small number, and use a larger epsilon. Where several "
        "layers amplify, normalize between them.",
        "(x - mean) * tf.math.rsqrt(variance + 1e-3)",
    ),
    "vanishing-gradient": Fix(
        "Use ReLU with He initialization instead of stacked sigmoid or tanh, residual connections, "
        "or normalization between layers. This does not cause NaN: the first layers just do not "
        "learn.",
        'keras.layers.Dense(\n    units, activation="relu", kernel_initializer="he_normal"\n)',
    ),
    "dead-layer/units": Fix(
        "Lower the learning rate or warm it up (one huge step does this), and use an activation "
        "with a gradient everywhere. A ReLU that is off has a zero gradient: {layer} stops "
        "learning, and so do the layers before it.",
        "x = keras.layers.LeakyReLU()(x)  # not ReLU",
    ),
    "dead-layer/cut": Fix(
        "Look after {layer} for an operation without a gradient: sign, round, argmax, comparisons, "
        "casts, `tf.stop_gradient`, or a ReLU whose units start off. Set `trainable = False` if it "
        "is not meant to learn. It was so from the first step, so no training step caused it.",
        "tf.tanh(x)  # not tf.sign(x)\ntf.nn.softmax(x)  # not tf.argmax(x)",
    ),
    "dead-layer/loss": Fix(
        "Look between predictions and loss for a clip, round, argmax or cast, and for a softmax "
        "over one unit, which is always 1 (use a sigmoid). To limit outliers use Huber, and clip "
        "the gradients, not the loss: outside of its range a clipped value has a zero gradient.",
        "model.compile(optimizer, keras.losses.Huber())",
        "loss = keras.losses.Huber()(y, prediction)",
    ),
    "improper-output/logits": Fix(
        "Tell the loss that it gets logits, which is the more stable way; or end the model in a "
        "softmax (classes that exclude each other) or a sigmoid (one class, or several labels a "
        "row).",
        "loss = keras.losses.BinaryCrossentropy(from_logits=True)\n"
        "# or CategoricalCrossentropy, SparseCategoricalCrossentropy",
    ),
    "improper-output/relu": Fix(
        "Use no activation in the last layer, and tell the loss that it gets logits. A softmax or "
        "sigmoid instead of the ReLU works, too.",
        "outputs = keras.layers.Dense(units)(x)  # no activation\n"
        "loss = keras.losses.CategoricalCrossentropy(from_logits=True)",
    ),
    "improper-output/one-unit": Fix(
        "Use a binary cross entropy for one unit, or one unit for each class.",
        "outputs = keras.layers.Dense(1)(x)  # no softmax\n"
        "loss = keras.losses.BinaryCrossentropy(from_logits=True)",
    ),
    "improper-output/sigmoid": Fix(
        "Use a softmax, or no activation with `from_logits=True`. If a row may have several "
        "labels, keep the sigmoid and use a binary cross entropy.",
        "outputs = keras.layers.Dense(units)(x)  # no activation\n"
        "loss = keras.losses.CategoricalCrossentropy(from_logits=True)",
    ),
    "unscaled-input": Fix(
        "Normalize the inputs.",
        "normalization = keras.layers.Normalization()\n"
        "normalization.adapt(x)  # the first layer of the model",
    ),
    "unscaled-input/constant-column": Fix(
        "Leave the column out, or adapt {layer} to data in which it varies.",
        "varies = x.std(axis=0) > 0\nx = x[:, varies]  # before normalization.adapt(x)",
    ),
    "fill-value/input": Fix(
        "Replace the fill value before you scale: it would set the scale, and press all other "
        "values together. Impute it, and tell the model by a mask or one more column. Moving "
        "statistics that it has spoiled do not recover: load an earlier checkpoint.",
        "is_missing = np.abs(x) >= {fill_value}\n"
        "x = np.where(is_missing, 0.0, x)  # then normalize",
    ),
    "fill-value/target": Fix(
        "Leave the rows or elements with the fill value out of the loss: it would set the scale, "
        "and press all other values together.",
        "keep = (np.abs(y) < {fill_value}).reshape(len(y), -1).all(axis=1)\n"
        "x, y = x[keep], y[keep]",
    ),
    "unscaled-target": Fix(
        "Train on targets of unit variance and scale predictions back; use their logarithm if they "
        "span decades.",
        _SCALED_TARGETS,
    ),
    "range-overflow-risk": Fix(
        "Lower the learning rate or normalize the input; in float16, use `mixed_bfloat16`, which "
        "has the range of float32. One more increase overflows to Inf.",
        'keras.mixed_precision.set_global_policy("mixed_bfloat16")',
    ),
    "range-overflow-risk/squares": Fix(
        "Lower the learning rate, scale the targets, or clip each element of the gradients. One "
        "more increase overflows to Inf.",
        "optimizer = keras.optimizers.{optimizer}(learning_rate, clipvalue=1.0)",
        "gradients = [tf.clip_by_value(g, -1.0, 1.0) for g in gradients]",
    ),
    "range-underflow/float16": Fix(
        "Scale the loss so that gradients fit, or use `mixed_bfloat16`, which has the range of "
        "float32. `compile` adds loss scaling only under the global policy `mixed_float16`.",
        "optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)",
        "optimizer = keras.mixed_precision.LossScaleOptimizer(optimizer)\n"
        "loss = optimizer.scale_loss(loss)  # in the tape; apply() unscales",
    ),
    "range-underflow/float32": Fix(
        "Work with larger numbers: scale the loss or the targets up, or replace products of "
        "probabilities by sums of logs. Most devices flush numbers this small to zero.",
        "tf.reduce_sum(tf.math.log(p), axis=-1)  # not reduce_prod(p)",
    ),
    "loss-scale-backoff": Fix(
        "Nothing to do: LossScaleOptimizer skipped the steps and halved the scale, as designed."
    ),
    "loss-scale-backoff/unfinished": Fix(
        "Keep training for some steps: the scale is halved with each skipped step, and a healthy "
        "start skips about 8. If no step is taken then, no loss scale helps."
    ),
    "loss-scale-collapse/range": Fix(
        "Scale the inputs to unit variance before the model sees them: float16 ends at 65,504, and "
        "layers cast their inputs to it. No loss scale helps: the forward pass is not finite "
        "before any scaling. Or use `mixed_bfloat16`, which has the range of float32.",
        "mean, std = x.mean(axis=0), x.std(axis=0)\nx = (x - mean) / np.where(std > 0, std, 1)",
    ),
    "loss-scale-collapse/backward": Fix(
        "Look for a division, root or log that is not finite in float16 (1 + 1e-7 is 1 there: use "
        "an epsilon of 1e-3), keep that layer in float32, or use `mixed_bfloat16`. No loss scale "
        "helps: gradients are not finite at any of them.",
        'keras.layers.Dense(units, dtype="float32")\n'
        '# or: keras.mixed_precision.set_global_policy("mixed_bfloat16")',
    ),
    "loss-scale-collapse/not-float16": Fix(
        "Train without the LossScaleOptimizer: it skips the step before NaNWatch can run it again, "
        "which then names the operation and its line.",
        "model.compile(optimizer.inner_optimizer, loss)",
    ),
    "loss-scale-collapse/forward": Fix(
        "Fix the forward pass first: keep the layer that overflows in float32 (float16 ends at "
        "65,504; the last softmax always), normalize its input, or use `mixed_bfloat16`. No loss "
        "scale helps: the loss is not finite before any scaling.",
        'keras.layers.Dense(units, dtype="float32")\n'
        '# or: keras.mixed_precision.set_global_policy("mixed_bfloat16")',
    ),
}

OPERATION_FIXES: dict[tuple[str, str], Fix] = {
    ("Log", "forward"): Fix("clamp its argument", "tf.math.log(tf.maximum(x, 1e-6))"),
    ("Log", "backward"): Fix(
        "mask the input, not the output (the double-where trick)",
        "safe = tf.where(x > 0, x, 1.0)\ntf.where(x > 0, tf.math.log(safe), 0.0)",
    ),
    ("Log1p", "forward"): Fix(
        "clamp its argument above -1", "tf.math.log1p(tf.maximum(x, -1 + 1e-6))"
    ),
    ("Sqrt", "forward"): Fix("clamp its argument at 0", "tf.sqrt(tf.maximum(x, 0.0) + 1e-6)"),
    ("Sqrt", "backward"): Fix(
        "add an epsilon under the root: the derivative of sqrt is infinite at 0",
        "tf.sqrt(x + 1e-6)",
    ),
    ("Rsqrt", "forward"): Fix("add an epsilon under the root", "tf.math.rsqrt(x + 1e-3)"),
    ("Rsqrt", "backward"): Fix("add an epsilon under the root", "tf.math.rsqrt(x + 1e-3)"),
    ("RealDiv", "forward"): Fix(
        "guard against division by zero",
        "tf.math.divide_no_nan(x, y)  # or x / tf.maximum(y, 1e-6)",
    ),
    ("RealDiv", "backward"): Fix(
        "guard the divisor before the division, not the quotient after it",
        "safe = tf.where(y != 0, y, 1.0)\ntf.where(y != 0, x / safe, 0.0)",
    ),
    ("RealDiv", "update"): Fix(
        "guard against division by zero; for a Keras optimizer, check that epsilon is not 0",
        "x / (y + 1e-7)  # for y >= 0\n"
        "optimizer = keras.optimizers.{optimizer}(learning_rate, epsilon=1e-7)",
    ),
    ("Sqrt", "update"): Fix("clamp its argument at 0", "tf.sqrt(tf.maximum(x, 0.0))"),
    ("Reciprocal", "forward"): Fix("guard against division by zero", "1 / tf.maximum(x, 1e-6)"),
    ("Exp", "forward"): Fix("bound its argument", "tf.exp(tf.minimum(x, 20.0))"),
    ("Exp", "backward"): Fix(
        "bound its argument before a `where` picks the result", "tf.exp(tf.minimum(x, 20.0))"
    ),
    ("Softmax", "forward"): Fix(
        "use a large negative number instead of -Inf in the mask (-3e4 in float16): the softmax of "
        "an all -Inf row is NaN",
        "tf.nn.softmax(tf.where(mask, scores, -1e9))",
    ),
    ("Pow", "forward"): Fix(
        "keep the base above 0: a negative number has no fractional power, and 0 no negative one",
        "tf.pow(tf.maximum(x, 1e-6), p)",
    ),
    ("Pow/overflow", "forward"): Fix(
        "bound the base: its power is beyond the largest number of the dtype",
        "tf.pow(tf.clip_by_value(x, -100.0, 100.0), p)",
    ),
    ("Pow", "backward"): Fix("keep the base above 0", "tf.pow(tf.maximum(x, 1e-6), p)"),
    ("Acos", "backward"): Fix(
        "clamp its argument inside of (-1, 1)", "tf.acos(tf.clip_by_value(x, -1 + 1e-6, 1 - 1e-6))"
    ),
    ("Asin", "backward"): Fix(
        "clamp its argument inside of (-1, 1)", "tf.asin(tf.clip_by_value(x, -1 + 1e-6, 1 - 1e-6))"
    ),
    ("Mean", "forward"): Fix(
        "check for a mean over no elements: an empty batch or an empty mask",
        "tf.math.divide_no_nan(tf.reduce_sum(x * mask), tf.reduce_sum(mask))",
    ),
}
"""What to write instead, by operation and pass. The words follow "At model.py:57, "."""

REMEDY_WORDS: dict[str, str] = {
    "clamp": "clamp its argument",
    "epsilon": "add an epsilon",
    "divide-no-nan": "guard against division by zero",
    "bound-exponent": "bound its argument",
    "finite-mask": "use a large finite number in place of the infinite one, such as -1e9 in a mask",
    "clamp-argument": "clamp its argument inside of its domain",
    "log-softmax": "take the logarithm of the softmax in one operation: a probability that rounds "
    "to 0 has none",
    "jitter": "add a small number to the diagonal",
    "from-logits": "use no activation in the last layer, and tell the loss that it gets logits",
    "fill": "fill the missing values, or repair what made them: every row has one, such as a "
    "column that a normalization by hand divided by its standard deviation of 0",
    "fill-example": "fill the missing values, or leave such examples out of the data",
    "float32-layer": "keep this layer in float32: its values do not fit its dtype",
    "optimizer-epsilon": "give the optimizer a larger epsilon",
    "clip-value": "clip each element of the gradients before the optimizer squares it",
}
"""What a remedy does, where it was tried on the step and cured it: see `Rerun.tried`."""
