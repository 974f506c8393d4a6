"""Derivatives in closed form, twins of every way to write a ReLU, the original's directions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attribution import integrated_gradients, label_logit, saliency
from rar_tf.models import (
    count_relus,
    gtsrb_resnet,
    relu_with_softplus_second_derivative,
    small_cnn,
    softplus,
    softplus_twin,
    with_softplus_second_derivative,
)
from rar_tf.models.activations import (
    bounded_relu_with_softplus_second_derivative,
    bounded_softplus,
)
from tests.support import oracles

X = np.array([-30.0, -2.0, -0.3, 0.0, 0.2, 1.0, 3.0, 30.0], "float32")


def derivatives(function, x, graph="none"):
    """(value, first, second derivative) of an elementwise function.

    In a `tf.function` are both derivatives ("both"), the inner ("inner") or neither.
    """

    def inner_derivative(x):
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = function(x)
        return value, inner.gradient(value, x)

    if graph == "inner":
        inner_derivative = tf.function(inner_derivative)

    def both_derivatives(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            value, first = inner_derivative(x)
        return value, first, outer.gradient(first, x)

    if graph == "both":
        both_derivatives = tf.function(both_derivatives)
    return [part.numpy() for part in both_derivatives(tf.constant(x))]


def softplus_curvature(x, beta):
    gate = 1 / (1 + np.exp(-beta * x.astype("float64")))
    return beta * gate * (1 - gate)


@pytest.mark.parametrize("graph", ["none", "inner", "both"])
@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize("beta", [0.5, 1.0, 8.0])
def test_relu_with_softplus_second_derivative(beta, slope, graph):
    def function(x):
        return relu_with_softplus_second_derivative(x, beta, slope)

    value, first, second = derivatives(function, X, graph)
    np.testing.assert_array_equal(value, tf.nn.leaky_relu(X, slope))
    np.testing.assert_array_equal(first, np.where(X > 0, 1, np.float32(slope)))
    np.testing.assert_allclose(second, (1 - slope) * softplus_curvature(X, beta), atol=1e-6)


@pytest.mark.parametrize("graph", ["none", "inner", "both"])
@pytest.mark.parametrize("bound", [1.5, 6.0])
@pytest.mark.parametrize("beta", [0.5, 1.0, 8.0])
def test_bounded_activations_are_differences_of_two(beta, bound, graph):
    x = np.append(X, [bound - 0.3, bound + 0.3]).astype("float32")

    def twin(x):
        return bounded_softplus(x, beta, bound)

    def relu(x):
        return bounded_relu_with_softplus_second_derivative(x, beta, bound)

    value, first, second = derivatives(relu, x, graph)
    curvature = softplus_curvature(x, beta) - softplus_curvature(x - np.float32(bound), beta)
    np.testing.assert_array_equal(value, np.clip(x, 0, bound))
    np.testing.assert_array_equal(first, (x > 0) & (x < bound))
    np.testing.assert_allclose(second, curvature, atol=2e-6)
    value, first, second = derivatives(twin, x, graph)
    parts = [derivatives(lambda x: softplus(x, beta), part, graph) for part in (x, x - bound)]
    np.testing.assert_allclose(value, parts[0][0] - parts[1][0], atol=1e-5)
    np.testing.assert_allclose(first, parts[0][1] - parts[1][1], atol=1e-6)
    np.testing.assert_allclose(second, curvature, atol=2e-6)


@pytest.mark.parametrize("slope", [0.0, 0.1])
@pytest.mark.parametrize("beta", [0.5, 1.0, 8.0])
def test_softplus(beta, slope):
    x = X.astype("float64")
    value, first, second = derivatives(lambda x: softplus(x, beta, slope), X)
    smooth = np.logaddexp(0, beta * x) / beta
    np.testing.assert_allclose(value, slope * x + (1 - slope) * smooth, rtol=1e-5, atol=1e-6)
    gate = 1 / (1 + np.exp(-beta * x))
    np.testing.assert_allclose(first, slope + (1 - slope) * gate, atol=1e-6)
    np.testing.assert_allclose(second, (1 - slope) * softplus_curvature(X, beta), atol=1e-6)
    step = 1e-3
    above, below = (softplus(tf.constant(x + s), beta, slope) for s in (step, -step))
    np.testing.assert_allclose(first, (above - below) / (2 * step), atol=1e-4)


def test_mixed_derivative_by_a_weight():
    """d/dw d/dx relu(w x) = step(w x) + w x softplus''(w x), the point of the construction."""
    x, w = tf.constant([0.5, -0.4, 1.5]), tf.Variable([0.7, 1.2, -2.0])
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            inner.watch(x)
            value = relu_with_softplus_second_derivative(w * x, 2.0)
        slope = inner.gradient(value, x)
    u = (w * x).numpy()
    expected = (u > 0) + u * softplus_curvature(u, 2.0)
    np.testing.assert_allclose(outer.gradient(slope, w), expected, atol=1e-6)


class Block(keras.layers.Layer):
    """A custom residual layer: ReLUs as attributes, in lists, as functions."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(5, activation="relu", kernel_initializer="glorot_normal")
        self.stack = [keras.layers.ReLU(), keras.layers.Dense(5)]
        self.act = tf.nn.relu

    def call(self, x):
        h = self.dense(x)
        for layer in self.stack:
            h = layer(h)
        return self.act(h + 0.5 * x)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = keras.layers.Dense(5, activation="relu")
        self.blocks = {"only": Block()}

    def call(self, x):
        return self.blocks["only"](self.first(x))


