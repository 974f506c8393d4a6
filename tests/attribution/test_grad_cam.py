"""Grad-CAM and gradient times input on networks whose activations and weights are known."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from rar_tf.attribution import Explainer, grad_cam, input_gradient, label_logit
from rar_tf.attribution.grad_cam import upsample
from rar_tf.models import (
    for_double_backprop,
    small_cnn,
    softplus_twin,
    with_affine_start,
    with_softplus_second_derivative,
)

RANDOM = np.random.default_rng(4)
X = tf.constant(RANDOM.random((3, 12, 12, 1)), tf.float32)
Y = tf.constant([0, 1, 2])
HEAD = np.array([[1.0, -3.0], [2.0, 1.0]], "float32")  # [channel, class]


def constant(values):
    return lambda *_, **__: tf.constant(values, tf.float32)


def known(pooling):
    """Activations relu(x) and relu(1 - x) of one channel each, pooled, times HEAD."""
    image = keras.Input((4, 4, 1))
    h = layers.Conv2D(
        2,
        1,
        activation="relu",
        kernel_initializer=constant([[[[1.0, -1.0]]]]),
        bias_initializer=constant([0.0, 1.0]),
        name="known",
    )(image)
    h = layers.GlobalAveragePooling2D()(pooling(h))
    return keras.Model(image, layers.Dense(2, use_bias=False, kernel_initializer=constant(HEAD))(h))


@pytest.mark.parametrize(("pooling", "alpha"), [
    # f_y = sum_c HEAD_cy mean_ij A_ijc: alpha_c = HEAD_cy / 16.
    (layers.Identity(), 1 / 16),
    # One of the four places of a window has the derivative 1/4, the others 0.
    (layers.MaxPooling2D(2), 1 / 16),
    (layers.AveragePooling2D(2), 1 / 16),
])  # fmt: skip
def test_of_known_activations(pooling, alpha):
    model = known(pooling)
    x = tf.constant(RANDOM.uniform(-0.5, 1.5, (2, 4, 4, 1)), tf.float32)
    y = tf.constant([0, 1])
    activations = np.concatenate([np.maximum(x, 0), np.maximum(1 - x, 0)], -1)
    expected = np.maximum((activations * alpha * HEAD.T[:, None, None]).sum(-1), 0)
    assert (expected > 0).any((1, 2)).all() and (expected == 0).any()
    for network in (model, for_double_backprop(model)):
        np.testing.assert_allclose(grad_cam(network, x, y), expected, rtol=1e-5, atol=1e-7)
        saliency = Explainer("grad_cam").saliency(network, x, y)
        np.testing.assert_allclose(
            saliency, expected / expected.mean((1, 2), keepdims=True), rtol=1e-5, atol=1e-6
        )


def test_attribution_is_the_map_in_equal_parts_of_the_channels():
    keras.utils.set_random_seed(0)
    model = small_cnn(num_classes=3, input_shape=(8, 8, 3))
    x = tf.constant(RANDOM.random((2, 8, 8, 3)), tf.float32)
    y = tf.constant([0, 2])
    attribution = Explainer("grad_cam").attribution(model, x, y)
    np.testing.assert_allclose(tf.reduce_sum(attribution, -1), grad_cam(model, x, y), rtol=1e-5)
    np.testing.assert_array_equal(attribution[..., 0], attribution[..., 2])


@pytest.mark.parametrize("size", [(12, 12), (7, 9), (5, 4), (11, 3)])
def test_upsampling_is_bilinear_interpolation(size):
    maps = tf.constant(RANDOM.random((2, 5, 4)), tf.float32)
    expected = tf.image.resize(maps[..., tf.newaxis], size)[..., 0]
    np.testing.assert_allclose(upsample(maps, tf.constant(size)), expected, atol=1e-6)


def slow_grad_cam(model, name, relu):
    """By the layer's activations alone, with the upper layers applied one by one."""
    names = [layer.name for layer in model.layers]
    place = names.index(name)
    h = X
    for layer in model.layers[1 : place + 1]:
        h = relu(layer, h)
    with tf.GradientTape() as tape:
        tape.watch(h)
        logits = h
        for layer in model.layers[place + 1 :]:
            logits = relu(layer, logits)
        value = tf.reduce_sum(tf.gather(logits, Y, axis=1, batch_dims=1))
    alpha = tf.reduce_mean(tape.gradient(value, h), [1, 2], keepdims=True)
    maps = tf.nn.relu(tf.reduce_sum(alpha * h, -1, keepdims=True))
    return tf.image.resize(maps, (12, 12))[..., 0]


def applied(layer, h):
    return layer(h)


