"""The papers' residual networks: small ones without normalization, and ResNet-18."""

import dataclasses
import itertools
import math
from collections.abc import Iterator

import keras
from keras import layers, ops

from rar_tf.models.arguments import check_arguments
from rar_tf.models.weight_decay import kernel_l2

NORMALIZATIONS = ("batch_norm", "group_norm")
_FORMAT = "channels_last"  # Whatever keras.json says.
# Inputs up to this size have the CIFAR stem, which keeps their resolution.
_SMALL_IMAGE = 64


def gtsrb_resnet(
    num_classes: int = 43,
    input_shape: tuple[int, int, int] = (32, 32, 3),
    *,
    weight_decay: float = 0.0,
    seed: int = 0,
    name: str = "gtsrb_resnet",
) -> keras.Model:
    """The GTSRB network of [RAR]: two residual units in each of three stages.

    Otherwise as `flower_resnet`.
    """
    return _leaky_resnet(num_classes, input_shape, 2, weight_decay, seed, name)


def flower_resnet(
    num_classes: int = 17,
    input_shape: tuple[int, int, int] = (128, 128, 3),
    *,
    weight_decay: float = 0.0,
    seed: int = 0,
    name: str = "flower_resnet",
) -> keras.Model:
    """The Flower network of [RAR]: one residual unit in each of three stages.

    Image standardization; conv 3x3x16; stages of 16, 32, 64 channels and strides 1, 2, 2
    of pre-activation units; leaky ReLU 0.1; global average pool; dense. Only the first
    unit's shortcut takes the activated input, as in the original's code; no batch
    normalization and no convolution biases. Kernels N(0, 2 / (k^2 out)); the dense
    kernel U(+-sqrt(3 / in)), its bias 0.

    The standardization is `(x - mean) / max(std, 1 / (255 sqrt(N)))`, N pixel values: the
    floor of `tf.image.per_image_standardization` on [0, 255], in units of [0, 1]. Above
    it f(t x) = f(x), so integrated gradients from a black image concentrate at its dark
    end, and Riemann sums miss their completeness.

    Args:
      num_classes: number of logits.
      input_shape: [H, W, C] of an image, H and W divisible by 4; pixels in [0, 1].
      weight_decay: the model's `losses` hold `weight_decay * sum w^2 / 2` per kernel.
      seed: seed of the kernels; layer i draws from `seed + i`.
      name: name of the model.

    Returns:
      A plain Functional model from images [B, H, W, C] to float32 logits [B, num_classes],
      which `keras.models.load_model` reads without this project.

    Raises:
      ValueError: fewer than two classes, a size not divisible by 4, weight_decay < 0.
    """
    return _leaky_resnet(num_classes, input_shape, 1, weight_decay, seed, name)


def resnet18(
    num_classes: int,
    input_shape: tuple[int, int, int],
    *,
    normalization: str = "batch_norm",
    weight_decay: float = 0.0,
    seed: int = 0,
    name: str = "resnet18",
) -> keras.Model:
    """ResNet-18 (He et al., 2016, table 1), the CIFAR-10 and Restricted ImageNet model of [FAR].

    Images of at most 64 x 64 pixels enter through a 3x3 convolution of stride 1, larger
    ones through 7x7 of stride 2 and a 3x3 max pooling of stride 2. Kernels N(0, 2 / (k^2 out)).

    Args:
      num_classes: number of logits.
      input_shape: [H, W, C] of an image; pixels in [0, 1].
      normalization: one of `NORMALIZATIONS`; "group_norm" (32 groups) has no state and
        sees each image alone.
      weight_decay: the model's `losses` hold `weight_decay * sum w^2 / 2` per kernel.
      seed: seed of the kernels; layer i draws from `seed + i`.
      name: name of the model.

    Returns:
      A plain Functional model from images [B, H, W, C] to float32 logits [B, num_classes].

    Raises:
      ValueError: fewer than two classes, images smaller than 8 x 8, an unknown
        normalization, weight_decay < 0.
    """
    check_arguments(num_classes, input_shape, minimum=8, divisor=1)
    if normalization not in NORMALIZATIONS:
        raise ValueError(
            f"normalization must be one of {NORMALIZATIONS}. Received: {normalization!r}"
        )
    seeds = itertools.count(seed)
    conv = _ConvMaker(weight_decay, seeds)
    image = keras.Input(input_shape, name="image")
    small = max(input_shape[:2]) <= _SMALL_IMAGE
    h = conv(64, 3 if small else 7, 1 if small else 2, "stem_conv")(image)
    h = layers.ReLU(name="stem_relu")(_normalize(h, normalization, "stem_norm"))
    if not small:
        h = layers.MaxPooling2D(3, 2, "same", data_format=_FORMAT, name="stem_pool")(h)
    for stage, channels in enumerate((64, 128, 256, 512), start=1):
        for unit in (1, 2):
            stride = 2 if stage > 1 and unit == 1 else 1
            h = _basic_unit(h, channels, stride, normalization, conv, f"unit_{stage}_{unit}")
    return _head(image, h, num_classes, weight_decay, next(seeds), name)


