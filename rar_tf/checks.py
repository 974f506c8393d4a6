"""Checks of arguments that many modules share."""

from typing import Any

import numpy as np
import tensorflow as tf


def is_count(value: Any) -> bool:
    """Whether a value is an integer; True and False are not."""
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def check_count(name: str, value: Any, minimum: int = 1) -> None:
    """Raise ValueError unless `value` is an integer >= `minimum`."""
    if not is_count(value):
        raise ValueError(f"{name} must be an integer >= {minimum}. Received: {name}={value!r}")
    if value < minimum:
        raise ValueError(f"{name} must be >= {minimum}. Received: {name}={value}")


def levels_hint(value: float) -> str:
    """Likely meaning of a length > 1 of pixels in [0, 1]: one of pixels in 0 .. 255; or ""."""
    if not 1 < value <= 255:
        return ""
    return f"; if it is of pixels in 0 .. 255, give {value:g}/255 = {value / 255:.3g}"


def whole_labels(y: tf.Tensor) -> tf.Tensor:
    """Floating labels as int32.

    Raises:
      ValueError: a fraction or NaN, in eager mode.
      tf.errors.InvalidArgumentError: the same, in a graph.
    """
    text = "labels must be class numbers, whole and finite. Received"
    if tf.executing_eagerly():
        values = np.asarray(y).ravel()
        fractions = values[~np.isfinite(values) | (values != np.round(values))]
        if fractions.size:
            raise ValueError(f"{text}: {fractions[0]:g}")
    is_whole = tf.reduce_all(tf.math.is_finite(y) & (tf.round(y) == y))
    with tf.control_dependencies([tf.debugging.assert_equal(is_whole, True, f"{text} others.")]):
        return tf.cast(y, tf.int32)


def float_images(x: Any, rank: int | None = None) -> tf.Tensor:
    """Images as a floating tensor [B, ...], pixels in [0, 1].

    Args:
      x: images; anything that converts to a tensor.
      rank: number of axes that they must have; None for any >= 1.

    Raises:
      ValueError: integers or text, or another rank.
    """
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise ValueError(f"x must be floating, pixels in [0, 1]. Received: x.dtype={x.dtype.name}")
    if x.shape.rank is not None and (x.shape.rank < 1 if rank is None else x.shape.rank != rank):
        shape = "[B, ...]" if rank is None else "[B, H, W, C]"
        raise ValueError(f"x must be {shape}. Received: x.shape={x.shape}")
    return x


def integer_labels(y: Any, count: Any = None) -> tf.Tensor:
    """Labels as a tensor [B] of int32 or int64.

    Args:
      y: class numbers, [B].
      count: B, an integer or a static dimension; None if unknown.

    Raises:
      ValueError: not integers [B].
    """
    y = tf.convert_to_tensor(y)
    fits = y.shape.is_compatible_with([count])
    if not y.dtype.is_integer or not fits:
        size = "B" if count is None else count
        raise ValueError(
            f"labels must be integers [{size}], one for each image. "
            f"Received: {y.dtype.name} {y.shape}"
        )
    return y if y.dtype in (tf.int32, tf.int64) else tf.cast(y, tf.int32)


def valid_labels(logits: tf.Tensor, labels: Any) -> tf.Tensor:
    """Labels as an integer tensor [N], checked against logits [N, classes].

    In a graph only shapes and types are known; TensorFlow then checks the values on a CPU.

    Raises:
      ValueError: not integers [N], or, in eager mode, not class numbers.
    """
    labels = integer_labels(labels, logits.shape[0])
    if tf.executing_eagerly() and labels.shape[0]:
        low, high = int(tf.reduce_min(labels)), int(tf.reduce_max(labels))
        if low < 0 or high >= logits.shape[-1]:
            raise ValueError(
                f"labels must be in 0 .. {logits.shape[-1] - 1}. Received: {low} .. {high}"
            )
    return labels
