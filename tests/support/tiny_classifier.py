"""A small classifier, made from code and a seed, and images for it."""

import keras
import numpy as np

SHAPE, NUM_CLASSES = (6, 5, 3), 4


def classifier(*, softmax=False, channels=3, seed=0):
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


def images(count, seed=0):
    """Pixels that are levels / 255."""
    levels = np.random.default_rng(seed).integers(0, 256, (count, *SHAPE))
    return levels.astype("float32") / np.float32(255)
