"""Second derivatives that TensorFlow lacks or computes wrongly: resizing, moments, softsign."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from rar_tf.models.custom_layers import is_bilinear_resizing, is_code_unknown
from rar_tf.models.rewrite import kind, replace_operations


def twice_differentiable(model: keras.Model) -> keras.Model:
    """The same function on the same variables, with a second derivative of every layer.

    TensorFlow raises LookupError for the second derivative through bicubic, Lanczos and nearest
    resizing and through softsign, has no first derivative of bicubic and Lanczos resizing in
    bfloat16, silently leaves out the second derivative through bilinear resizing, and takes the
    mean for a constant in that of `tf.nn.moments`, of which layer and group normalization are
    made. Replaced are `Resizing`, `UpSampling2D`, `LayerNormalization`,
    `GroupNormalization`, `keras.ops.image.resize`, `keras.ops.layer_normalization` and softsign,
    at any depth of Functional and Sequential models and among the attributes of others, and each
    `Lambda` or custom layer of a Functional model that is a bilinear resizing, with other affine
    operations or none. Of other code that a `call` holds, the LookupErrors are mended by
    gradients that this module registers; the rest is not.

    Args:
      model: a built Keras model.

    Returns:
      A model for calling and differentiating, not for saving; the model itself if it has none
      of these.

    Raises:
      ValueError: a model that is not built.
    """
    return replace_operations(model, _replacement)


def _replacement(value: Any) -> Any:
    if any(value is function for function in _SOFTSIGNS):
        return _softsign
    name = kind(value)
    if name == "softsign":
        return WithSecondDerivative(value, lambda _, x: _softsign(x), name=value.name)
    if name in ("resizing", "resize") or (
        name == "upsampling2d" and value.interpolation != "nearest"
    ):
        return WithSecondDerivative(value, _affine, name=value.name)
    if name in ("layernormalization", "layernorm", "groupnormalization"):
        return WithSecondDerivative(value, _normalized, name=value.name)
    if is_code_unknown(value) and is_bilinear_resizing(value):
        return WithSecondDerivative(value, _affine, name=value.name)
    return value


class WithSecondDerivative(keras.layers.Layer):
    """Another layer or operation, on its variables, with the second derivative that it lacks."""

    def __init__(self, operation: keras.Operation, function: Callable, **options: Any) -> None:
        """
        Args:
          operation: a built layer, or an operation of `keras.ops`.
          function: (operation, inputs, *further arguments) -> its outputs.
          **options: keyword arguments of `keras.layers.Layer`.
        """  # fmt: skip
        if isinstance(operation, keras.Layer):
            options |= {"dtype": operation.dtype_policy, "autocast": operation.autocast}
        else:
            options |= {"autocast": False}
        super().__init__(**options)
        self.operation = operation
        self.function = function
        self.built = True

    def call(
        self, inputs: tf.Tensor, *arguments: Any, mask: Any = None, training: Any = None
    ) -> tf.Tensor:
        """Outputs of the operation; neither the mask nor training change them."""
        return self.function(self.operation, inputs, *arguments)

    def compute_output_spec(self, *arguments: Any, mask: Any = None, training: Any = None) -> Any:
        """Symbolic outputs of the operation."""
        return self.operation.compute_output_spec(*arguments)


def _affine(operation: keras.Operation, x: tf.Tensor) -> tf.Tensor:
    """An affine operation `A x + b`, at least in float32, with derivatives of every order.

    The derivative of the vector-Jacobian product `A^T u` by u along v is `A v`, the operation
    itself less its value at 0.
    """

    def call(x: tf.Tensor) -> tf.Tensor:
        return operation.call(x)

    def transposed(point: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(point)
            value = call(point)
        return tape.gradient(value, point, upstream)

    @tf.custom_gradient
    def linear(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        zero = tf.zeros_like(x)
        return call(x) - call(zero), lambda upstream: transpose(zero, upstream)

    def transpose(zero: tf.Tensor, upstream: tf.Tensor) -> tf.Tensor:
        @tf.custom_gradient
        def of_upstream(upstream: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            return transposed(zero, upstream), linear

        return of_upstream(upstream)

    @tf.custom_gradient
    def affine(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        zero = tf.zeros_like(x)
        return call(x), lambda upstream: transpose(zero, upstream)

    return tf.cast(affine(_at_least_float32(x)), x.dtype)


def _normalized(operation: keras.Operation, x: tf.Tensor, *scales: Any) -> tf.Tensor:
    """Layer or group normalization of centered inputs.

    Normalization does not depend on the mean. That of centered inputs is zero at every x, so
    that taking it for a constant, as `tf.nn.moments` does, is right in every derivative.
    """
    if kind(operation) == "groupnormalization":
        return operation.call(_centered_groups(operation, x))
    if operation.rms_scaling:
        return operation.call(x, *scales)
    return operation.call(_centered(x, operation.axis), *scales)


def _centered(x: tf.Tensor, axes: Any) -> tf.Tensor:
    exact = _at_least_float32(x)
    return tf.cast(exact - tf.reduce_mean(exact, axes, keepdims=True), x.dtype)


def _centered_groups(layer: keras.layers.GroupNormalization, x: tf.Tensor) -> tf.Tensor:
    axis = layer.axis % x.shape.rank
    shape = tf.shape(x)
    groups = tf.concat(
        [shape[:axis], [layer.groups, shape[axis] // layer.groups], shape[axis + 1 :]], 0
    )
    axes = [i for i in range(1, x.shape.rank + 1) if i != axis]
    return tf.ensure_shape(tf.reshape(_centered(tf.reshape(x, groups), axes), shape), x.shape)


def _at_least_float32(x: tf.Tensor) -> tf.Tensor:
    return x if x.dtype.size >= 4 else tf.cast(x, tf.float32)


_SOFTSIGNS = (keras.activations.softsign, keras.ops.softsign, tf.nn.softsign)


def _softsign(x: tf.Tensor) -> tf.Tensor:
    return x / (1 + tf.abs(x))


def _register(name: str, gradient: Callable) -> None:
    """Register the gradient of an operation for which TensorFlow has none."""
    try:
        tf.RegisterGradient(name)(gradient)
    except KeyError:
        return  # TensorFlow has one.


def _resize_again(resize: Callable) -> Callable:
    """Gradient of the gradient of a resizing operation, of (upstream, image)."""

    def gradient(operation: tf.Operation, upper: tf.Tensor) -> tuple[tf.Tensor, None]:
        options = {
            name: operation.get_attr(name) for name in ("align_corners", "half_pixel_centers")
        }
        upstream = operation.inputs[0]
        return resize(images=upper, size=tf.shape(upstream)[1:3], **options), None

    return gradient


def _scale_again(operation: tf.Operation, upper: tf.Tensor) -> tuple[Any, ...]:
    upstream, _, scale, translation = operation.inputs
    resized = tf.raw_ops.ScaleAndTranslate(
        images=upper,
        size=tf.shape(upstream)[1:3],
        scale=scale,
        translation=translation,
        kernel_type=operation.get_attr("kernel_type"),
        antialias=operation.get_attr("antialias"),
    )
    return resized, None, None, None


def _softsign_again(operation: tf.Operation, upper: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradient of `u / (1 + |x|)^2` by u and x."""
    upstream, x = operation.inputs
    size = 1 + tf.abs(x)
    return upper / size**2, -2 * upper * upstream * tf.sign(x) / size**3


_register("ResizeBicubicGrad", _resize_again(tf.raw_ops.ResizeBicubic))
_register("ResizeNearestNeighborGrad", _resize_again(tf.raw_ops.ResizeNearestNeighbor))
_register("ScaleAndTranslateGrad", _scale_again)
_register("SoftsignGrad", _softsign_again)