def dense(*args, **kwargs):
    return keras.layers.Dense(*args, bias_initializer=keras.initializers.Constant(0.1), **kwargs)


def functional(*steps):
    x = keras.Input((5,))
    h = x
    for step in steps:
        h = step(h)
    return keras.Model(x, h)


def nested():
    inner = keras.Sequential([keras.Input((5,)), dense(5, activation="relu"), dense(5)])
    middle = functional(inner, keras.layers.Activation("relu"), keras.ops.relu)
    return functional(dense(5), middle, keras.layers.ReLU(), dense(2))


def shared():
    shared = dense(5, activation="relu")
    return functional(shared, shared, dense(2))


def subclassed():
    model = Subclassed()
    model(np.zeros((1, 5), "float32"))
    return model


# (model, number of ReLUs)
MODELS = {
    "dense": (lambda: functional(dense(5, activation="relu"), dense(2)), 1),
    "activation layer": (lambda: functional(dense(5), keras.layers.Activation("relu")), 1),
    "relu layer": (lambda: functional(dense(5), keras.layers.ReLU()), 1),
    "relu operation": (lambda: functional(dense(5), keras.ops.relu, dense(2)), 1),
    "relu activation function": (lambda: functional(dense(5), keras.activations.relu), 1),
    "activation is a layer": (lambda: functional(dense(5, activation=keras.layers.ReLU())), 1),
    "lambda layer": (lambda: functional(dense(5), keras.layers.Lambda(tf.nn.relu)), 1),
    "leaky layer": (lambda: functional(dense(5), keras.layers.LeakyReLU(negative_slope=0.1)), 1),
    "leaky relu layer": (lambda: functional(dense(5), keras.layers.ReLU(negative_slope=0.2)), 1),
    "leaky name": (lambda: functional(dense(5, activation="leaky_relu")), 1),
    "leaky operation": (lambda: functional(dense(5), lambda h: keras.ops.leaky_relu(h, 0.3)), 1),
    "relu6": (lambda: functional(dense(5), keras.ops.relu6, dense(5, activation="relu6")), 2),
    "capped": (lambda: functional(dense(5), keras.layers.ReLU(max_value=0.5)), 1),
    "nested": (nested, 4),
    "shared": (shared, 1),
    "custom layer": (lambda: functional(dense(5), Block(), dense(2)), 3),
    "custom model": (subclassed, 4),
    "sequential": (lambda: keras.Sequential([keras.Input((5,)), dense(5), keras.layers.ReLU()]), 1),
}


@pytest.fixture(params=MODELS)
def model(request):
    build, count = MODELS[request.param]
    model = build()
    random = np.random.default_rng(0)
    model.set_weights([random.standard_normal(w.shape) for w in model.get_weights()])
    return model, count


@pytest.fixture(scope="module")
def points():
    return tf.constant(np.random.default_rng(1).standard_normal((6, 5)).astype("float32"))


