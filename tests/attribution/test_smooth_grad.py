"""SmoothGrad in closed form, and attributions without weight gradients."""

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attribution import integrated_gradients, label_logit, normal_rows, smooth_grad
from tests.support import oracles

X = tf.constant(np.random.default_rng(0).uniform(size=(3, 6, 6, 3)).astype("float32"))
Y = tf.constant([0, 1, 2])
SEED = tf.constant([5, 6])


def squares(points, labels):
    return tf.reduce_sum(points**2, [1, 2, 3])


@pytest.mark.parametrize("nodes_per_pass", [None, 3])
def test_of_squares_is_twice_the_mean_noisy_image(nodes_per_pass):
    result = smooth_grad(
        squares, X, Y, samples=4, sigma=0.5, seed=SEED, nodes_per_pass=nodes_per_pass
    )
    noise = [normal_rows(X.shape, SEED + tf.constant([0, k])) for k in range(4)]
    np.testing.assert_allclose(result, 2 * X + 2 * 0.5 * tf.add_n(noise) / 4, rtol=1e-5, atol=1e-6)


def test_rows_do_not_depend_on_their_batch():
    options = {"samples": 2, "sigma": 0.3, "seed": SEED}
    full = smooth_grad(squares, X, Y, **options)
    np.testing.assert_array_equal(
        smooth_grad(squares, X[1:], Y[1:], first_row=1, **options), full[1:]
    )


def attributions(output, x, y, **options):
    yield integrated_gradients(
        output, x, y, baseline=tf.zeros_like(x), steps=5, rule="right", **options
    )
    yield smooth_grad(output, x, y, samples=5, sigma=0.1, seed=SEED, **options)


@pytest.mark.parametrize(("which", "graph"), [(0, False), (1, False), (0, True)])
def test_values_and_image_gradients_are_the_same_without_weight_gradients(which, graph):
    _, twin = oracles.leaky_pair()
    output = label_logit(twin)

    def measure(x, **options):
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(x)
            value = list(attributions(output, x, Y, **options))[which]
            size = tf.reduce_sum(value**2)
        weights = [variable.value for variable in twin.trainable_variables]
        kernels = tape.gradient(size, weights, unconnected_gradients="zero")
        return value, tape.gradient(size, x), kernels

    run = tf.function(measure) if graph else measure
    value, gradient, kernels = run(X)
    for options in (
        {"nodes_per_pass": 2, "weight_gradients": True},
        {"nodes_per_pass": 2, "weight_gradients": False},
    ):
        other_value, other_gradient, other_kernels = run(X, **options)
        np.testing.assert_allclose(other_value, value, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(other_gradient, gradient, rtol=1e-3, atol=1e-5)
        for actual, reference in zip(other_kernels, kernels, strict=True):
            expected = reference if options["weight_gradients"] else tf.zeros_like(reference)
            np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("options", "message"), [
    ({"samples": 0}, "samples must be >= 1. Received: samples=0"),
    ({"sigma": -0.1}, "sigma must be >= 0. Received: sigma=-0.1"),
    ({"nodes_per_pass": 0}, "nodes_per_pass must be >= 1. Received: nodes_per_pass=0"),
])  # fmt: skip
def test_errors(options, message):
    with pytest.raises(ValueError, match=message):
        smooth_grad(squares, X, Y, **{"samples": 2, "sigma": 0.1, "seed": SEED} | options)
    with pytest.raises(ValueError, match="x must be floating.*Received: x.dtype=int32"):
        smooth_grad(squares, tf.cast(X, tf.int32), Y, samples=2, sigma=0.1, seed=SEED)
