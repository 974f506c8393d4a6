"""Integrated gradients against closed forms, completeness, passes, finite differences."""

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attribution import (
    input_gradient,
    integrated_gradients,
    label_logit,
    label_loss,
    label_probability,
    path_integrated_gradients,
    saliency,
)
from tests.support import oracles

RANDOM = np.random.default_rng(7)
X = tf.constant(RANDOM.random((3, 4)), tf.float32)
Y = tf.constant([0, 1, 2])


def squares(points, labels):
    return tf.reduce_sum(points**2, -1)


@pytest.mark.parametrize("m", [1, 3, 10])
def test_right_rule_on_squares_overestimates_by_the_known_factor(m):
    ig = integrated_gradients(squares, X, Y, baseline=0.0, steps=m, rule="right")
    np.testing.assert_allclose(ig, X**2 * (m + 1) / m, rtol=1e-6)


@pytest.mark.parametrize("rule", ["trapezoid", "midpoint", "gauss_legendre"])
@pytest.mark.parametrize("steps", [1, 4])
def test_second_order_rules_are_exact_on_squares(rule, steps):
    ig = integrated_gradients(squares, X, Y, baseline=0.0, steps=steps, rule=rule)
    np.testing.assert_allclose(ig, X**2, rtol=1e-6)


def test_linear_function_is_exact_with_one_node_and_any_baseline():
    w = tf.constant([1.0, -2.0, 0.5, 3.0])
    baseline = tf.constant(RANDOM.random((3, 4)), tf.float32)
    ig = integrated_gradients(
        lambda p, _: tf.linalg.matvec(p, w),
        X,
        Y,
        baseline=baseline,
        steps=1,
        rule="left",
    )
    np.testing.assert_allclose(ig, w * (X - baseline), rtol=1e-5, atol=1e-6)


def test_labels_follow_their_points_through_the_stacking():
    def scaled(points, labels):
        return tf.cast(labels + 1, tf.float32) * tf.reduce_sum(points, -1)

    ig = integrated_gradients(scaled, X, Y, baseline=0.0, steps=3)
    np.testing.assert_allclose(ig, X * [[1.0], [2.0], [3.0]], rtol=1e-6)


@pytest.fixture(scope="module")
def cnn():
    classifier, x, y, start = oracles.golden_setting()
    return classifier, tf.constant(x[:4]), tf.constant(y[:4]), tf.constant(start[:4])


def test_completeness_error_falls_with_the_number_of_nodes(cnn):
    classifier, x, y, x_adv = cnn
    loss = label_loss(classifier)

    def error(steps):
        ig = integrated_gradients(loss, x_adv, y, baseline=x, steps=steps)
        return float(
            tf.reduce_max(tf.abs(tf.reduce_sum(ig, [1, 2, 3]) - (loss(x_adv, y) - loss(x, y))))
        )

    assert error(64) < error(8) / 3
    assert error(64) < 2e-3


def test_a_curved_path_keeps_completeness_and_the_straight_one_agrees(cnn):
    classifier, x, y, x_adv = cnn
    loss = label_loss(classifier)
    change = loss(x_adv, y) - loss(x, y)
    bump = tf.constant(RANDOM.uniform(-0.2, 0.2, x.shape), tf.float32)

    def curved(t):
        return x + t * (x_adv - x) + tf.sin(np.pi * t) * bump

    def straight(t):
        return x + t * (x_adv - x)

    ig = path_integrated_gradients(loss, curved, y, steps=64)
    np.testing.assert_allclose(tf.reduce_sum(ig, [1, 2, 3]), change, atol=1e-2)
    line = path_integrated_gradients(loss, straight, y, steps=5)
    np.testing.assert_allclose(
        line, integrated_gradients(loss, x_adv, y, baseline=x, steps=5), atol=1e-6
    )
    assert float(tf.reduce_max(tf.abs(ig - line))) > 1e-3  # the path matters, the sum does not


