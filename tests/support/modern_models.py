"""Tiny classifiers with the layers of modern networks, made from a seed."""

import keras
import tensorflow as tf
from keras import layers


def batch_norm_classifier(
    num_classes: int = 3, input_shape: tuple[int, ...] = (8, 8, 1), seed: int = 0
) -> keras.Model:
    """Two convolutions with BatchNormalization, and one more on the image itself."""
    keras.utils.set_random_seed(seed)
    image = keras.Input(input_shape)
    h = layers.BatchNormalization(name="first_norm")(image)
    for filters in (4, 6):
        h = layers.Conv2D(filters, 3, padding="same", use_bias=False)(h)
        h = layers.ReLU()(layers.BatchNormalization()(h))
        h = layers.MaxPooling2D(2)(h)
    h = layers.GlobalAveragePooling2D()(h)
    return keras.Model(image, layers.Dense(num_classes)(h))


def nested_classifier(seed: int = 0) -> keras.Model:
    """BatchNormalization inside a Sequential inside a Functional model."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((8, 8, 1))
    block = keras.Sequential(
        [keras.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()],
        name="block",
    )
    return keras.Model(image, layers.Dense(3)(layers.Flatten()(block(image))))


class SubclassedClassifier(keras.Model):
    """BatchNormalization among the attributes of a subclassed model."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        keras.utils.set_random_seed(seed)
        self.blocks = [layers.Conv2D(4, 3), layers.BatchNormalization(), layers.ReLU()]
        self.end = keras.Sequential([layers.Flatten(), layers.Dense(3)])

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        conv, norm, relu = self.blocks
        return self.end(relu(norm(conv(x), training=training)))
