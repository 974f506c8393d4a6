"""A small classifier, made from code and a seed, and images for it."""

import keras
import numpy as np

SHAPE, NUM_CLASSES = (6, 5, 3), 4


def classifier(*, softmax: bool = False, channels: int = 3, seed: int = 0) -> keras.Model:
    """Convolution, ReLU and a dense layer; ends in logits, or in a softmax."""
    layers = keras.layers
    image = keras.Input((*SHAPE[:2], channels), name="image")
    initializer = keras.initializers.RandomNormal(stddev=0.5, seed=seed)
    h = layers.Conv2D(4, 3, activation="relu", kernel_initializer=initializer)(image)
    h = layers.Flatten()(h)
    end = "softmax" if softmax else None
    logits = layers.Dense(
        NUM_CLASSES,
        activation=end,
        kernel_initializer=keras.initializers.RandomNormal(stddev=0.5, seed=seed + 1),
    )(h)
    return keras.Model(image, logits, name="tiny")


def images(count: int, seed: int = 0) -> np.ndarray:
    """Pixels that are levels / 255."""
    levels = np.random.default_rng(seed).integers(0, 256, (count, *SHAPE))
    return levels.astype("float32") / np.float32(255)