@pytest.mark.parametrize("nodes_per_pass", [1, 3, 5, 99])
def test_passes_change_neither_values_nor_gradients(cnn, nodes_per_pass):
    classifier, x, y, x_adv = cnn

    @tf.function
    def run(nodes_per_pass):
        with tf.GradientTape() as tape:
            tape.watch([x, x_adv])
            ig = integrated_gradients(
                label_loss(classifier), x_adv, y, baseline=x, steps=5, nodes_per_pass=nodes_per_pass
            )
            size = tf.reduce_sum(tf.abs(ig))
        return [ig, *tape.gradient(size, [x, x_adv, *classifier.trainable_variables])]

    for full, in_passes in zip(run(None), run(nodes_per_pass), strict=True):
        np.testing.assert_allclose(
            in_passes, full, rtol=0, atol=1e-5 * float(tf.reduce_max(tf.abs(full)))
        )


def test_second_derivative_against_finite_differences():
    """d/dx sum |IG| of a smooth function, where no entry changes sign."""

    def smooth(points, labels):
        return tf.reduce_sum(tf.exp(points), -1)

    x = tf.constant(RANDOM.random((1, 3)) + 0.5, tf.float64)

    def size(x):
        return tf.reduce_sum(tf.abs(integrated_gradients(smooth, x, Y[:1], baseline=0.0, steps=4)))

    with tf.GradientTape() as tape:
        tape.watch(x)
        value = size(x)
    gradient = tape.gradient(value, x).numpy()[0]
    for i in range(3):
        step = np.zeros((1, 3))
        step[0, i] = 1e-5
        numeric = (size(x + step) - size(x - step)) / 2e-5
        assert gradient[i] == pytest.approx(float(numeric), rel=1e-4)


def test_outputs_agree_with_softmax(cnn):
    classifier, x, y, _ = cnn
    probability = tf.nn.softmax(classifier(x)).numpy()[np.arange(4), y]
    np.testing.assert_allclose(label_probability(classifier)(x, y), probability, rtol=1e-5)
    np.testing.assert_allclose(label_loss(classifier)(x, y), -np.log(probability), rtol=1e-4)
    np.testing.assert_allclose(
        label_logit(classifier)(x, y), classifier(x).numpy()[np.arange(4), y], rtol=1e-6
    )


def test_input_gradient_of_the_loss_in_closed_form():
    """d l / d logits = softmax - onehot, through a linear classifier."""
    w = tf.constant(RANDOM.normal(size=(4, 3)), tf.float32)
    classifier = lambda x, training: x @ w  # noqa: E731
    p = tf.nn.softmax(X @ w).numpy()
    expected = (p - np.eye(3)[Y.numpy()]) @ w.numpy().T
    np.testing.assert_allclose(input_gradient(label_loss(classifier), X, Y), expected, atol=1e-6)


def test_saliency_normalizes_to_the_number_of_pixels_and_keeps_zeros():
    attribution = tf.constant(RANDOM.normal(size=(2, 4, 5, 3)), tf.float32)
    attribution *= [[[[1.0]]], [[[0.0]]]]
    maps = saliency(attribution).numpy()
    magnitude = np.abs(attribution[0]).sum(-1)
    np.testing.assert_allclose(maps[0], magnitude / magnitude.sum() * 20, rtol=1e-5)
    np.testing.assert_array_equal(maps[1], 0)


def test_errors():
    with pytest.raises(ValueError, match="nodes_per_pass must be >= 1. Received: nodes_per_pass=0"):
        integrated_gradients(squares, X, Y, baseline=0.0, steps=3, nodes_per_pass=0)
    with pytest.raises(ValueError, match="x must be floating.*x.dtype=int32"):
        integrated_gradients(squares, tf.cast(X, tf.int32), Y, baseline=0, steps=3)
    with pytest.raises(ValueError, match=r"attribution must be floating \[B, H, W, C\].*\(3, 4\)"):
        saliency(X)
