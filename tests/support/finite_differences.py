"""Second derivatives of a network against finite differences of its first ones."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

RANDOM = np.random.default_rng(3)
X = RANDOM.random((2, 8, 8, 4))
U = RANDOM.normal(size=X.shape)


def network(layer: Callable, shape: tuple[int, ...] = (8, 8, 4)) -> keras.Model:
    """A smooth network around a layer, or around a function of symbolic tensors."""
    keras.utils.set_random_seed(0)
    image = keras.Input(shape)
    h = layer(keras.layers.Conv2D(4, 3, padding="same", activation="tanh")(image))
    h = keras.layers.Dense(6, activation="tanh")(keras.layers.Flatten()(h))
    return keras.Model(image, keras.layers.Dense(3)(h))


def gradient(model: keras.Model, x: tf.Tensor) -> tf.Tensor:
    """Gradient of a sum of the logits by the image."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = tf.reduce_sum(model(x, training=False) * tf.constant([1.0, -2.0, 0.5], x.dtype))
    return tape.gradient(value, x)


def second_derivatives(model: keras.Model, x: tf.Tensor, u: tf.Tensor) -> list[tf.Tensor]:
    """Derivatives of `<gradient, u>` by the image and by every trainable variable."""
    sources = [x, *(variable.value for variable in model.trainable_variables)]
    with tf.GradientTape() as tape:
        tape.watch(x)
        product = tf.reduce_sum(gradient(model, x) * u)
    return tape.gradient(product, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def assert_agree(model: keras.Model, step: float, tolerance: float, *, graph: bool = False) -> None:
    """Second derivatives are differences of first ones, in eager mode or in a graph too."""
    x, u = (tf.cast(part, keras.config.floatx()) for part in (X, U))
    by_image = (gradient(model, x + step * u) - gradient(model, x - step * u)) / (2 * step)
    variables = model.trainable_variables
    values = [variable.numpy() for variable in variables]
    along = [RANDOM.normal(size=value.shape).astype(value.dtype) for value in values]

    def product(size: float) -> float:
        for variable, value, direction in zip(variables, values, along, strict=True):
            variable.assign(value + size * direction)
        return float(tf.reduce_sum(gradient(model, x) * u))

    by_weights = (product(step) - product(-step)) / (2 * step)
    product(0)
    assert np.linalg.norm(by_image) > 1e-2
    modes = [second_derivatives]
    if graph:
        modes.append(tf.function(second_derivatives, autograph=False))
    for derivatives in modes:
        result, *others = derivatives(model, x, u)
        error = np.linalg.norm(result - by_image)
        assert error < tolerance * np.linalg.norm(by_image)
        terms = [np.sum(other * part) for other, part in zip(others, along, strict=True)]
        assert abs(sum(terms) - by_weights) < tolerance * (np.sum(np.abs(terms)) + abs(by_weights))
