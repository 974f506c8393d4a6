"""Random perturbations: keyed by seed and row, of the families' structure, inside the ball."""

import numpy as np
import pytest
import tensorflow as tf

from rar_tf.attack import FAMILIES, LpBall, random_point, random_signs

SEED = tf.constant([3, 4])
families = pytest.mark.parametrize("family", FAMILIES)


def images(count, height=16, width=23, channels=3):
    x = np.random.default_rng(0).uniform(0, 1, (count, height, width, channels))
    return tf.constant(x, tf.float32)


@families
def test_signs_depend_on_seed_and_row_alone(family):
    x = images(7)
    signs = random_signs(family, x, SEED).numpy()
    assert signs.shape == x.shape and set(np.unique(signs)) == {-1.0, 1.0}
    np.testing.assert_array_equal(random_signs(family, x[3:5], SEED, 3), signs[3:5])
    shape = tf.TensorSpec([None, *x.shape[1:]])
    graph = tf.function(lambda x, row: random_signs(family, x, SEED, row))
    graph = graph.get_concrete_function(shape, tf.TensorSpec([], tf.int32))
    np.testing.assert_array_equal(graph(x[4:], tf.constant(4)), signs[4:])
    np.testing.assert_array_equal(random_signs(family, 0 * x, SEED), signs)
    for other in (random_signs(family, x, tf.constant([3, 5])).numpy(), np.roll(signs, 1, 0)):
        assert (other != signs).any((1, 2, 3)).all()


@families
def test_both_signs_are_as_frequent(family):
    """Of the 20,000 rows the mean at a place has a standard deviation of 1 / sqrt(20,000)."""
    signs = random_signs(family, tf.zeros([20_000, 4, 3, 1]), SEED).numpy()
    assert np.abs(signs.mean(0)).max() < 4.5 / np.sqrt(20_000)


@pytest.mark.parametrize(("height", "width", "side"), [(28, 28, 4), (32, 30, 4), (23, 26, 3),
                                                       (6, 5, 1), (16, 70, 2)])  # fmt: skip
def test_blocks(height, width, side):
    """A sign for each block of side round(min(H, W) / 7) and each channel; the last are cut."""
    count = 4000
    signs = random_signs("block", tf.zeros([count, height, width, 3]), SEED).numpy()
    corners = signs[:, ::side, ::side]
    rows, columns = np.arange(height) // side, np.arange(width) // side
    np.testing.assert_array_equal(signs, corners[:, rows][:, :, columns])
    # Neighbouring blocks, and the channels of a block, are independent.
    bound = 5 / np.sqrt(count)
    for a, b in (
        (corners[:, 1:], corners[:, :-1]),
        (corners[:, :, 1:], corners[:, :, :-1]),
        (corners[..., 1:], corners[..., :-1]),
    ):
        assert np.abs((a * b).mean(0)).max() < bound


def test_pixels_are_independent():
    signs = random_signs("pixel", tf.zeros([4000, 5, 4, 2]), SEED).numpy().reshape(4000, -1)
    correlation = signs.T @ signs / 4000 - np.eye(40)
    assert np.abs(correlation).max() < 5 / np.sqrt(4000)


def test_smooth_signs_correlate_as_those_of_a_smoothed_field():
    """White noise smoothed by a Gaussian of s pixels has the correlation exp(-d^2 / 4 s^2) at a
    distance d; the signs of two normal numbers of correlation r that of 2 / pi asin(r).
    """
    size, sigma = 42, 3.0
    signs = random_signs("smooth", tf.zeros([4000, size, size, 1]), SEED).numpy()[..., 0]
    middle = size // 2  # far from the edges
    for distance in (1, 3, 6, 15):
        expected = 2 / np.pi * np.arcsin(np.exp(-(distance**2) / (4 * sigma**2)))
        for other in (signs[:, middle + distance, middle], signs[:, middle, middle + distance]):
            measured = np.mean(signs[:, middle, middle] * other)
            assert measured == pytest.approx(expected, abs=4 / np.sqrt(4000))
    channels = random_signs("smooth", tf.zeros([4000, 8, 8, 2]), SEED).numpy()
    assert abs(np.mean(channels[:, 4, 4, 0] * channels[:, 4, 4, 1])) < 4 / np.sqrt(4000)


@families
def test_points_of_the_l_inf_ball_are_corners(family):
    x, ball = images(5), LpBall("inf", 0.1)
    point = random_point(family, x, ball, SEED, 2)
    signs = random_signs(family, x, SEED, 2)
    np.testing.assert_allclose(point, np.clip(x + 0.1 * signs, 0, 1), rtol=0, atol=1e-7)


@families
def test_points_of_the_l2_ball_are_on_its_sphere(family):
    ball = LpBall(2, 0.7)
    x = 0.3 + 0.4 * images(5)  # the bounds are out of reach
    change = (random_point(family, x, ball, SEED) - x).numpy()
    np.testing.assert_allclose(np.linalg.norm(change.reshape(5, -1), axis=1), 0.7, rtol=1e-5)
    np.testing.assert_array_equal(np.sign(change), random_signs(family, x, SEED))
    np.testing.assert_allclose(np.abs(change), 0.7 / np.sqrt(change[0].size), rtol=1e-4)
    # At the bounds they are clipped.
    x = tf.round(images(5))
    point = random_point(family, x, ball, SEED).numpy()
    assert point.min() >= 0 and point.max() <= 1
    assert np.linalg.norm((point - x.numpy()).reshape(5, -1), axis=1).max() < 0.7


def test_an_unknown_family_is_refused():
    with pytest.raises(ValueError, match="family must be one of .*Did you mean 'block'?"):
        random_signs("blok", images(1), SEED)
