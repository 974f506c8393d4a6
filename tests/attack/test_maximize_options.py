"""What `maximize` offers beyond plain ascent: schedules, momentum, conditions, several criteria."""

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import LpBall, maximize

X = tf.constant([[0.5, 0.5], [0.5, 0.5]])
C = tf.constant([[1.0, -2.0], [0.5, 3.0]])
WIDE = LpBall("inf", 0.5, bounds=None)


def linear(x_adv):
    return tf.reduce_sum(C * x_adv, -1)


def test_step_size_may_follow_the_step_number():
    x_adv = maximize(
        linear, X, WIDE, steps=3, step_size=lambda i: 0.1 / (1 + tf.cast(i, tf.float32)), seed=None
    )
    np.testing.assert_allclose(x_adv - X, tf.sign(C) * 0.1 * (1 + 1 / 2 + 1 / 3), atol=1e-6)


def test_momentum_in_closed_form():
    # Gradients g_1 = (1, 0), g_2 = (0, 1) by the position; v_2 = 0.5 g_1 + g_2 along the ball 2.
    def score(x_adv):
        first, second = tf.unstack(x_adv, axis=1)
        return tf.where(first < 0.55, first, second)

    x_adv = maximize(
        score, X, LpBall(2, 9.0, bounds=None), steps=2, step_size=0.1, seed=None, momentum=0.5
    )
    expected = np.array([0.1, 0.0]) + 0.1 * np.array([0.5, 1.0]) / np.hypot(0.5, 1)
    np.testing.assert_allclose(x_adv - X, [expected, expected], atol=1e-6)


def test_an_example_stops_before_the_step_that_breaks_the_condition():
    x_adv = maximize(
        linear, X, WIDE, steps=5, step_size=0.1, seed=None, keep=lambda p: p[:, 0] < 0.75
    )
    np.testing.assert_allclose(x_adv[:, 0], [0.7, 0.7], atol=1e-6)
    np.testing.assert_allclose(x_adv[:, 1], [0.3, 0.7], atol=1e-6)


def test_a_start_that_breaks_the_condition_gives_way_to_x():
    def at_x(p):
        return tf.reduce_all(p == X, -1)

    x_adv = maximize(linear, X, WIDE, steps=0, step_size=0.1, seed=[0, 1], keep=at_x)
    np.testing.assert_array_equal(x_adv, X)


def test_several_criteria_keep_their_own_iterates():
    def criteria(x_adv):
        moved = x_adv[:, 0] - 0.5
        return tf.stack([moved, -tf.abs(moved - 0.2), tf.fill([2], float("nan"))], -1)

    x_adv = maximize(linear, X, WIDE, steps=5, step_size=0.1, seed=None, select=criteria)
    np.testing.assert_allclose(x_adv[:, 0, 0], [1.0, 1.0], atol=1e-6)
    np.testing.assert_allclose(x_adv[:, 1, 0], [0.7, 0.7], atol=1e-6)
    np.testing.assert_array_equal(x_adv[:, 2], X)


@pytest.mark.parametrize(("every", "expected"), [(1, 0.7), (2, 0.7), (3, 0.8), (4, 0.9)])
def test_selection_sees_every_nth_iterate_and_the_last(every, expected):
    x_adv = maximize(
        linear, X, WIDE, steps=5, step_size=0.1, seed=None, select_every=every,
        select=lambda p: -tf.abs(p[:, 0] - 0.72),
    )  # fmt: skip
    np.testing.assert_allclose(x_adv[:, 0], expected, atol=1e-6)


def test_errors():
    with pytest.raises(ValueError, match=r"momentum must be in \[0, 1\). Received: momentum=1"):
        maximize(linear, X, WIDE, steps=1, step_size=0.1, seed=None, momentum=1)
    with pytest.raises(ValueError, match="select_every must be >= 1. Received: select_every=0"):
        maximize(linear, X, WIDE, steps=1, step_size=0.1, seed=None, select_every=0)


def test_a_score_may_be_another_function_at_each_step():
    # Up at even steps, down at odd ones, by steps of another size.
    x_adv = maximize(
        lambda x_adv, i: tf.where(i % 2 == 0, 1.0, -1.0) * tf.reduce_sum(x_adv, -1), X, WIDE,
        steps=3, step_size=lambda i: 0.1 * (1 + tf.cast(i, tf.float32)), seed=None, by_step=True,
    )  # fmt: skip
    np.testing.assert_allclose(x_adv - X, np.full((2, 2), 0.1 - 0.2 + 0.3), atol=1e-6)
