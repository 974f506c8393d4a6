"""Small networks with batch normalization, depthwise convolutions, or attention."""

import keras
from keras import layers

from rar_tf.models.arguments import check_arguments
from rar_tf.models.weight_decay import decay_kernels

_FORMAT = {"data_format": "channels_last"}  # Whatever keras.json says.


def batch_norm_cnn(
    num_classes: int = 10,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    *,
    weight_decay: float = 0.0,
    seed: int = 0,
    name: str = "batch_norm_cnn",
) -> keras.Model:
    """Three 3x3 convolutions of 32, 64, 128 channels with BatchNormalization, each pooled by 2.

    Args:
      num_classes: number of logits.
      input_shape: [H, W, C] of an image; pixels in [0, 1].
      weight_decay: the model's `losses` hold `weight_decay * sum w^2 / 2` per kernel.
      seed: seed of the kernels.
      name: name of the model.

    Returns:
      A plain Functional model from images [B, H, W, C] to float32 logits [B, num_classes].

    Raises:
      ValueError: fewer than two classes, images smaller than 8 x 8, or weight_decay < 0.
    """
    check_arguments(num_classes, input_shape, minimum=8)
    image = keras.Input(input_shape, name="image")
    h = image
    for i, channels in enumerate((32, 64, 128), 1):
        h = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"conv{i}", **_FORMAT)(
            h
        )
        h = layers.ReLU(name=f"relu{i}")(layers.BatchNormalization(name=f"norm{i}")(h))
        h = layers.MaxPooling2D(2, padding="same", name=f"pool{i}", **_FORMAT)(h)
    return _with_head(image, h, num_classes, weight_decay, seed, name)


def mobile_net(
    num_classes: int = 10,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    *,
    weight_decay: float = 0.0,
    seed: int = 0,
    name: str = "mobile_net",
) -> keras.Model:
    """Inverted residuals with depthwise convolutions, as MobileNetV2's  [Sandler et al. 2018].

    A 3x3 convolution of 16 channels and stride 2, four blocks (24, 24, 48 with stride 2, 48) of
    expansion 4, a 1x1 convolution of 128 channels; ReLU6 and BatchNormalization throughout.
    Arguments, result and errors are those of `batch_norm_cnn`.
    """
    check_arguments(num_classes, input_shape, minimum=8)
    image = keras.Input(input_shape, name="image")
    h = layers.Conv2D(16, 3, 2, padding="same", use_bias=False, name="stem", **_FORMAT)(image)
    h = _norm_relu6(h, "stem")
    for i, (channels, stride) in enumerate(((24, 1), (24, 1), (48, 2), (48, 1)), 1):
        h = _inverted_residual(h, channels, stride, f"block{i}")
    h = layers.Conv2D(128, 1, use_bias=False, name="last", **_FORMAT)(h)
    return _with_head(image, _norm_relu6(h, "last"), num_classes, weight_decay, seed, name)


def small_vit(
    num_classes: int = 10,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    *,
    patch: int = 4,
    width: int = 64,
    blocks: int = 3,
    weight_decay: float = 0.0,
    seed: int = 0,
    name: str = "small_vit",
) -> keras.Model:
    """Vision transformer without a class token  [Dosovitskiy et al. 2021], [Beyer et al. 2022].

    Args:
      num_classes: number of logits.
      input_shape: [H, W, C] of an image; pixels in [0, 1].
      patch: side of a patch, in pixels, which divides height and width.
      width: number of features of a token, a multiple of 16 (the features of a head).
      blocks: number of blocks of attention and a network of one hidden layer of 2 `width`.
      weight_decay: the model's `losses` hold `weight_decay * sum w^2 / 2` per kernel.
      seed: seed of the kernels.
      name: name of the model.

    Returns:
      A plain Functional model from images [B, H, W, C] to float32 logits [B, num_classes].

    Raises:
      ValueError: fewer than two classes, images smaller than 8 x 8, a patch that does not divide
        their sides, or weight_decay < 0.
    """
    check_arguments(num_classes, input_shape, minimum=8)
    height, columns = input_shape[0] // patch, input_shape[1] // patch
    if (height * patch, columns * patch) != tuple(input_shape[:2]):
        raise ValueError(
            f"patch must divide height and width, {input_shape[:2]}. Received: patch={patch}"
        )
    tokens = height * columns
    image = keras.Input(input_shape, name="image")
    h = layers.Conv2D(width, patch, patch, name="patches", **_FORMAT)(image)
    h = layers.Reshape((tokens, width), name="tokens")(h)
    # The bias of each token is its embedding of the position.
    h = layers.EinsumDense("btd,de->bte", (tokens, width), bias_axes="te", name="positions")(h)
    for i in range(1, blocks + 1):
        normed = layers.LayerNormalization(epsilon=1e-6, name=f"norm{i}a")(h)
        attention = layers.MultiHeadAttention(width // 16, 16, name=f"attention{i}")
        h = layers.Add(name=f"add{i}a")([h, attention(normed, normed)])
        normed = layers.LayerNormalization(epsilon=1e-6, name=f"norm{i}b")(h)
        hidden = layers.Dense(2 * width, activation="gelu", name=f"hidden{i}")(normed)
        h = layers.Add(name=f"add{i}b")([h, layers.Dense(width, name=f"out{i}")(hidden)])
    h = layers.LayerNormalization(epsilon=1e-6, name="norm")(h)
    h = layers.GlobalAveragePooling1D(name="mean", **_FORMAT)(h)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(h)
    return _drawn(keras.Model(image, logits, name=name), weight_decay, seed)


def _norm_relu6(h: keras.KerasTensor, name: str) -> keras.KerasTensor:
    h = layers.BatchNormalization(name=f"{name}_norm")(h)
    return layers.ReLU(max_value=6.0, name=f"{name}_relu")(h)


def _inverted_residual(
    h: keras.KerasTensor, channels: int, stride: int, name: str
) -> keras.KerasTensor:
    start = h
    h = layers.Conv2D(4 * h.shape[-1], 1, use_bias=False, name=f"{name}_expand", **_FORMAT)(h)
    h = _norm_relu6(h, f"{name}_expand")
    h = layers.DepthwiseConv2D(
        3, stride, padding="same", use_bias=False, name=f"{name}_depth", **_FORMAT
    )(h)
    h = _norm_relu6(h, f"{name}_depth")
    h = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project", **_FORMAT)(h)
    h = layers.BatchNormalization(name=f"{name}_project_norm")(h)
    if stride == 1 and start.shape[-1] == channels:
        h = layers.Add(name=f"{name}_add")([start, h])
    return h


def _with_head(
    image: keras.KerasTensor,
    h: keras.KerasTensor,
    num_classes: int,
    weight_decay: float,
    seed: int,
    name: str,
) -> keras.Model:
    h = layers.GlobalAveragePooling2D(name="mean", **_FORMAT)(h)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(h)
    return _drawn(keras.Model(image, logits, name=name), weight_decay, seed)


def _drawn(model: keras.Model, weight_decay: float, seed: int) -> keras.Model:
    """The model with kernels by Glorot's initializer from seed, seed + 1, ..."""
    kernels = [v for v in model.trainable_variables if v.name.endswith("kernel")]
    for i, kernel in enumerate(kernels):
        kernel.assign(keras.initializers.GlorotUniform(seed + i)(kernel.shape))
    if weight_decay:
        decay_kernels(model, weight_decay)
    return model
