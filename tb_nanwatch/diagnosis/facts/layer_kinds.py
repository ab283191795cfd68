"""What the built-in classes of Keras do with numbers.

Class names of the framework, not names of layers. Nothing is assumed of a class of the user's that
has the same name: `LayerFacts.is_builtin` is false for it.
"""

from __future__ import annotations

INFINITE_DERIVATIVE = frozenset(
    {
        *("Sqrt", "Rsqrt", "Cbrt", "Power", "Norm", "Normalize", "Std", "Hypot", "CDist"),
        *("Log", "Log1p", "Log2", "Log10", "LogSigmoid", "Logsumexp", "Logdet", "Slogdet"),
        *("Divide", "TrueDivide", "Reciprocal", "Inv", "Pinv", "Solve", "SVD", "Eigh", "Cholesky"),
        *("Arccos", "Arcsin", "Arccosh", "Arctanh", "Arctan2", "Erfinv", "Where", "Tan"),
    }
)
"""Operations of a functional model whose derivative is infinite or undefined somewhere."""

RECURRENT = frozenset(
    {
        *("SimpleRNN", "GRU", "LSTM", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"),
        *("SimpleRNNCell", "GRUCell", "LSTMCell"),
    }
)

BOUNDED_ACTIVATIONS = frozenset({"tanh", "sigmoid", "hard_sigmoid", "hard_tanh", "softsign", ""})
"""Activations that keep a state from growing at each time step; "" for an unknown one."""

RUNS_USER_CODE = frozenset({"Lambda", "RNN", "Functional", "Sequential", "Model", "TFSMLayer"})
"""Built-in classes that run functions, cells or layers of the user's."""

MULTIPLIES_INPUT = frozenset(
    {
        *("Dense", "EinsumDense"),
        *("Conv1D", "Conv2D", "Conv3D"),
        *("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"),
    }
)
"""Layers that multiply their input with `kernel` and add `bias`: the gradient of the bias is what
arrives at the output, that of the kernel is the same times the input."""

SCALES_INPUT = frozenset({"Normalization", "Rescaling"})
"""Layers that are there to bring a model's input to a usual scale."""

DROPS_NAN = frozenset(
    {
        *("ReLU", "Relu", "Relu6", "MaxPool", "AdaptiveMaxPool"),
        *("MaxPooling1D", "MaxPooling2D", "MaxPooling3D"),
        *("GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D"),
        *("AdaptiveMaxPooling1D", "AdaptiveMaxPooling2D", "AdaptiveMaxPooling3D"),
    }
)
"""Layers and operations whose kernels may return a number for a NaN (seen: max-pooling on CPU
everywhere, ReLU with oneDNN)."""

ACTIVATIONS_THAT_DROP_NAN = frozenset({"relu", "relu6"})
"""Activation functions that do the same, by their names in Keras."""

KNOWN_ACTIVATIONS = frozenset(
    {
        *("", "linear", "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "glu"),
        *("silu", "swish", "mish", "softplus", "softsign", "squareplus", "tanh", "tanh_shrink"),
        *("sigmoid", "hard_sigmoid", "log_sigmoid", "sparse_sigmoid", "exponential", "threshold"),
        *("softmax", "log_softmax", "sparsemax", "sparse_plus", "soft_shrink", "hard_shrink"),
        *("hard_silu", "hard_swish", "hard_tanh"),
    }
)
"""The activation functions of Keras: their derivatives are finite. Any other is the user's own."""
