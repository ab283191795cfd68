"""The gallery: small trainings that break, each with its repaired twin, and healthy ones.

`python -m tb_nanwatch_demo` trains them, prints what NaNWatch says of each, and serves the tab.
In a checkout `demo/run` also makes the environment for that.

- a module a case: what goes wrong, what the tab shows, the repair; `TRUTH` and `build`.
- `training`: the data, and how all of them train.
- `truth`: what is known of a case beforehand.
- `verdicts`: what is expected of a case beside what NaNWatch says.
- `progress`: a bar on a terminal, a line in a log file.
"""

CASES = (
    # The data.
    "nan_feature",
    "zero_denominator",
    "nan_target",
    "bad_checkpoint",
    # Scales and rates.
    "unscaled_inputs",
    "lr_too_high",
    "deep_sigmoid",
    "dead_relu",
    "recurrent",
    # Losses.
    "log_rate",
    "log_of_softmax",
    "squared_overflow",
    "clipped_loss",
    # Layers.
    "zero_variance_layer",
    "tiny_epsilon",
    "attention_mask",
    "where_log",
    "sqrt_at_zero",
    "clip_is_no_cure",
    "poisoned_batchnorm",
    # Half precision.
    "adam_epsilon_fp16",
    "fp16_underflow",
    "fp16_loss_scale",
    # Healthy ones.
    "relu_mlp",
    "batchnorm_mlp",
    "he_l2_mlp",
    "mha_masked",
    "clipnorm_healthy",
    "mixed_precision_healthy",
)
"""The modules of the cases, in the order in which they are worth reading."""
