"""Batches of Keras as batches of an objective."""

from typing import Any

import keras
import tensorflow as tf

from rar_tf.checks import float_images, integer_labels, whole_labels
from rar_tf.objective import Batch


def unpack(data: Any, classifier: keras.Model) -> tuple[Batch, tf.Tensor | None]:
    """The (x, y) or (x, y, sample_weight) of Keras as a Batch and weights [B] or None.

    Raises:
      ValueError: images that are not floating, labels that are not class numbers [B], or weights
        that are not [B].
      tf.errors.InvalidArgumentError: a label is not a class of the classifier.
    """
    x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
    if y is None:
        raise ValueError("batches must be (x, y). Received: no labels")
    y = _column(y)
    if y.shape.rank != 1:
        raise ValueError(
            f"labels must be class numbers of shape [B], not one-hot. Received: shape={y.shape}"
        )
    if y.dtype.is_floating:  # Keras converts lists of integers so.
        y = whole_labels(y)
    image, target_map = (x["image"], x.get("target_map")) if isinstance(x, dict) else (x, None)
    image = tf.cast(float_images(image), tf.float32)
    label = integer_labels(y, image.shape[0])
    shape = getattr(classifier, "output_shape", None)
    if shape is not None:  # That of a subclassed model is not known.
        text = f"labels must be in 0 .. {shape[-1] - 1}. Received others."
        tf.debugging.assert_non_negative(label, text)
        tf.debugging.assert_less(label, tf.cast(shape[-1], label.dtype), text)
    batch = Batch(image, tf.cast(label, tf.int32), target_map)
    return batch, None if weight is None else _weights(weight)


def _weights(weight: Any) -> tf.Tensor:
    weight = _column(tf.cast(weight, tf.float32))
    if weight.shape.rank != 1:
        raise ValueError(f"sample_weight must be of shape [B]. Received: shape={weight.shape}")
    return weight


def _column(values: tf.Tensor) -> tf.Tensor:
    """[B] of [B, 1]; others unchanged."""
    is_column = values.shape.rank == 2 and values.shape[1] == 1
    return tf.squeeze(values, 1) if is_column else values
