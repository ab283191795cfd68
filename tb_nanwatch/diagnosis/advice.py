"""What to do about each cause: texts, each with the line of code to write instead.

The gallery's repaired twins do what these say. The first sentence stands alone where there is room
for one, and says what to do.
"""

from __future__ import annotations

from tb_nanwatch.diagnosis.finding import Place
from tb_nanwatch.format.rerun import Operation

_NO_CURE = "Clipping gradients, dropout or a lower learning rate do not remove it."


def advice(key: str, place: Place, where: str = "") -> str:
    """The text for a cause; "cause/variant" where a cause has several.

    `where` says in words where to look, instead of the place's layer.
    """
    layer = where or (f"layer {place.layer!r}" if place.layer else "the layer that makes it")
    return _TEXTS[key].format(layer=layer, tensor=repr(place.tensor), no_cure=_NO_CURE)


_TEXTS = {
    "nonfinite-input": (
        "Find it in the data: `np.argwhere(~np.isfinite(x))` gives the rows and columns. Drop "
        "those rows or impute the column: `x = np.where(np.isfinite(x), x, "
        "np.nanmedian(np.where(np.isfinite(x), x, np.nan), axis=0))`. If a normalisation made "
        "it, a constant column has the standard deviation 0: divide by `np.where(std > 0, std, "
        "1)`. {no_cure}"
    ),
    "nonfinite-target": (
        "Find it in the labels: `np.argwhere(~np.isfinite(y))` gives the rows. Drop them or "
        "repair their source. A sample weight of 0 is not enough, as 0 * NaN is NaN: put a "
        "finite label there too. {no_cure}"
    ),
    "nonfinite-target/sample_weight": (
        "Find it in the sample weights: `np.argwhere(~np.isfinite(sample_weight))` gives the rows. "
        "Where a count or a sum normalises them, it may be 0: divide by `np.maximum(count, 1)`. To "
        "leave a row out give it the weight 0. {no_cure}"
    ),
    "nonfinite-initial-weight": (
        "Load an earlier checkpoint, or initialise {tensor} again: it was so before the "
        "training. `[w.path for w in model.weights if not np.isfinite(w.numpy()).all()]` names "
        "all such weights; ask it before a checkpoint is saved, too. {no_cure}"
    ),
    "layer-forward/domain": (
        "Look in {layer} for an operation outside of its domain: 0 / 0, Inf - Inf, the log or "
        "square root of a negative number, a softmax over a row that is -Inf all over. Keep the "
        "argument inside: `(x - mean) * tf.math.rsqrt(variance + 1e-3)` for a division by a "
        "spread, `tf.math.log(tf.maximum(x, 1e-6))`, `tf.sqrt(tf.maximum(x, 1e-6))`, and `-1e9` "
        "(in float16 `-3e4`) instead of -Inf in a mask. {no_cure}"
    ),
    "layer-forward/pole": (
        "Look in {layer} for a division by 0 or the log of 0: the values around are moderate, "
        "so it is no overflow that grew. Keep the argument away from 0: "
        "`tf.math.divide_no_nan(x, y)`, or `x / tf.maximum(y, 1e-6)` for a y that is not "
        "negative; `tf.math.log(tf.maximum(x, 1e-6))`; for an exponential, bound what goes in: "
        "`tf.exp(tf.minimum(x, 20.0))`. {no_cure}"
    ),
    "layer-forward/overflow": (
        "Normalise what comes into {layer} (a BatchNormalization or LayerNormalization before "
        "it), use a smaller initialiser or a lower learning rate, and bound the argument of an "
        "exponential: `tf.exp(tf.minimum(x, 20.0))`. The values are too large for their dtype "
        "by the time they leave that layer."
    ),
    "loss-domain/domain": (
        "Let the loss see logits: `activation=None` on the last layer and "
        "`BinaryCrossentropy(from_logits=True)` or `CategoricalCrossentropy(from_logits=True)`, "
        "which stay finite; in a loss of your own `tf.nn.log_softmax(z)` instead of "
        "`tf.math.log(tf.nn.softmax(z))`, and `tf.nn.sigmoid_cross_entropy_with_logits`. Adding "
        "1e-7 to p does not repair log(1 - p). For another formula keep each log, root and "
        "quotient in its domain: `tf.math.xlogy(p, p / q)` is 0 where p is. {no_cure}"
    ),
    "loss-domain/formula": (
        "Look in the loss for a division by 0, or the log or root of what is 0 or negative; "
        "regularizers and `add_loss` are part of it. Write `tf.math.divide_no_nan(total, count)` "
        "for a mean over a mask that may be empty, `x / tf.maximum(spread, 1e-6)` for a spread, "
        "and `tf.math.log(tf.maximum(x, 1e-6))`; let a variance or rate that the model gives pass "
        "through `tf.nn.softplus(x) + 1e-6`, and cross entropies take logits, with "
        "`from_logits=True`. {no_cure}"
    ),
    "loss-domain/overflow": (
        "Scale the targets, `y = y.astype('float64')` and then `y = (y - y.mean()) / y.std()`, and "
        "scale predictions back after training; or use a loss that grows more slowly, such as "
        "`keras.losses.Huber()`. Predictions or targets are so large that the loss is beyond its "
        "dtype."
    ),
    "layer-backward": (
        "Look in {layer} for an operation with an infinite slope: the square root, norm or log "
        "of 0, or a `where` whose other branch is not defined. Put a small number inside: "
        "`tf.sqrt(x + 1e-6)` instead of `tf.sqrt(x)`, and `tf.sqrt(tf.reduce_sum(x * x, "
        "axis=-1) + 1e-6)` instead of `tf.norm(x, axis=-1)`. Guard the argument of a `where`, "
        "not its result: `safe = tf.where(x > 0, x, 1.0)`, then `tf.where(x > 0, "
        "tf.math.log(safe), 0.0)`. Clipping cannot help: a NaN stays a NaN, and "
        "`global_clipnorm` spreads it to every gradient."
    ),
    "loss-backward": (
        "Look in {layer} for an operation with an infinite slope: the square root, norm or log "
        "of 0, or a `where` whose other branch is not defined. Put a small number inside: "
        "`tf.sqrt(mse + 1e-6)` instead of `tf.sqrt(mse)`; guard the argument of a `where`, not "
        "its result: `safe = tf.where(x > 0, x, 1.0)`. Clipping cannot help: a NaN stays a NaN."
    ),
    "optimizer-overflow": (
        "Make the gradients smaller before the optimizer squares them: scale the targets, `y = "
        "y.astype('float64')` and then `y = (y - y.mean()) / y.std()`, or the loss. "
        "Where they have to be clipped, `Adam(clipvalue=1.0)` bounds any finite gradient; a clip "
        "by norm squares it first, and makes NaN of a norm that overflows."
    ),
    "optimizer-overflow/rate": (
        "See that the learning rate is finite at this step: `float(optimizer.learning_rate)`; a "
        "schedule of your own may take a root, log or quotient outside of its domain. See also "
        "the constraints of the variables, and that the optimizer's epsilon is not 0; "
        "`nanwatch.Callback(log_dir, check_updates=True)` names the operation. Clipping "
        "gradients does not remove it: they are finite."
    ),
    "optimizer-overflow/elements": (
        "See that the optimizer's epsilon is not 0, and what a constraint of the variable divides "
        "by: where a gradient has always been zero, Adam with `epsilon=0` divides 0 by 0 (write "
        "`epsilon=1e-7`), and so does `w / norm(w)` where all of w is zero (add 1e-7 to the norm). "
        "Not all that is trained is lost, so it is not the learning rate. "
        "`nanwatch.Callback(log_dir, check_updates=True)` names the operation. Clipping "
        "gradients does not remove it: they are finite."
    ),
    "optimizer-overflow/half": (
        "Keep the variables in float32, with the policy `mixed_float16` instead of `float16`: "
        "`keras.mixed_precision.set_global_policy('mixed_float16')`; or else use "
        "`Adam(epsilon=1e-3)`. Half precision is too narrow for an optimizer: the squares of "
        "small gradients round to 0 in float16, and what is then divided by 0 + 1e-7 is beyond "
        "65504."
    ),
    "poisoned-statistics": (
        "Load an earlier checkpoint, or reset them and let some batches of training fill them "
        "again: `bn.moving_mean.assign(keras.ops.zeros_like(bn.moving_mean))` and "
        "`bn.moving_variance.assign(keras.ops.ones_like(bn.moving_variance))`. Keep bad batches "
        "from the model: check them before any call with `training=True`, or train with "
        "`nanwatch.Callback(log_dir, on_nonfinite='skip')`, which keeps the statistics too. "
        "They do not heal by themselves: an average with a NaN or Inf keeps it."
    ),
    "swallowed-nonfinite": (
        "Repair {layer} although the loss looks fine: max-pooling and ReLU kernels drop a NaN, "
        "with another device or build they may not. Keep the argument of each log, root and "
        "quotient in its domain, as in `tf.math.log(tf.maximum(x, 1e-6))`."
    ),
    "exploding-gradient": (
        "Lower the learning rate (ten times is a good first try) or warm it up, and bound the "
        "step: `keras.optimizers.SGD(learning_rate, global_clipnorm=1.0)`. Clipping bounds "
        "finite gradients; it cures no NaN. See also that inputs and targets have a spread near "
        "1."
    ),
    "exploding-gradient/depth": (
        "Use gated cells (`keras.layers.LSTM` or `GRU`), an orthogonal initialiser with gain 1, "
        "normalisation between layers or shorter sequences: the factor of each layer or time "
        "step multiplies with the next one's. Bound what remains with `global_clipnorm=1.0` in "
        "the optimizer, which helps while the gradients' norm is finite."
    ),
    "vanishing-gradient": (
        "Let the gradient reach the first layers: `activation='relu'` with "
        "`kernel_initializer='he_normal'` instead of stacked sigmoids or tanh, residual "
        "connections, or normalisation between the layers. This makes no NaN: the first layers "
        "just do not learn."
    ),
    "dead-layer/units": (
        "Lower the learning rate or warm it up (one huge step does this), initialise {layer} "
        "again, and use `keras.layers.LeakyReLU` or `activation='gelu'`, which have a slope "
        "everywhere. Where a ReLU is off its slope is 0: a layer all of whose units are off "
        "learns no more, nor does what is before it."
    ),
    "dead-layer/cut": (
        "Look behind {layer} for what has no slope: `tf.sign`, round, argmax, comparisons, casts, "
        "`tf.stop_gradient`, or a ReLU whose units start off, as with a large negative bias. Use "
        "what has one: `tf.tanh` for a sign, a softmax for an argmax, `activation='gelu'` for a "
        "ReLU. Where {layer} is not meant to learn set `trainable = False`. It was so from the "
        "first step on, so no step of the training did it."
    ),
    "dead-layer/loss": (
        "Look for a clip, round, argmax or cast between the predictions and the loss, and for a "
        "softmax over one unit, which is always 1 (`activation='sigmoid'` is meant): the loss "
        "does not depend on the weights any more. To bound the effect of outliers use "
        "`keras.losses.Huber()`, and clip the gradients (`global_clipnorm=1.0`), not the loss: "
        "outside of its range a clipped value has the slope 0."
    ),
    "unscaled-input": (
        "Normalise the inputs: `norm = keras.layers.Normalization(); norm.adapt(x)` as the "
        "first layer, or `x = (x - x.mean(axis=0)) / np.where(x.std(axis=0) > 0, x.std(axis=0), "
        "1)`."
    ),
    "unscaled-target": (
        "Train on scaled targets, `y = y.astype('float64')` and then `y = (y - y.mean()) / "
        "y.std()`, and scale the predictions back; or take their logarithm where they span decades."
    ),
    "range-overflow-risk": (
        "Lower the learning rate, normalise what comes in, or, where it is float16, use the "
        "policy `mixed_bfloat16`, which has the range of float32. The next growth makes it Inf."
    ),
    "range-underflow": (
        "Scale the loss so that the gradients fit: "
        "`keras.mixed_precision.LossScaleOptimizer(optimizer)`, which `compile` adds by itself "
        "under the policy `mixed_float16` and a custom loop does not; or use `mixed_bfloat16`, "
        "which has the range of float32."
    ),
    "range-underflow/float32": (
        "Let larger numbers through: scale the loss or the targets up, or compute products of "
        "probabilities as sums of logarithms. On most devices arithmetic takes numbers this "
        "small for 0."
    ),
    "loss-scale-backoff": (
        "Nothing to do: the optimizer refused the step and halved the scale, as it should."
    ),
    "loss-scale-collapse/backward": (
        "Look for a division, root or log in the model that is not finite in float16 (1 + 1e-7 "
        "is 1 there: use `epsilon=1e-3`), keep that layer in float32 with `dtype='float32'`, or "
        "use `mixed_bfloat16`. No scale helps here: the gradients are not finite at any of "
        "them."
    ),
    "loss-scale-collapse/forward": (
        "Repair the forward pass first: where it overflows (float16 ends at 65504) keep the layer "
        "in float32 with `dtype='float32'` (the last softmax always), normalise what comes in, or "
        "use `mixed_bfloat16`; where it is NaN keep each log, root and quotient in its domain, as "
        "in `tf.math.log(tf.maximum(x, 1e-3))`. No scale helps here: the loss is not finite before "
        "any scaling."
    ),
    "divergence": (
        "Lower the learning rate (ten times is a good first try) or warm it up, and bound the "
        "step with `global_clipnorm=1.0` in the optimizer. Where one layer makes the large "
        "values, look for a division by a small number in it: an epsilon of 1e-3 inside "
        "`tf.math.rsqrt(variance + 1e-3)`."
    ),
}


