"""Classifiers whose attributions cannot be attacked along a gradient, and healthy ones."""

import keras
import numpy as np
import tensorflow as tf

SHAPE, NUM_CLASSES = (8, 8, 1), 3
layers = keras.layers


def data(model: keras.Model, count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """(images in [0, 1], the labels that the model predicts)."""
    x = np.random.default_rng(1).random((count, *SHAPE)).astype("float32")
    return x, np.argmax(model(x, training=False), -1).astype("int32")


def with_weights(model: keras.Model, seed: int = 0) -> keras.Model:
    """The model with normal weights, its logits of mean 0 over the images of `data`."""
    x = np.random.default_rng(1).random((24, *SHAPE)).astype("float32")
    model(x)
    random = np.random.default_rng(seed)
    *weights, bias = (0.4 * random.standard_normal(w.shape) for w in model.get_weights())
    model.set_weights([*weights, bias])
    logits = np.asarray(model(x, training=False))
    model.set_weights([*weights, bias - np.nan_to_num(logits.mean(0))])
    return model


def network(*before: keras.Layer, activation: str = "relu", noise: bool = False) -> keras.Model:
    """Convolution, max pooling, two dense layers; behind further layers."""
    x = image = keras.Input(SHAPE)
    for layer in before:
        x = layer(x)
    x = layers.Conv2D(8, 3, activation=activation, padding="same")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    if noise:
        x = Noise(0.3)(x)
    x = layers.Dense(16, activation=activation)(x)
    return with_weights(keras.Model(image, layers.Dense(NUM_CLASSES)(x)))


class Noise(keras.layers.GaussianNoise):
    """Gaussian noise in inference too."""

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        return super().call(x, training=True)


class Rounding(keras.layers.Layer):
    """Pixels in steps of 1 / 255, whose gradient is zero."""

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return keras.ops.round(255 * x) / 255


class HiddenRelus(keras.Model):
    """`network` with ReLUs that no attribute holds."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = layers.Conv2D(8, 3, padding="same")
        self.pooling, self.flatten = layers.MaxPooling2D(2), layers.Flatten()
        self.hidden, self.logits = layers.Dense(16), layers.Dense(NUM_CLASSES)

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = self.pooling(tf.maximum(self.convolution(x), 0))
        return self.logits(tf.maximum(self.hidden(self.flatten(x)), 0))


class VisibleRelus(HiddenRelus):
    """The same function, with a ReLU that an attribute holds."""

    def __init__(self) -> None:
        super().__init__()
        self.activation = keras.activations.relu

    def call(self, x: tf.Tensor) -> tf.Tensor:
        x = self.pooling(self.activation(self.convolution(x)))
        return self.logits(self.activation(self.hidden(self.flatten(x))))


class Bicubic(keras.Model):
    """`network` behind a change of size whose second derivative TensorFlow lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.larger = layers.Resizing(12, 12, interpolation="bicubic")
        self.smaller = layers.Resizing(*SHAPE[:2], interpolation="bicubic")
        self.network = network()

    def call(self, x: tf.Tensor) -> tf.Tensor:
        return self.network(self.smaller(self.larger(x)))


@tf.custom_gradient
def softplus_without_curvature(x: tf.Tensor) -> tuple[tf.Tensor, object]:
    """Softplus whose derivative is right, and the derivative of that zero."""
    slope = tf.stop_gradient(tf.sigmoid(x))
    return tf.math.softplus(x), lambda upstream: upstream * slope


def nan_logits() -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """(model, images, labels): the logits of images 8 to 10 are NaN, their labels 0."""
    model = network()
    x, _ = data(model)
    broken_images = slice(8, 11)
    x[:, 0, 0], x[broken_images, 0, 0] = 0.5, 1.0
    image = model.inputs[0]
    # 0 / 0 where the first pixel is 1.
    factor = layers.Lambda(lambda x: (1 - x[:, 0, 0]) / (1 - x[:, 0, 0]))(image)
    broken = keras.Model(image, model.outputs[0] * factor)
    y = np.argmax(broken(x), -1).astype("int32")
    y[broken_images] = 0
    return broken, x, y