def value_and_gradient(model, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = model(x, training=False)
    return value, tape.gradient(value, x)


def test_second_derivative_twin_keeps_values_and_gradients(model, points):
    model, count = model
    assert count_relus(model) == count
    twin = with_softplus_second_derivative(model, 4.0)
    assert twin is not model and twin.name == model.name
    for actual, expected in zip(
        value_and_gradient(twin, points), value_and_gradient(model, points), strict=True
    ):
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_softplus_twin_is_smooth_and_shares(model, points):
    """Values differ, meet ReLU's as beta grows, and follow the model's variables."""
    model, _ = model
    assert np.abs(softplus_twin(model)(points) - model(points)).max() > 0.05
    twin = softplus_twin(model, 1e4)
    np.testing.assert_allclose(twin(points), model(points), atol=1e-2)
    assert {id(v) for v in twin.variables} == {id(v) for v in model.variables}
    before = twin(points).numpy()
    for variable in model.trainable_variables:
        variable.assign(-0.7 * variable)
    assert np.abs(twin(points) - before).max() > 0.05
    np.testing.assert_allclose(twin(points), model(points), atol=1e-2)


@pytest.mark.parametrize("slope", [0.0, 0.1])
def test_softplus_twin_by_hand(slope, points):
    """Functional, Sequential and operations against NumPy, two layers deep."""
    relu = keras.layers.LeakyReLU(negative_slope=slope)
    model = functional(dense(4), relu, dense(3), lambda h: keras.ops.leaky_relu(h, slope))
    w1, b1, w2, b2 = model.get_weights()

    def smooth(h):
        return slope * h + (1 - slope) * np.logaddexp(0, 2 * h) / 2

    expected = smooth(smooth(points.numpy() @ w1 + b1) @ w2 + b2)
    np.testing.assert_allclose(softplus_twin(model, 2.0)(points), expected, atol=1e-5)


def test_relu6_is_a_difference_of_two(points):
    twin = softplus_twin(functional(keras.layers.ReLU(max_value=0.5)), 3.0)
    x = points.numpy()
    expected = (np.logaddexp(0, 3 * x) - np.logaddexp(0, 3 * (x - 0.5))) / 3
    np.testing.assert_allclose(twin(points), expected, atol=1e-5)


def test_second_derivative_of_a_network_in_closed_form(points):
    """f = sum_j v_j relu(w_j . x): the Hessian is sum_j v_j softplus''(w_j . x) w_j w_j^T."""
    model = functional(keras.layers.Dense(4, activation="relu", use_bias=False), dense(1))
    w, v, _ = model.get_weights()
    twin = with_softplus_second_derivative(model, 1.5)
    x = points[:1]
    with tf.GradientTape() as tape:
        tape.watch(x)
        _, gradient = value_and_gradient(twin, x)
    hessian = tape.jacobian(gradient, x)[0, :, 0]
    curvature = softplus_curvature(x.numpy() @ w, 1.5)[0]
    np.testing.assert_allclose(hessian, (w * (v[:, 0] * curvature)) @ w.T, atol=1e-5)


def test_model_of_convolutions_and_pooling():
    model = small_cnn(input_shape=(8, 8, 1))
    x = tf.constant(np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 1)).astype("float32"))
    assert count_relus(model) == 3
    twin = with_softplus_second_derivative(model)
    np.testing.assert_array_equal(twin(x), model(x))
    for actual, expected in zip(
        value_and_gradient(twin, x), value_and_gradient(model, x), strict=True
    ):
        np.testing.assert_array_equal(actual, expected)
    conv1, bias1, conv2, bias2, dense1, bias3, dense2, bias4 = model.weights
    h = tf.nn.softplus(tf.nn.conv2d(x, conv1, 1, "SAME") + bias1)
    h = tf.nn.max_pool2d(h, 2, 2, "SAME")
    h = tf.nn.softplus(tf.nn.conv2d(h, conv2, 1, "SAME") + bias2)
    h = tf.reshape(tf.nn.max_pool2d(h, 2, 2, "SAME"), [2, -1])
    logits = tf.nn.softplus(h @ dense1 + bias3) @ dense2 + bias4
    np.testing.assert_allclose(softplus_twin(model)(x), logits, rtol=1e-4, atol=1e-4)


def test_residual_network():
    model = gtsrb_resnet(4, (8, 8, 3))
    x = tf.constant(np.random.default_rng(0).uniform(0, 1, (2, 8, 8, 3)).astype("float32"))
    assert count_relus(model) == 13
    twin = with_softplus_second_derivative(model)
    np.testing.assert_allclose(twin(x), model(x), atol=1e-6)
    assert np.abs(softplus_twin(model)(x) - model(x)).max() > 0.1


