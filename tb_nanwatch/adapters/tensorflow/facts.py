"""What TensorFlow knows of the program that trains, for the manifest."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tb_nanwatch.adapters.tensorflow.private_api import private
from tb_nanwatch.format.facts import ModelFacts


def framework_facts(framework: str = "tensorflow", version: str = "", **known: Any) -> ModelFacts:
    """The facts of TensorFlow itself, and what is known of a model.

    Args:
      framework: the framework that trains, if not TensorFlow itself.
      version: its version.
      **known: the other attributes of `ModelFacts`.
    """
    versions = [f"{framework} {version}"] if version else []
    is_onednn = private("is_onednn")
    return ModelFacts(
        framework,
        ", ".join([*versions, f"tensorflow {tf.__version__}"]),
        onednn=bool(is_onednn is not None and is_onednn()),
        **known,
    )
