"""Keras 3 on TensorFlow: what is different there from Keras 2.

- `framework`: `keras_common.framework.KerasFramework`, implemented.
"""
