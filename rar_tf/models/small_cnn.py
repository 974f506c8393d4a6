"""The papers' small convolutional network for 28x28 images."""

from typing import Any

import keras

from rar_tf.models.arguments import check_arguments
from rar_tf.models.weight_decay import kernel_l2


def small_cnn(
    num_classes: int = 10,
    input_shape: tuple[int, int, int] = (28, 28, 1),
    *,
    kernel_stddev: float = 0.1,
    bias: float = 0.1,
    weight_decay: float = 0.0,
    seed: int = 0,
    name: str = "small_cnn",
) -> keras.Model:
    """Conv 5x5x32, pool 2, conv 5x5x64, pool 2, dense 1024, dense classes; ReLU, SAME.

    The MNIST and Fashion-MNIST network of [RAR], with truncated normal kernels and constant
    biases; a plain Functional model that `keras.models.load_model` reads without this
    project.

    Args:
      num_classes: number of logits.
      input_shape: [H, W, C] of an image; pixels in [0, 1].
      kernel_stddev: standard deviation of the truncated normal kernels.
      bias: initial value of all biases.
      weight_decay: the model's `losses` hold `weight_decay * sum w^2 / 2` per kernel.
      seed: seed of the kernels; layer i draws from `seed + i`.
      name: name of the model.

    Returns:
      A Keras model from images [B, H, W, C] to logits [B, num_classes].

    Raises:
      ValueError: fewer than two classes, an image too small for two poolings, or
        weight_decay < 0.
    """
    check_arguments(num_classes, input_shape, minimum=4)

    def weights(layer: int) -> dict[str, Any]:
        return {
            "kernel_initializer": keras.initializers.TruncatedNormal(
                stddev=kernel_stddev, seed=seed + layer
            ),
            "bias_initializer": keras.initializers.Constant(bias),
            "kernel_regularizer": kernel_l2(weight_decay),
        }

    layers = keras.layers
    last = {"data_format": "channels_last"}  # Whatever keras.json says.
    image = keras.Input(input_shape, name="image")
    h = layers.Conv2D(32, 5, padding="same", activation="relu", name="conv1", **last, **weights(0))(
        image
    )
    h = layers.MaxPooling2D(2, padding="same", name="pool1", **last)(h)
    h = layers.Conv2D(64, 5, padding="same", activation="relu", name="conv2", **last, **weights(1))(
        h
    )
    h = layers.MaxPooling2D(2, padding="same", name="pool2", **last)(h)
    h = layers.Flatten(name="flatten", **last)(h)
    h = layers.Dense(1024, activation="relu", name="dense1", **weights(2))(h)
    logits = layers.Dense(num_classes, dtype="float32", name="logits", **weights(3))(h)
    return keras.Model(image, logits, name=name)
