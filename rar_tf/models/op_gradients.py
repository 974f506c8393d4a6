"""Gradients of TensorFlow operations that TensorFlow lacks, leaves out or computes wrongly.

Importing this module registers them, for every piece of code that uses the operations:

- Gradients of the gradients of nearest, bicubic, Lanczos and other filtered resizing, of
  `tf.image.crop_and_resize`, softsign and local response normalization raise LookupError.
- That of bilinear resizing is registered as none: the second derivative is left out silently.
- Resizing by area has no gradient at all.
- The kernel of `MaxPoolGradGrad` may write over the input that it reads where input and output
  have one shape, as under max pooling with stride 1 and padding SAME.

Resizing is linear, so that the gradient of its gradient by the upstream is resizing itself.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf
from tensorflow.python.framework import ops

Gradient = Callable[..., Any]


def _register(name: str, gradient: Gradient) -> None:
    """Register the gradient of an operation for which TensorFlow has none."""
    try:
        tf.RegisterGradient(name)(gradient)
    except KeyError:
        return  # TensorFlow has one.


def _replace(name: str, make: Callable[[Gradient | None], Gradient]) -> None:
    """Replace the registered gradient of an operation, which `make` receives.

    Later imports of this module, under another name, find the replacement and leave it.
    """
    registry = ops.gradient_registry
    before = registry.lookup(name)
    if getattr(before, "is_of_rar_tf", False):
        return
    gradient: Any = make(before)
    gradient.is_of_rar_tf = True
    registry._registry.pop(name)
    tf.RegisterGradient(name)(gradient)


def _resize_again(resize: Callable) -> Gradient:
    """Gradient of the gradient of a resizing operation, of (upstream, image)."""

    def gradient(operation: tf.Operation, upper: tf.Tensor) -> tuple[tf.Tensor, None]:
        options = {
            name: operation.get_attr(name) for name in ("align_corners", "half_pixel_centers")
        }
        upstream = operation.inputs[0]
        resized = resize(images=upper, size=tf.shape(upstream)[1:3], **options)
        return tf.cast(resized, upstream.dtype), None

    return gradient


def _resize_bilinear(operation: tf.Operation, upstream: tf.Tensor) -> tuple[tf.Tensor, None]:
    """Gradient of bilinear resizing, of (image, size), with a derivative by the upstream.

    The gradient of `ResizeBilinearGrad` cannot be replaced: an eager tape keeps no inputs of it.
    """
    image = operation.inputs[0]
    options = {name: operation.get_attr(name) for name in ("align_corners", "half_pixel_centers")}

    @tf.custom_gradient
    def transposed(upstream: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        size = tf.shape(upstream)[1:3]
        gradient = tf.raw_ops.ResizeBilinearGrad(grads=upstream, original_image=image, **options)
        return gradient, lambda upper: tf.raw_ops.ResizeBilinear(images=upper, size=size, **options)

    return transposed(upstream), None


def _resize_area(operation: tf.Operation, upstream: tf.Tensor) -> tuple[tf.Tensor, None]:
    """Transpose of the resizing by area, of (image, size), which is one matrix a side."""
    image = operation.inputs[0]
    align = operation.get_attr("align_corners")
    before, after = (tf.shape(tensor)[1:3] for tensor in (image, upstream))
    rows, columns = (_area_weights(before[i], after[i], align) for i in range(2))
    return tf.cast(tf.einsum("io,boqc,jq->bijc", rows, upstream, columns), image.dtype), None


def _area_weights(before: tf.Tensor, after: tf.Tensor, align_corners: bool) -> tf.Tensor:
    """Shares [before, after] of the old pixels in the new ones; columns sum to 1."""
    sizes = [tf.cast(size, tf.float32) for size in (before, after)]
    scale = sizes[0] / sizes[1]
    if align_corners:
        scale = tf.where(after > 1, (sizes[0] - 1) / tf.maximum(sizes[1] - 1, 1.0), scale)
    starts = scale * tf.range(sizes[1])
    # The last pixel stands for all that lies behind it.
    pixels = tf.range(sizes[0])
    ends = tf.where(pixels < sizes[0] - 1, pixels + 1, sizes[0] + scale)
    overlap = tf.minimum(ends[:, tf.newaxis], starts + scale) - tf.maximum(
        pixels[:, tf.newaxis], starts
    )
    return tf.maximum(overlap, 0.0) / scale


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


def _crop_again(operation: tf.Operation, upper: tf.Tensor) -> tuple[Any, ...]:
    upstream, boxes, box_indices, _ = operation.inputs
    cropped = tf.raw_ops.CropAndResize(
        image=upper,
        boxes=boxes,
        box_ind=box_indices,
        crop_size=tf.shape(upstream)[1:3],
        method=operation.get_attr("method"),
    )
    return cropped, None, None, None


def _softsign_again(operation: tf.Operation, upper: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradient of `u / (1 + |x|)^2` by u and x."""
    upstream, x = operation.inputs
    size = 1 + tf.abs(x)
    return upper / size**2, -2 * upper * upstream * tf.sign(x) / size**3


