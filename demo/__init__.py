"""The gallery: trainings on real data that break, each with its repaired twin, and a healthy one.

`python -m tb_nanwatch_demo` trains it, prints what NaNWatch recorded, and serves the tab.
In a checkout `demo/run` also makes the environment for that.
"""

CASES = ("nan_feature", "log_rate", "lr_too_high", "relu_mlp")
"""The modules of the cases, in the order in which they are worth reading."""
