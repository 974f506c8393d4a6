"""Threats: inside, on, and outside the set; idempotence; bounds; singular points."""

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import LpBall

SEED = tf.constant([1, 2])
X = tf.constant(np.random.default_rng(0).random((6, 4, 4, 2)), tf.float32)


def length(difference, norm):
    flat = np.asarray(difference).reshape(len(difference), -1)
    return np.abs(flat).max(1) if norm == "inf" else np.sqrt((flat**2).sum(1))


@pytest.mark.parametrize("norm", ["inf", 2])
def test_points_inside_stay_and_points_outside_land_on_the_boundary(norm):
    ball = LpBall(norm, 0.3, bounds=None)
    direction = tf.random.stateless_normal(X.shape, SEED)
    direction /= length(direction, norm).reshape(-1, 1, 1, 1)
    inside, outside = X + 0.2 * direction, X + 0.9 * direction
    np.testing.assert_allclose(ball.project(inside, X), inside, atol=1e-7)
    projected = ball.project(outside, X)
    np.testing.assert_allclose(length(projected - X, norm), 0.3, atol=1e-6)
    np.testing.assert_allclose(ball.project(projected, X), projected, atol=1e-6)
    if norm == 2:  # the nearest point of the ball lies on the ray
        np.testing.assert_allclose(projected, X + 0.3 * direction, atol=1e-6)


@pytest.mark.parametrize("norm", ["inf", 2])
def test_bounds_hold_together_with_the_ball(norm):
    ball = LpBall(norm, 0.5)
    projected = ball.project(X + 10 * tf.random.stateless_normal(X.shape, SEED), X).numpy()
    assert projected.min() >= 0 and projected.max() <= 1
    assert (length(projected - X, norm) <= 0.5 + 1e-6).all()


@pytest.mark.parametrize("norm", ["inf", 2])
def test_start_is_uniform_in_the_ball_and_keyed_by_row(norm):
    ball = LpBall(norm, 0.25)
    x = tf.zeros([4000, 2])
    start = ball.start(x, SEED).numpy()
    lengths = length(start, norm)
    assert lengths.max() <= 0.25 + 1e-6
    # In two dimensions the share within radius r of a uniform start is (r / eps)^2.
    for share in (0.25, 0.5):
        assert (lengths <= 0.25 * share**0.5).mean() == pytest.approx(share, abs=0.03)
    assert start.min() < -0.2  # not clipped to pixels
    np.testing.assert_allclose(ball.start(x[:7], SEED, 100), start[100:107], atol=1e-7)


def test_ascend_takes_the_steepest_step_of_the_norm():
    gradient = tf.constant([[3.0, -4.0, 0.0], [0.0, 0.0, 0.0], [1e-30, 0.0, 0.0]])
    x = tf.ones([3, 3]) / 2
    linf = LpBall("inf", 1.0).ascend(x, gradient, 0.1) - x
    np.testing.assert_allclose(linf, [[0.1, -0.1, 0], [0, 0, 0], [0.1, 0, 0]], atol=1e-6)
    l2 = LpBall(2, 1.0).ascend(x, gradient, 0.1) - x
    np.testing.assert_allclose(l2, [[0.06, -0.08, 0], [0, 0, 0], [0.1, 0, 0]], atol=1e-6)


def test_zero_radius_is_the_image_itself():
    for norm in ("inf", 2):
        ball = LpBall(norm, 0.0)
        np.testing.assert_array_equal(ball.project(X + 0.5, X), X)
        np.testing.assert_array_equal(ball.start(X, SEED), X)


def test_gradients_through_the_projection_are_finite_at_the_center():
    for norm in ("inf", 2):
        with tf.GradientTape() as tape:
            tape.watch(X)
            value = tf.reduce_sum(LpBall(norm, 0.1).project(X, X) ** 2)
        assert np.isfinite(tape.gradient(value, X)).all()


def test_no_penalty_inside_a_ball():
    np.testing.assert_array_equal(LpBall().penalty(X + 1, X), np.zeros(6))


def test_errors():
    with pytest.raises(ValueError, match=r'norm must be "inf" or 2. Received: norm=1'):
        LpBall(1, 0.1)
    for epsilon in (-0.1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"epsilon must be finite.*epsilon={epsilon}"):
            LpBall("inf", epsilon)
    with pytest.raises(ValueError, match=r"bounds must be \(low, high\).*\(1, 0\)"):
        LpBall("inf", 0.1, (1, 0))


@pytest.mark.parametrize(
    ("epsilon", "meaning"),
    [
        (8, r"give 8/255 = 0\.0314"),
        (1.5, r"give 1\.5/255 = 0\.00588"),
        (255.0, "255/255 = 1"),
        (300, "300$"),
    ],
)
def test_a_radius_beyond_the_range_of_pixels_is_refused_with_its_likely_meaning(epsilon, meaning):
    with pytest.raises(ValueError, match=rf"epsilon must be <= 1, the range of .*{meaning}"):
        LpBall("inf", epsilon)
    LpBall("inf", epsilon, bounds=None)
    LpBall("inf", epsilon, bounds=(0.0, 300.0))


def test_an_l2_radius_beyond_the_distance_of_all_images_is_refused():
    # Two images 4x4x3 are at most sqrt(48) = 6.93 apart.
    LpBall(2, 6.9).check_images((4, 4, 3))
    message = r"<= 6\.928, the largest l2 distance of two images 4x4x3\. .*give 128/255 = 0\.502"
    with pytest.raises(ValueError, match=message):
        LpBall(2, 128).check_images((4, 4, 3))
    images = tf.zeros([2, 4, 4, 3])
    LpBall(2, 6.9).project(images, images)
    with pytest.raises(ValueError, match="largest l2 distance"):
        LpBall(2, 7.0).project(images, images)
    LpBall(2, 128, bounds=None).project(images, images)
