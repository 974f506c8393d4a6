"""Pixel ranges of classifiers: conversions from [0, 1], and checks of a custom one."""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from rar_tf.naming import call_custom, find, json_default

PixelFn = Callable[[tf.Tensor], tf.Tensor]
_CAFFE_MEANS = (103.939, 116.779, 123.68)  # Blue, green, red, of ImageNet in [0, 255].
_TORCH_MEANS, _TORCH_SCALES = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class PixelRange(NamedTuple):
    """Pixels that a classifier takes, as a function of pixels in [0, 1].

    Attributes:
      description: the conversion in words; empty for none.
      scale: factor of a pixel in [0, 1], one number or one for each channel.
      offset: summand after the factor.
      reverses_channels: whether channels come in reverse order, before the factor.
    """

    description: str
    scale: float | tuple[float, ...] = 1.0
    offset: float | tuple[float, ...] = 0.0
    reverses_channels: bool = False

    @property
    def channels(self) -> int | None:
        """Number of channels that images must have; None for any."""
        return len(self.offset) if isinstance(self.offset, tuple) else None

    def __call__(self, pixels: tf.Tensor) -> tf.Tensor:
        """Pixels of the classifier of pixels in [0, 1]."""
        if self.reverses_channels:
            pixels = pixels[..., ::-1]
        return pixels * tf.constant(self.scale, pixels.dtype) + tf.constant(
            self.offset, pixels.dtype
        )


class PixelLayer(keras.layers.Layer):
    """Affine conversion of images in [0, 1] to the pixels that a classifier takes."""

    def __init__(self, function: PixelRange, **options: Any) -> None:
        """
        Args:
          function: the conversion.
          **options: keyword arguments of `keras.layers.Layer`.
        """  # fmt: skip
        super().__init__(**options)
        self.function = function

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The pixels."""
        return self.function(inputs)


# The ranges by name; caffe and torch are the modes of `keras.applications` besides [-1, 1].
RANGES = {
    "0..1": PixelRange(""),
    "0..255": PixelRange("pixels scaled to [0, 255]", 255.0),
    "-1..1": PixelRange("pixels scaled to [-1, 1]", 2.0, -1.0),
    "caffe": PixelRange(
        "pixels scaled to [0, 255], channels reversed, ImageNet's means subtracted (caffe)",
        255.0,
        tuple(-mean for mean in _CAFFE_MEANS),
        reverses_channels=True,
    ),
    "torch": PixelRange(
        "pixels normalized by ImageNet's means and deviations (torch)",
        tuple(1 / scale for scale in _TORCH_SCALES),
        tuple(-mean / scale for mean, scale in zip(_TORCH_MEANS, _TORCH_SCALES, strict=True)),
    ),
}
PIXELS = ("auto", *RANGES)


def pixel_function(pixels: str | PixelFn, channels: int) -> tuple[PixelFn | PixelRange, str]:
    """(function of images in [0, 1], description) of pixels, for images of so many channels.

    Args:
      pixels: a name of `RANGES`, "MODULE:FUNCTION" or a function.
      channels: number of channels of the images.

    Raises:
      ValueError: an unknown name, or a range of other channels.
    """
    if callable(pixels):
        return pixels, f"pixels converted by {json_default(pixels)}"
    function = find("pixels", pixels, RANGES)
    if not isinstance(function, PixelRange):
        return function, f"pixels converted by {pixels}"
    if function.channels not in (None, channels):
        raise ValueError(
            f"pixels={pixels} must be given for images of {function.channels} channels. "
            f"Received: images of {channels}"
        )
    return function, function.description


def check_pixel_function(function: PixelFn, name: str, sample: tf.Tensor) -> None:
    """Raise ValueError unless a custom function is a differentiable one of images.

    Args:
      function: images [B, H, W, C] in [0, 1] -> what the classifier takes.
      name: name of the function in errors.
      sample: images to call it with.
    """

    def gradient(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor | None]:
        value = tf.convert_to_tensor(function(image))
        # Not the plain sum, which is constant for standardized images.
        weights = tf.random.stateless_normal(tf.shape(value), (0, 0), dtype=tf.float32)
        total = tf.reduce_sum(tf.cast(value, tf.float32) * weights)
        # Not by a tape, which does not record in an init_scope.
        return value, tf.gradients(total, image)[0]

    # In a graph, as attacks call it: a function of NumPy fails there.
    traced = tf.function(gradient, autograph=False)
    value, slope = call_custom("pixels", name, traced, tuple, sample)
    if value.shape.rank != 4 or value.shape[0] != sample.shape[0]:
        raise ValueError(
            f"pixels={name} must return images [B, H, W, C]. Received: shape {value.shape} of "
            f"{sample.shape}"
        )
    if slope is None or not bool(tf.reduce_any(tf.math.is_finite(slope) & (slope != 0))):
        reason = "none" if slope is None else "zero everywhere"
        raise ValueError(
            f"pixels={name} must be differentiable in TensorFlow, without rounding or conversion "
            f"to integers, as attacks follow its gradient. Received: a gradient that is {reason}"
        )
    if not bool(tf.reduce_all(tf.math.is_finite(value))):
        raise ValueError(f"pixels={name} must return finite pixels. Received: NaN or infinity")
