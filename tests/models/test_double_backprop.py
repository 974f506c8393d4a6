"""for_double_backprop: the model's values and derivatives, on the model's variables."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attribution import input_gradient, label_loss
from rar_tf.models import (
    for_double_backprop,
    small_cnn,
    softplus_twin,
    with_softplus_second_derivative,
)

RANDOM = np.random.default_rng(5)
X = tf.constant(RANDOM.random((6, 12, 12, 1)), tf.float32)
U = tf.constant(RANDOM.normal(size=(6, 12, 12, 1)), tf.float32)
Y = tf.constant([0, 1, 2, 0, 1, 2])


@pytest.fixture(scope="module")
def model():
    return small_cnn(num_classes=3, input_shape=(12, 12, 1), seed=3)


def second_derivatives(network, x=X):
    """Value, input gradient g, and the derivatives of <g, U> by x and by the variables."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        g = input_gradient(label_loss(network), x, Y)
        product = tf.reduce_sum(g * U)
    variables = network.trainable_variables
    return [network(x), g, *tape.gradient(product, [x, *variables], unconnected_gradients="zero")]


def assert_same(network, other, tolerance=1e-5):
    result, expected = second_derivatives(network), second_derivatives(other)
    for a, b in zip(result, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=tolerance * np.abs(b).max() + 1e-12)


def test_float32_copy_is_the_model(model):
    copy = for_double_backprop(model)
    np.testing.assert_array_equal(copy(X), model(X))
    assert_same(copy, model)
    for a, b in zip(copy.trainable_variables, model.trainable_variables, strict=True):
        assert a is b


@pytest.mark.parametrize("beta", [1.0, 5.0])
def test_softplus_twin_of_the_copy_is_that_of_the_model(model, beta):
    assert_same(softplus_twin(for_double_backprop(model), beta), softplus_twin(model, beta), 2e-5)
    smooth = with_softplus_second_derivative(model, beta)
    assert_same(for_double_backprop(smooth), smooth, 2e-5)


def test_gradient_of_a_tied_window_is_not_multiplied(model):
    # Black images: the interiors of all windows tie, before the activation as after it.
    x = tf.zeros_like(X)
    for a, b in zip(
        second_derivatives(for_double_backprop(model), x)[1:3],
        second_derivatives(model, x)[1:3],
        strict=True,
    ):
        np.testing.assert_allclose(tf.reduce_sum(a), tf.reduce_sum(b), atol=2e-4)


def test_bfloat16_is_close(model):
    result = second_derivatives(for_double_backprop(model, "mixed_bfloat16"))
    expected = second_derivatives(model)
    assert result[0].dtype == tf.float32
    for a, b in zip(result, expected, strict=True):
        a, b = np.ravel(a), np.ravel(b)
        if np.linalg.norm(b) > 1e-6:
            assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.98


def test_layers_of_moved_activations_have_another_name(model):
    names = [layer.name for layer in for_double_backprop(model, keep=("conv2",)).layers]
    assert names[1:5] == ["conv1_before_activation", "pool1", "conv2", "pool2"]
    kept = for_double_backprop(model, keep=("conv1", "conv2"))
    hidden = [keras.Model(m.inputs[0], m.get_layer("conv1").output) for m in (kept, model)]
    np.testing.assert_array_equal(hidden[0](X), hidden[1](X))
    assert_same(kept, model)


def branching(pool):
    """A ReLU that another layer than the pooling uses too, and odd sides."""
    image = keras.Input((12, 12, 1))
    h = keras.layers.Conv2D(4, 3, activation="relu", padding="same", name="shared")(image)
    pooled = keras.layers.MaxPooling2D(pool, padding="same")(h)
    pooled = keras.layers.Conv2D(3, 2, activation="relu", name="odd")(pooled)
    pooled = keras.layers.MaxPooling2D(pool, padding="same")(pooled)
    parts = [keras.layers.GlobalAveragePooling2D()(part) for part in (h, pooled)]
    return keras.Model(image, keras.layers.Dense(3)(keras.layers.Concatenate()(parts)))


@pytest.mark.parametrize("pool", [2, 3, (2, 1)])
def test_other_graphs_keep_their_function(pool):
    other = branching(pool)
    copy = for_double_backprop(other)
    assert "shared" in [layer.name for layer in copy.layers]
    np.testing.assert_array_equal(copy(X), other(X))
    assert_same(copy, other)


def test_a_pooling_in_two_places_of_unlike_sides_stays():
    pooling = keras.layers.MaxPooling2D(2, padding="same")
    image = keras.Input((12, 12, 1))
    h = pooling(keras.layers.Conv2D(2, 3, padding="same", activation="relu")(image))
    h = pooling(keras.layers.Conv2D(3, 2, activation="relu")(h))  # 5 x 5
    other = keras.Model(image, keras.layers.GlobalAveragePooling2D()(h))
    np.testing.assert_array_equal(for_double_backprop(other)(X), other(X))


def test_a_sequential_model_and_its_regularization():
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            keras.layers.Conv2D(4, 3, activation="relu", kernel_regularizer="l2", padding="same"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    copy = for_double_backprop(model)
    assert_same(copy, model)
    np.testing.assert_allclose(tf.add_n(copy.losses), tf.add_n(model.losses))


def test_other_models_are_returned_or_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    subclassed = Subclassed()
    assert for_double_backprop(subclassed) is subclassed
    with pytest.raises(
        ValueError, match="needs a Functional or Sequential .* Received: Subclassed"
    ):
        for_double_backprop(subclassed, "mixed_bfloat16")
    with pytest.raises(ValueError, match="precision must be one of .* Received: precision='half'"):
        for_double_backprop(subclassed, "half")