def smoothed(layer, h):
    if getattr(layer, "activation", None) is not keras.activations.relu:
        return layer(h)
    layer.activation = keras.activations.linear
    h = layer(h)
    layer.activation = keras.activations.relu
    return tf.nn.softplus(h)


@pytest.mark.parametrize("name", [None, "conv1", "pool1", "conv2", "pool2"])
def test_rearranged_networks_have_the_map_of_the_model(name):
    model = small_cnn(num_classes=3, input_shape=(12, 12, 1), seed=9)
    expected = slow_grad_cam(model, name or "conv2", applied)
    assert (np.std(expected, (1, 2)) > 0).all()
    copy = for_double_backprop(model)
    smooth = for_double_backprop(with_softplus_second_derivative(model, 2.0))
    for network in (model, copy, with_affine_start(copy), smooth):
        found = grad_cam(network, X, Y, name)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    twins = softplus_twin(model), with_affine_start(softplus_twin(copy))
    expected = slow_grad_cam(model, name or "conv2", smoothed)
    for network in twins:
        found = grad_cam(network, X, Y, name)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


def smooth_network():
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            layers.Conv2D(4, 3, activation="tanh"),
            layers.AveragePooling2D(2),
            layers.Flatten(),
            layers.Dense(8, activation="tanh"),
            layers.Dense(3),
        ]
    )


def twin_with_moved_activations():
    return softplus_twin(for_double_backprop(small_cnn(3, (12, 12, 1), seed=9)), 4.0)


@pytest.mark.parametrize(("method", "make"), [
    ("grad_cam", smooth_network),
    ("grad_cam", twin_with_moved_activations),
    ("gradient_times_input", smooth_network),
])  # fmt: skip
def test_derivative_by_the_image_is_that_of_finite_differences(method, make):
    """A derivative of a derivative."""
    model, explainer = make(), Explainer(method)
    weights = tf.constant(RANDOM.normal(size=(12, 12)), tf.float32)

    @tf.function(autograph=False)
    def score(x):
        return tf.reduce_sum(explainer.saliency(model, x, Y) * weights)

    with tf.GradientTape() as tape:
        tape.watch(X)
        value = score(X)
    gradient = tape.gradient(value, X)
    along = gradient / tf.norm(gradient)
    slope = (score(X + 1e-3 * along) - score(X - 1e-3 * along)) / 2e-3
    assert float(slope) == pytest.approx(float(tf.norm(gradient)), rel=0.02)


def test_gradient_times_input_of_a_product():
    def network(x, training):
        return tf.stack([tf.reduce_sum(x**2, [1, 2, 3]), tf.reduce_sum(x**3, [1, 2, 3])], -1)

    y = tf.constant([0, 1, 1])
    found = Explainer("gradient_times_input").attribution(network, X, y)
    np.testing.assert_allclose(found[0], 2 * X[0] ** 2, rtol=1e-5)
    np.testing.assert_allclose(found[1:], 3 * X[1:] ** 3, rtol=1e-5)
    np.testing.assert_allclose(found, X * input_gradient(label_logit(network), X, y))


def test_nested_and_sequential_models():
    backbone = keras.Sequential(
        [keras.Input((12, 12, 1)), layers.Conv2D(3, 3, strides=2, activation="tanh")]
    )
    head = [layers.GlobalAveragePooling2D(), layers.Dense(3)]
    model = keras.Sequential([keras.Input((12, 12, 1)), backbone, *head])
    activations = backbone(X)
    alpha = tf.gather(head[1].kernel, Y, axis=1) / 25
    weighted = tf.nn.relu(tf.einsum("bhwc,cb->bhw", activations, alpha))
    expected = upsample(weighted, tf.constant([12, 12]))
    np.testing.assert_allclose(grad_cam(model, X, Y), expected, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(grad_cam(model, X, Y, backbone.name), expected, rtol=1e-4, atol=1e-6)


def test_errors():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="Functional or built Sequential .* Received: Subclassed"):
        Explainer("grad_cam").attribution(Subclassed(), X, Y)
    model = small_cnn(num_classes=3, input_shape=(12, 12, 1))
    message = r"layer must be one .*: conv1, pool1, conv2, pool2\. Received: layer='dense1'"
    with pytest.raises(ValueError, match=message):
        grad_cam(model, X, Y, "dense1")
    flat = keras.Sequential([keras.Input((12, 12, 1)), layers.Flatten(), layers.Dense(3)])
    with pytest.raises(ValueError, match=r"must have a layer with an output \[B, h, w, c\]"):
        grad_cam(flat, X, Y)
    with pytest.raises(ValueError, match="layer must be None .* Received: layer=conv1"):
        Explainer(layer="conv1")
