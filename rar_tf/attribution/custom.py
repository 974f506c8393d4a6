"""Custom maps: functions of a classifier, images and classes, in TensorFlow or any Python code."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rar_tf.checks import float_images, integer_labels
from rar_tf.naming import call_custom, json_default

# (classifier, images [B, H, W, C], classes [B]) -> map [B, H, W, C] or [B, H, W]: a tensor, or, of
# a black box, an array.
AttributionFn = Callable[[keras.Model, Any, Any], Any]


class BlackBoxError(ValueError):
    """A gradient is taken of a map that has none."""


def custom_map(
    function: AttributionFn, classifier: keras.Model, x: tf.Tensor, y: tf.Tensor
) -> tf.Tensor:
    """Map of a custom function, [B, H, W, C] float32.

    A function of TensorFlow operations is called with tensors and becomes part of the graph. Any
    other one is a black box: it is called with arrays, in a graph by `tf.numpy_function`, and
    has no gradient. Tracing tells which of the two a function is.

    Args:
      function: (classifier, images, classes) -> map [B, H, W, C], or [B, H, W], whose value each
        channel gets in equal parts.
      classifier: images -> logits, of tensors or arrays.
      x: [B, H, W, C] float32, pixels in [0, 1].
      y: [B] int, classes.

    Raises:
      ValueError: the function fails, or its map is of another shape, not of real numbers or,
        outside of a graph, not finite.
      BlackBoxError: a gradient is taken of a black box.
    """
    x = float_images(x, rank=4)
    y = integer_labels(y, x.shape[0])
    if is_traceable(function, classifier, x, y):
        value = _checked(function, _call(function, classifier, x, y), x)
    else:
        value = _black_box(function, classifier, x, y)
    value = tf.ensure_shape(value, x.shape)
    if tf.executing_eagerly() and not bool(tf.reduce_all(tf.math.is_finite(value))):
        raise ValueError(
            f"attribution={json_default(function)} must return finite maps. "
            "Received: NaN or infinity"
        )
    return value


def is_traceable(
    function: AttributionFn, classifier: keras.Model, x: tf.Tensor, y: tf.Tensor
) -> bool:
    """Whether the function gives a tensor of symbolic images, without Python values of theirs."""
    signature = [tf.TensorSpec(part.shape, part.dtype) for part in (x, y)]
    is_tensor = []

    def trace(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        value = function(classifier, x, y)
        is_tensor.append(tf.is_tensor(value))
        return value

    # Not in an init_scope, which pauses the gradient tapes of the function.
    try:
        tf.function(trace, autograph=False).get_concrete_function(*signature)
    except Exception:  # Custom code may raise anything. Its own call tells what.
        return False
    return bool(is_tensor and is_tensor[-1])


def _call(function: AttributionFn, classifier: keras.Model, x: Any, y: Any) -> Any:
    return call_custom("attribution", json_default(function), function, object, classifier, x, y)


def _black_box(
    function: AttributionFn, classifier: keras.Model, x: tf.Tensor, y: tf.Tensor
) -> tf.Tensor:
    """Map of a function of arrays, whose gradient is an error."""

    def maps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        value = _call(function, classifier, x, y)
        array = value if value is None else np.asarray(value)
        return _checked(function, array, x).numpy()

    @tf.custom_gradient
    def zero(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def refuse(upstream: tf.Tensor) -> tf.Tensor:
            raise BlackBoxError(
                f"attribution={json_default(function)} must be of TensorFlow operations for a "
                "search by gradients. Received: a black box, for gradient-free searches only"
            )

        return tf.zeros([], tf.float32), refuse

    # Outside of the custom gradient, which would have to take the classifier's variables.
    if tf.executing_eagerly():
        value = tf.constant(maps(x.numpy(), y.numpy()))
    else:
        value = tf.numpy_function(maps, [x, y], tf.float32)
    return tf.stop_gradient(value) + zero(x)


def _checked(function: AttributionFn, value: Any, x: Any) -> tf.Tensor:
    """The map as float32 [B, H, W, C].

    Raises:
      ValueError: another shape, or no real numbers.
    """
    dtype = np.dtype(object) if value is None else value.dtype
    name, shape = getattr(dtype, "name", str(dtype)), tf.TensorShape(getattr(value, "shape", None))
    is_real = name.rstrip("0123456789") in ("float", "bfloat", "int", "uint")
    images = tf.TensorShape(x.shape)
    per_pixel = is_real and shape.rank == 3 and shape.is_compatible_with(images[:3])
    if not per_pixel and not (is_real and shape.rank == 4 and shape.is_compatible_with(images)):
        received = "None" if value is None else f"{name} {shape}"
        raise ValueError(
            f"attribution={json_default(function)} must return maps of real numbers {images} or "
            f"{images[:3]}. Received: {received}"
        )
    value = tf.cast(value, tf.float32)
    if per_pixel:
        channels = tf.shape(x)[-1]
        value = tf.repeat(value[..., tf.newaxis], channels, -1) / tf.cast(channels, tf.float32)
    return value
