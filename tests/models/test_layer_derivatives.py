"""Derivatives of the second half of the points, against those of the points themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.models import nonlinear_layers, resnet18, small_cnn, with_derivatives_of_second_half

RANDOM = np.random.default_rng(0)
X, OTHER = (tf.constant(RANDOM.random((3, 12, 12, 1)), tf.float32) for _ in range(2))
NAMES = ["conv1", "pool1", "conv2", "pool2", "dense1"]


def gradients(network, points):
    """Input gradients [N, H, W, C] of the first logit."""
    with tf.GradientTape() as tape:
        tape.watch(points)
        first = network(points, training=False)[:, 0]
    return tape.gradient(first, points).numpy()


@pytest.fixture(scope="module")
def model():
    model = small_cnn(num_classes=3, input_shape=(12, 12, 1), seed=3)
    for variable in model.trainable_variables:  # no ties, and both signs at every ReLU
        variable.assign_add(0.1 * RANDOM.normal(size=variable.shape))
    return model


def test_all_layers_give_the_other_points_gradient_and_none_the_same(model):
    both = tf.concat([X, OTHER], 0)
    assert nonlinear_layers(model) == NAMES
    everything = with_derivatives_of_second_half(model, NAMES)
    np.testing.assert_array_equal(everything(both), model(both))
    np.testing.assert_allclose(
        gradients(everything, both), np.tile(gradients(model, OTHER), (2, 1, 1, 1)), atol=1e-6
    )
    nothing = with_derivatives_of_second_half(model, [])
    np.testing.assert_allclose(gradients(nothing, both), gradients(model, both), atol=1e-6)


def test_one_layers_gates_by_hand():
    """f(x) = a relu(B relu(C x)): with the first gates of u the gradient is C' G(u) B' H(x) a."""
    c, b, a = (RANDOM.normal(size=shape) for shape in ((6, 5), (5, 4), (4, 1)))
    image = keras.Input((6,))
    h = keras.layers.Dense(5, activation="relu", use_bias=False, name="one")(image)
    h = keras.layers.ReLU(name="two")(keras.layers.Dense(4, use_bias=False)(h))
    network = keras.Model(image, keras.layers.Dense(1, use_bias=False)(h))
    network.set_weights([c, b, a])
    assert nonlinear_layers(network) == ["one", "two"]
    x, u = RANDOM.normal(size=(2, 4, 6)).astype("float32")

    def gates(v):
        one = v @ c > 0
        return one, (v @ c * one) @ b > 0

    for layer in ("one", "two"):
        one = gates(u if layer == "one" else x)[0]
        two = gates(u if layer == "two" else x)[1]
        expected = ((a[:, 0] * two) @ b.T * one) @ c.T
        rewritten = with_derivatives_of_second_half(network, [layer])
        result = gradients(rewritten, tf.constant(np.concatenate([x, u])))[:4]
        np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)
        assert np.abs(result - gradients(network, tf.constant(x))).max() > 0.01


def test_unknown_layers_and_other_models_are_refused(model):
    with pytest.raises(ValueError, match="layers must be of conv1, .*dense1. Received: logits"):
        with_derivatives_of_second_half(model, ["logits"])
    inner = keras.Sequential([keras.Input((12, 12, 1)), model])
    with pytest.raises(ValueError, match="model must not hold models. Received: one with small"):
        nonlinear_layers(inner)

    class Subclassed(keras.Model):
        """Neither Functional nor Sequential."""

    with pytest.raises(ValueError, match="Functional or Sequential. Received: Subclassed"):
        nonlinear_layers(Subclassed())


def test_residual_networks():
    network = resnet18(num_classes=3, input_shape=(16, 16, 1), seed=0)
    x, other = (tf.constant(RANDOM.random((2, 16, 16, 1)), tf.float32) for _ in range(2))
    names = nonlinear_layers(network)
    assert len(names) == 17
    rewritten = with_derivatives_of_second_half(network, names)
    np.testing.assert_allclose(
        gradients(rewritten, tf.concat([x, other], 0))[:2], gradients(network, other), atol=1e-5
    )