def test_original_still_trains_saves_and_loads(tmp_path, points):
    model = nested()
    model.compile("sgd", "mse")
    config, expected = model.get_config(), model(points)
    twin = with_softplus_second_derivative(model)
    assert not twin.compiled
    assert model.get_config() == config
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(points), expected, atol=1e-6)
    model.fit(points, tf.ones((6, 2)), verbose=0)
    np.testing.assert_allclose(twin(points), model(points), atol=1e-5)


def test_batch_normalization_is_shared(points):
    model = functional(keras.layers.BatchNormalization(), keras.layers.ReLU())
    model.set_weights([np.arange(5.0) + shift for shift in range(4)])
    twin = with_softplus_second_derivative(model)
    np.testing.assert_allclose(twin(points, training=False), model(points, training=False))
    model(points, training=True)
    np.testing.assert_allclose(twin(points, training=False), model(points, training=False))
    assert np.abs(model.get_weights()[2] - np.arange(5.0) - 2).max() > 0.01


def test_mixed_precision():
    keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    try:
        model = functional(dense(5, activation="relu"), keras.layers.ReLU(), keras.ops.relu)
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
    twin = with_softplus_second_derivative(model)
    x = np.ones((1, 5), "float32")
    assert twin(x).dtype == model(x).dtype == tf.bfloat16
    np.testing.assert_array_equal(twin(x), model(x))


def test_model_without_relu_is_returned():
    model = functional(dense(5, activation="tanh"), keras.layers.ELU())
    assert count_relus(model) == 0
    assert with_softplus_second_derivative(model) is model
    assert softplus_twin(model) is model


@pytest.mark.parametrize("twin", [softplus_twin, with_softplus_second_derivative])
def test_errors(twin):
    model = MODELS["dense"][0]()
    with pytest.raises(ValueError, match=r"beta must be > 0\. Received: beta=0"):
        twin(model, 0)
    with pytest.raises(ValueError, match=r"model must be built: .* Received: 'late', unbuilt"):
        twin(keras.Sequential([dense(2)], name="late"))
    with pytest.raises(ValueError, match=r"threshold 0 .* 'steep' with threshold=1"):
        twin(functional(keras.layers.ReLU(threshold=1, name="steep")))


@pytest.fixture(scope="module")
def attack():
    """(softplus twin, x, y, the ReLU network's normalized map, figures)."""
    figures = oracles.golden("original_ifia")
    classifier, x, _, _ = oracles.golden_setting()
    x, y = tf.constant(x[:4]), tf.constant(figures["y"])
    return softplus_twin(classifier), x, y, clean_explainer(classifier, x, y), figures


def clean_explainer(model, x, y):
    attribution = integrated_gradients(
        label_logit(model), x, y, baseline=tf.zeros_like(x), steps=20, rule="right"
    )
    return saliency(attribution)


def directions(score, x):
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = score(x)
    return np.sign(tape.gradient(value, x))


def test_top_k_direction_is_the_originals(attack):
    """Every sign: ascend minus the twin's mass on the ReLU network's 100 highest pixels."""
    twin, x, y, relu_map, figures = attack
    np.testing.assert_allclose(relu_map, figures["top_k_map_before"], atol=2e-5)
    order = np.argsort(relu_map.numpy().reshape(4, -1), axis=1)[:, -100:]
    mask = np.zeros((4, 784), "float32")
    np.put_along_axis(mask, order, 1, 1)
    mask = mask.reshape(4, 28, 28)
    actual = directions(lambda x: -tf.reduce_sum(clean_explainer(twin, x, y) * mask, [1, 2]), x)
    np.testing.assert_array_equal(actual, figures["top_k_first_direction"])


def test_mass_center_direction_is_the_originals(attack):
    """Every sign: ascend the squared distance to the twin's clean centre, truncated to pixels."""
    twin, x, y, _, figures = attack
    grid = np.stack(np.meshgrid(np.arange(28), np.arange(28), indexing="ij"), -1).astype("float32")

    def center(x):
        return tf.reduce_sum(clean_explainer(twin, x, y)[..., None] * grid, [1, 2]) / 784

    start = np.trunc(center(x))
    actual = directions(lambda x: tf.reduce_sum((center(x) - start) ** 2, 1), x)
    np.testing.assert_array_equal(actual, figures["mass_center_first_direction"])
