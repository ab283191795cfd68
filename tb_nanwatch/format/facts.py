"""What the framework knows of a model as it is traced: facts, so that no reader has to guess them.

Names are the user's and mean nothing; what a layer is, what feeds it, and what the loss and the
optimizer are, stands here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerFacts:
    """One layer, or one operation of a functional model.

    Attributes:
      path: as in `TensorInfo.layer`.
      class_name: of its class, such as "Dense" or a user's own.
      is_builtin: whether the class is the framework's and not the user's.
      activation: name of its activation function, such as "relu"; "" for none, or an unknown one.
      inputs: paths of the layers whose outputs it consumes; () where that is not known, or where it
        takes the model's inputs alone.
      dtype_policy: such as "mixed_float16"; "" where there is none.
      trainable: whether its variables are trained.
      owner: the attribute of the user's model that it is within, such as "generator"; "" for none.
      is_regularized: whether one of its variables has a regularizer, whose gradient is added to
        that of the loss.
    """

    path: str
    class_name: str
    is_builtin: bool
    activation: str = ""
    inputs: tuple[str, ...] = ()
    dtype_policy: str = ""
    trainable: bool = True
    owner: str = ""
    is_regularized: bool = False


@dataclass(frozen=True)
class LossFacts:
    """One loss of the compiled model.

    Attributes:
      name: of the loss or of the output that it is for; "" where there is one alone.
      class_name: such as "BinaryCrossentropy"; the name of a function.
      is_builtin: whether it is the framework's and not the user's.
      from_logits: whether it takes logits; None for a loss that has no such choice.
      ignore_class: a label that it leaves out; None for none.
    """

    name: str
    class_name: str
    is_builtin: bool
    from_logits: bool | None = None
    ignore_class: int | None = None


@dataclass(frozen=True)
class OptimizerFacts:
    """One optimizer. What it does not have is None.

    Attributes:
      name: its own.
      class_name: such as "Adam"; of the one inside, under loss scaling.
      is_builtin: whether the class is the framework's and not the user's.
      learning_rate: at the time of the manifest; None for a schedule.
      epsilon: what is added to a divisor.
      clipnorm: the norm that each gradient is clipped to.
      global_clipnorm: the norm that all gradients together are clipped to.
      clipvalue: the magnitude that each element is clipped to.
      is_loss_scaled: whether a loss-scaling optimizer is around it.
      gradient_accumulation_steps: so many steps make one update; 0 where each step does.
    """

    name: str
    class_name: str
    is_builtin: bool
    learning_rate: float | None = None
    epsilon: float | None = None
    clipnorm: float | None = None
    global_clipnorm: float | None = None
    clipvalue: float | None = None
    is_loss_scaled: bool = False
    gradient_accumulation_steps: int = 0


@dataclass(frozen=True)
class ModelFacts:
    """The model and how it is trained.

    Attributes:
      framework: such as "keras" or "tensorflow"; "" where it is not known.
      versions: of the framework, as a person would report them: "keras 3.15.1, tensorflow 2.21.0".
      dtype_policy: of the model; "" where there is none.
      jit_compile: whether the step is compiled by XLA.
      onednn: whether TensorFlow's CPU kernels are oneDNN's.
      layers: in the order of execution, as far as it was traced.
      losses: of the compiled model; () where they are not known.
      optimizers: likewise.
      trainable_variables: how many variables are trained; None where that is not known.
    """

    framework: str = ""
    versions: str = ""
    dtype_policy: str = ""
    jit_compile: bool = False
    onednn: bool = False
    layers: tuple[LayerFacts, ...] = ()
    losses: tuple[LossFacts, ...] = ()
    optimizers: tuple[OptimizerFacts, ...] = ()
    trainable_variables: int | None = None


UNKNOWN_MODEL = ModelFacts()
"""Where nothing but the tensors is known."""