@dataclasses.dataclass(frozen=True)
class _ConvMaker:
    """Maker of convolutions without bias; each takes the next seed.

    Attributes:
      weight_decay: wd of the L2 loss wd * sum w^2 / 2 on kernels.
      seeds: seeds of the kernels.
    """

    weight_decay: float
    seeds: Iterator[int]

    def __call__(self, channels: int, size: int, stride: int, name: str) -> layers.Layer:
        return layers.Conv2D(
            channels,
            size,
            strides=stride,
            padding="same",
            data_format=_FORMAT,
            use_bias=False,
            kernel_initializer=keras.initializers.VarianceScaling(
                2.0, "fan_out", "untruncated_normal", seed=next(self.seeds)
            ),
            kernel_regularizer=kernel_l2(self.weight_decay),
            name=name,
        )


def _leaky_resnet(
    num_classes: int,
    input_shape: tuple[int, int, int],
    units_per_stage: int,
    weight_decay: float,
    seed: int,
    name: str,
) -> keras.Model:
    check_arguments(num_classes, input_shape, minimum=4, divisor=4)
    seeds = itertools.count(seed)
    conv = _ConvMaker(weight_decay, seeds)
    image = keras.Input(input_shape, name="image")
    h = conv(16, 3, 1, "stem_conv")(_standardized(image))
    for stage, channels in enumerate((16, 32, 64), start=1):
        for unit in range(1, units_per_stage + 1):
            stride = 2 if stage > 1 and unit == 1 else 1
            first = stage == unit == 1
            h = _leaky_unit(h, channels, stride, first, conv, f"unit_{stage}_{unit}")
    h = layers.LeakyReLU(negative_slope=0.1, name="last_relu")(h)
    return _head(image, h, num_classes, weight_decay, next(seeds), name)


def _standardized(image: keras.KerasTensor) -> keras.KerasTensor:
    # The floor goes inside the square root, whose gradient at a constant image is infinite.
    floor = 1 / (255 * math.sqrt(math.prod(image.shape[1:])))
    centred = image - ops.mean(image, axis=(1, 2, 3), keepdims=True)
    variance = ops.mean(ops.square(centred), axis=(1, 2, 3), keepdims=True)
    return centred / ops.sqrt(ops.maximum(variance, floor**2))


def _leaky_unit(
    h: keras.KerasTensor,
    channels: int,
    stride: int,
    activated_shortcut: bool,
    conv: _ConvMaker,
    name: str,
) -> keras.KerasTensor:
    """Pre-activation unit: h + conv(a(conv(a(h)))), a = leaky ReLU 0.1."""
    activated = layers.LeakyReLU(negative_slope=0.1, name=f"{name}_relu1")(h)
    shortcut = activated if activated_shortcut else h
    branch = conv(channels, 3, stride, f"{name}_conv1")(activated)
    branch = layers.LeakyReLU(negative_slope=0.1, name=f"{name}_relu2")(branch)
    branch = conv(channels, 3, 1, f"{name}_conv2")(branch)
    if stride > 1:
        pool = layers.AveragePooling2D(stride, data_format=_FORMAT, name=f"{name}_pool")
        shortcut = pool(shortcut)
    extra_channels = channels - h.shape[-1]
    if extra_channels:
        side = [extra_channels // 2, extra_channels // 2]
        shortcut = ops.pad(shortcut, [[0, 0], [0, 0], [0, 0], side])
    return layers.Add(name=f"{name}_add")([branch, shortcut])


def _basic_unit(
    h: keras.KerasTensor,
    channels: int,
    stride: int,
    normalization: str,
    conv: _ConvMaker,
    name: str,
) -> keras.KerasTensor:
    """Residual unit: relu(shortcut(h) + norm(conv(relu(norm(conv(h))))))."""
    branch = conv(channels, 3, stride, f"{name}_conv1")(h)
    branch = _normalize(branch, normalization, f"{name}_norm1")
    branch = layers.ReLU(name=f"{name}_relu1")(branch)
    branch = conv(channels, 3, 1, f"{name}_conv2")(branch)
    branch = _normalize(branch, normalization, f"{name}_norm2")
    if stride > 1 or h.shape[-1] != channels:
        h = conv(channels, 1, stride, f"{name}_shortcut")(h)
        h = _normalize(h, normalization, f"{name}_shortcut_norm")
    h = layers.Add(name=f"{name}_add")([branch, h])
    return layers.ReLU(name=f"{name}_relu2")(h)


def _normalize(h: keras.KerasTensor, normalization: str, name: str) -> keras.KerasTensor:
    if normalization == "group_norm":
        return layers.GroupNormalization(32, name=name)(h)
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(h)


def _head(
    image: keras.KerasTensor,
    h: keras.KerasTensor,
    num_classes: int,
    weight_decay: float,
    seed: int,
    name: str,
) -> keras.Model:
    h = layers.GlobalAveragePooling2D(data_format=_FORMAT, name="pool")(h)
    logits = layers.Dense(
        num_classes,
        kernel_initializer=keras.initializers.VarianceScaling(1.0, "fan_in", "uniform", seed=seed),
        kernel_regularizer=kernel_l2(weight_decay),
        # Logits keep full precision under a mixed policy.
        dtype="float32",
        name="logits",
    )(h)
    return keras.Model(image, logits, name=name)
