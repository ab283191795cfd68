"""Keras 2: the package tf_keras, and `keras` before its version 3.

- `framework`: `keras_common.framework.KerasFramework`, implemented.
- `batches`: a batch that the host has taken, as an iterator for a train function.
"""