def _response_again(operation: tf.Operation, upper: tf.Tensor) -> tuple[Any, ...]:
    """Gradient of the gradient of local response normalization, of (upstream, x, output).

    With s = bias + alpha W x^2, W the sum over a window of channels, the gradient is
    `u s^-beta - 2 alpha beta x W (u x s^(-beta - 1))`.
    """
    names = ("depth_radius", "bias", "alpha", "beta")
    radius, bias, alpha, beta = (operation.get_attr(name) for name in names)
    inputs = [tf.identity(tensor) for tensor in operation.inputs[:2]]

    def window_sum(h: tf.Tensor) -> tf.Tensor:
        channels = tf.range(tf.shape(h)[-1])
        near = tf.abs(channels[:, tf.newaxis] - channels) <= radius
        return tf.tensordot(h, tf.cast(near, h.dtype), 1)

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        upstream, x = inputs
        s = bias + alpha * window_sum(x**2)
        sums = window_sum(upstream * x * s ** (-beta - 1))
        gradient = upstream * s**-beta - 2 * alpha * beta * x * sums
    return (*tape.gradient(gradient, inputs, upper), None)


def _max_pool_again(before: Gradient | None) -> Gradient:
    """Gradient of the gradient of max pooling, of (input, output, upstream)."""

    def gradient(operation: tf.Operation, upper: tf.Tensor) -> Any:
        h, pooled, _ = operation.inputs
        options = {name: operation.get_attr(name) for name in ("ksize", "strides")}
        layout = operation.get_attr("data_format")
        if max(options["strides"]) > 1 or layout not in (b"NHWC", "NHWC") or before is None:
            return before and before(operation, upper)
        padding = tf.compat.as_str(operation.get_attr("padding"))
        if padding not in ("SAME", "VALID"):
            return before(operation, upper)
        _, winners = tf.raw_ops.MaxPoolWithArgmax(
            input=h, padding=padding, include_batch_in_index=True, **options
        )
        at_winners = tf.gather(tf.reshape(upper, [-1]), tf.reshape(winners, [-1]))
        at_winners = tf.reshape(at_winners, tf.shape(pooled))
        return tf.zeros_like(h), tf.zeros_like(pooled), at_winners

    return gradient


_register("ResizeBicubicGrad", _resize_again(tf.raw_ops.ResizeBicubic))
_register("ResizeNearestNeighborGrad", _resize_again(tf.raw_ops.ResizeNearestNeighbor))
_register("ResizeArea", _resize_area)
_register("ScaleAndTranslateGrad", _scale_again)
_register("CropAndResizeGradImage", _crop_again)
_register("SoftsignGrad", _softsign_again)
_register("LRNGrad", _response_again)
_replace("ResizeBilinear", lambda _: _resize_bilinear)
_replace("MaxPoolGrad", _max_pool_again)
