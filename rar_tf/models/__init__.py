"""Classifiers as plain Keras models: images [B, H, W, C] in [0, 1] -> logits [B, classes]."""

from rar_tf.models.small_cnn import small_cnn

__all__ = ["small_cnn"]