_OPERATIONS = {
    ("Log", "forward"): "keep its argument above 0: `tf.math.log(tf.maximum(x, 1e-6))`",
    ("Log", "backward"): (
        "guard the argument, not the result: `safe = tf.where(x > 0, x, 1.0)`, then "
        "`tf.where(x > 0, tf.math.log(safe), 0.0)`"
    ),
    ("Log1p", "forward"): "keep its argument above -1: `tf.math.log1p(tf.maximum(x, -1 + 1e-6))`",
    ("Sqrt", "forward"): "keep its argument at 0 or above: `tf.sqrt(tf.maximum(x, 0.0) + 1e-6)`",
    ("Sqrt", "backward"): "put a small number inside: `tf.sqrt(x + 1e-6)`; at 0 its slope is Inf",
    ("Rsqrt", "forward"): "put a small number inside: `tf.math.rsqrt(x + 1e-3)`",
    ("Rsqrt", "backward"): "put a small number inside: `tf.math.rsqrt(x + 1e-3)`",
    ("RealDiv", "forward"): (
        "keep the divisor away from 0: `tf.math.divide_no_nan(x, y)`, or `x / tf.maximum(y, 1e-6)` "
        "for a y that is not negative"
    ),
    ("RealDiv", "backward"): (
        "keep the divisor away from 0 before the division, not after it: "
        "`safe = tf.where(y != 0, y, 1.0)`, then `tf.where(y != 0, x / safe, 0.0)`"
    ),
    ("RealDiv", "update"): (
        "keep the divisor away from 0: `x / (y + 1e-7)` for a y that is not negative; of an "
        "optimizer of Keras see that its epsilon is not 0"
    ),
    ("Sqrt", "update"): "keep its argument at 0 or above: `tf.sqrt(tf.maximum(x, 0.0))`",
    ("Reciprocal", "forward"): "keep its argument away from 0: `1 / tf.maximum(x, 1e-6)`",
    ("Exp", "forward"): "bound its argument: `tf.exp(tf.minimum(x, 20.0))`",
    ("Exp", "backward"): (
        "bound its argument before a `where` picks the result: `tf.exp(tf.minimum(x, 20.0))`"
    ),
    ("Softmax", "forward"): (
        "a row that is -Inf all over has no softmax: put `-1e9` (in float16 `-3e4`) instead of "
        "-Inf into the mask"
    ),
    ("Pow", "forward"): (
        "a negative number has no fractional power, and 0 no negative one: keep the base above 0, "
        "`tf.pow(tf.maximum(x, 1e-6), p)`"
    ),
    ("Pow", "backward"): "keep the base above 0: `tf.pow(tf.maximum(x, 1e-6), p)`",
    ("Acos", "backward"): "keep its argument inside: `tf.clip_by_value(x, -1 + 1e-6, 1 - 1e-6)`",
    ("Asin", "backward"): "keep its argument inside: `tf.clip_by_value(x, -1 + 1e-6, 1 - 1e-6)`",
}
"""What to write instead, by operation and pass."""


def operation_advice(operation: Operation, general: str) -> str:
    """What to write instead of the operation; the general advice where there is no special one."""
    found = _OPERATIONS.get((operation.type, operation.direction))
    if found is None:
        return general
    where = f"At {operation.file} line {operation.line}" if operation.file else "There"
    return f"{where} {found}. {_NO_CURE}"
