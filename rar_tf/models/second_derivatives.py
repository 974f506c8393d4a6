"""Second derivatives that TensorFlow lacks or computes wrongly: resizing in bfloat16, moments."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from rar_tf.models import op_gradients  # noqa: F401  Importing it registers the gradients.
from rar_tf.models.custom_layers import is_code_unknown
from rar_tf.models.rewrite import kind, replace_operations, with_call

_RESIZING = ("resizing", "resize", "upsampling2d")
_NORMALIZATION = ("layernormalization", "layernorm", "groupnormalization")


def twice_differentiable(model: keras.Model) -> keras.Model:
    """The same function on the same variables, with a second derivative of every layer.

    The gradients of operations that TensorFlow lacks or has wrongly are those of `op_gradients`,
    for any code. What is left is done by this function: TensorFlow takes the mean for a constant
    in the second derivative of `tf.nn.moments`, of which layer and group normalization are made,
    and has no first derivative of bicubic and Lanczos resizing in bfloat16. So
    `LayerNormalization`, `GroupNormalization`, `keras.ops.layer_normalization`, and every layer
    and model of code outside of Keras are called with exact moments, and `Resizing`,
    `UpSampling2D` and `keras.ops.image.resize` in float32 at least, at any depth of Functional
    and Sequential models and among the attributes of others. Code that imported the function
    `moments` itself, before, keeps TensorFlow's.

    Args:
      model: a built Keras model.

    Returns:
      A model for calling and differentiating, not for saving; the model itself if it has none
      of these.

    Raises:
      ValueError: a model that is not built.
    """
    # Two passes: the attributes of a layer of unknown code are replaced before its call.
    return replace_operations(replace_operations(model, _replacement), _with_moments)


def _replacement(value: Any) -> Any:
    name = kind(value)
    if name in _RESIZING:
        return with_call(value, _in_float32)
    if name in _NORMALIZATION:
        return with_call(value, _with_exact_moments)
    return value


def _with_moments(value: Any) -> Any:
    is_subclassed = isinstance(value, keras.Model) and not isinstance(
        value, (keras.Function, keras.Sequential)
    )
    if is_subclassed or is_code_unknown(value):
        return with_call(value, _with_exact_moments)
    return value


def _in_float32(call: Callable, x: tf.Tensor, *arguments: Any, **options: Any) -> tf.Tensor:
    """A call with its first argument in float32 at least, and its result of the former type."""
    exact = x if tf.as_dtype(x.dtype).size >= 4 else tf.cast(x, tf.float32)
    result = call(exact, *arguments, **options)
    return tf.cast(result, x.dtype) if exact is not x else result


def _with_exact_moments(call: Callable, *arguments: Any, **options: Any) -> Any:
    with exact_moments():
        return call(*arguments, **options)


@contextlib.contextmanager
def exact_moments() -> Iterator[None]:
    """Context in which `tf.nn.moments` does not take the mean for a constant.

    TensorFlow's does; the derivative of the variance by the mean is zero, its second derivative
    is not. Values and first derivatives are the same.
    """
    before = tf.nn.moments
    tf.nn.moments = _moments
    try:
        yield
    finally:
        tf.nn.moments = before


def _moments(
    x: tf.Tensor,
    axes: int | Sequence[int],
    shift: Any = None,
    keepdims: bool = False,
    name: str | None = None,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance; the arguments of `tf.nn.moments`."""
    x = tf.convert_to_tensor(x)
    exact = x if x.dtype.size >= 4 else tf.cast(x, tf.float32)
    center = tf.reduce_mean(exact, axes, keepdims=True)
    mean = tf.reduce_mean(exact, axes, keepdims=keepdims)
    variance = tf.reduce_mean(tf.math.squared_difference(exact, center), axes, keepdims=keepdims)
    return tf.cast(mean, x.dtype), tf.cast(variance, x.dtype)
