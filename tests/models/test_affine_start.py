"""with_affine_start: the same function in two parts, the first of them affine."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attribution import integrated_gradients, label_loss
from rar_tf.models import for_double_backprop, small_cnn, softplus_twin, with_affine_start

RANDOM = np.random.default_rng(7)
X, OTHER, U = (tf.constant(RANDOM.random((4, 12, 12, 1)), tf.float32) for _ in range(3))
Y = tf.constant([0, 1, 2, 0])


@pytest.fixture(scope="module")
def twin():
    # A seed without windows whose two largest values differ by a rounding error.
    model, random = small_cnn(num_classes=3, input_shape=(12, 12, 1), seed=3), RANDOM.spawn(1)[0]
    for variable in model.trainable_variables:  # a bias of zero would hide a wrong one
        variable.assign_add(0.01 * random.normal(size=variable.shape))
    return softplus_twin(for_double_backprop(model))


def derivatives(network, by_variables=True, **options):
    """IG, and the derivatives of <IG, U> by x, the baseline and maybe the variables."""
    with tf.GradientTape() as tape:
        tape.watch([X, OTHER])
        ig = integrated_gradients(label_loss(network), X, Y, baseline=OTHER, **options)
        product = tf.reduce_sum(ig * U)
    sources = [X, OTHER, *(network.trainable_variables if by_variables else [])]
    return [ig, *tape.gradient(product, sources, unconnected_gradients="zero")]


def test_the_parts_are_the_model(twin):
    network = with_affine_start(twin)
    affine, upper = network.affine_start
    np.testing.assert_array_equal(upper(affine(X)), twin(X))
    np.testing.assert_allclose(
        affine(0.3 * X + 0.7 * OTHER), 0.3 * affine(X) + 0.7 * affine(OTHER), atol=1e-6
    )
    assert all(
        a is b
        for a, b in zip(network.variables, [*affine.variables, *upper.variables], strict=True)
    )
    assert not hasattr(twin, "affine_start")


@pytest.mark.parametrize("nodes_per_pass", [None, 2])
@pytest.mark.parametrize("rule", ["right", "trapezoid"])
def test_integrated_gradients_and_their_derivatives_stay(twin, rule, nodes_per_pass):
    settings = {"steps": 5, "rule": rule, "nodes_per_pass": nodes_per_pass}
    result, expected = (
        derivatives(with_affine_start(twin), **settings),
        derivatives(twin, **settings),
    )
    for a, b in zip(result, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5 * np.abs(b).max() + 1e-12)


def test_without_weight_gradients_the_derivative_by_x_is_the_same(twin):
    settings = {"steps": 5, "nodes_per_pass": 2, "weight_gradients": False}
    result = derivatives(with_affine_start(twin), by_variables=False, **settings)[1]
    expected = derivatives(twin, steps=5)[1]
    np.testing.assert_allclose(result, expected, atol=2e-5 * np.abs(expected).max())


def test_bfloat16_is_as_accurate_as_without():
    model = small_cnn(num_classes=3, input_shape=(12, 12, 1), seed=3)
    exact = derivatives(softplus_twin(for_double_backprop(model)), steps=5)
    plain = softplus_twin(for_double_backprop(model, "mixed_bfloat16"))
    errors = [
        [np.linalg.norm(a - b) for a, b in zip(derivatives(net, steps=5), exact, strict=True)]
        for net in (with_affine_start(plain), plain)
    ]
    assert errors[0][0] < 1.5 * errors[1][0] and errors[0][1] < 1.5 * errors[1][1]


def test_the_first_layer_is_called_once_an_image_for_any_number_of_nodes(twin, monkeypatch):
    network, calls = with_affine_start(twin), []
    conv = network.affine_start.affine.layers[-1]
    call = type(conv).call
    monkeypatch.setattr(
        type(conv), "call", lambda self, x: (calls.append((self.name, len(x))), call(self, x))[1]
    )
    integrated_gradients(label_loss(network), X, Y, baseline=OTHER, steps=10)
    assert [n for name, n in calls if name == conv.name] == [4, 4]  # X and the baseline


def image():
    return keras.Input((12, 12, 1))


def after(x, h):
    return keras.Model(x, keras.layers.Dense(3)(keras.layers.Flatten()(h)))


def with_relu():
    return after(x := image(), keras.layers.Conv2D(2, 3, activation="relu")(x))


def with_skip():
    x = image()
    return after(x, keras.layers.Conv2D(1, 3, padding="same")(x) + x)


def with_a_shared_layer():
    conv = keras.layers.Conv2D(1, 3, padding="same")
    return after(x := image(), conv(keras.activations.relu(conv(x))))


def linear():
    return keras.Sequential([keras.Input((5,)), keras.layers.Dense(3)])


class Subclassed(keras.Model):
    """Not a graph of layers."""

    def call(self, x):
        return tf.reduce_sum(x, [1, 2])


@pytest.mark.parametrize("make", [with_relu, with_skip, with_a_shared_layer, linear, Subclassed])
def test_other_networks_have_none(make):
    model = make()
    assert with_affine_start(model).affine_start is None


def converted(*first):
    """The network behind conversions of its pixels."""
    steps = [*first, keras.layers.Conv2D(3, 3), keras.layers.BatchNormalization()]
    head = [keras.layers.Activation("tanh"), keras.layers.Flatten(), keras.layers.Dense(3)]
    image = h = keras.Input((12, 12, 1))
    for step in (*steps, *head):
        h = step(h)
    return keras.Model(image, h)


@pytest.mark.parametrize(
    "first",
    [
        (keras.layers.Rescaling(255.0, -100.0), keras.layers.ZeroPadding2D(1)),
        (lambda v: keras.ops.subtract(v, 0.5), lambda v: v / 0.25, lambda v: 3.0 * v),
        (keras.layers.Normalization(mean=0.4, variance=0.09),),
    ],
)
def test_conversions_of_pixels_belong_to_the_affine_part(first):
    network = with_affine_start(converted(*first))
    affine, upper = network.affine_start
    assert any(isinstance(layer, keras.layers.Conv2D) for layer in affine.layers)
    np.testing.assert_allclose(upper(affine(X)), network(X), atol=1e-6)
    line = affine(0.3 * X + 0.7 * OTHER)
    np.testing.assert_allclose(line, 0.3 * affine(X) + 0.7 * affine(OTHER), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("first", [lambda v: 1.0 / (v + 1.0), lambda v: v * v, keras.ops.sqrt])
def test_other_operations_end_it(first):
    assert with_affine_start(converted(first)).affine_start is None
