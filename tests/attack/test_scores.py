"""Scores of a map against the metrics that they stand for."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from rar_tf.attack import scores
from rar_tf.attribution import top_k_intersection, top_k_mask

STEP = tf.constant(0)


def pairs_of_maps(count, pixels, gap, seed=0):
    """(clean, changed) float64 [count, 1, pixels]: logarithms in steps of `gap`, in random orders.

    The order of the second is that of the first with noise, so that they have some top pixels
    and some order in common.
    """
    random = np.random.default_rng(seed)
    ranks = np.stack([random.permutation(pixels) for _ in range(count)])
    noisy = ranks + random.normal(0, pixels / 3, ranks.shape)
    changed = np.argsort(np.argsort(noisy, 1), 1)
    return [np.exp(gap * part)[:, np.newaxis] for part in (ranks, changed)]


@pytest.mark.parametrize("k", [1, 7, 20, 40])
def test_soft_top_k_of_separated_pixels_is_one_minus_twice_the_intersection(k):
    """Every gate is 0 or 1, but that of the map's own k-th pixel is 1/2, whatever the width.

    So the score is `1 - 2 IN`, plus 1 / 2k where that pixel is among the clean map's k largest,
    minus 1 / 2k where it is not.
    """
    clean, changed = pairs_of_maps(30, 40, gap=1.0)
    score = scores.soft_top_k(tf.constant(clean), k, softness=1e-3)(tf.constant(changed), STEP)
    last = top_k_mask(changed, k) & ~(top_k_mask(changed, k - 1) if k > 1 else False)
    is_common = (last & top_k_mask(clean, k)).any((1, 2))
    expected = 1 - 2 * top_k_intersection(clean, changed, k)
    expected += np.where(is_common, 0.5, -0.5) / k
    np.testing.assert_allclose(score, expected, rtol=0, atol=1e-9)
    if k < 40:
        assert len(np.unique(expected)) > 1


def test_soft_top_k_counts_the_k_pixels_of_the_metric_where_pixels_are_equal():
    """Three pixels are not zero: the other two of the five largest are the first of the zeros."""
    clean = np.zeros((1, 1, 20))
    clean[0, 0, [4, 9, 17]] = 3.0, 2.0, 1.0
    score = scores.soft_top_k(tf.constant(clean), 5, softness=0.5)
    # The same five pixels in another order, then five that are all new.
    for pixels in ([0, 1, 4, 9, 17], [2, 3, 5, 6, 7]):
        changed = np.zeros((1, 1, 20))
        changed[0, 0, pixels] = 1e3, 2e3, 4e3, 8e3, 16e3
        common = top_k_intersection(clean, changed, 5)
        expected = 1 - 2 * common + np.where(common == 1, 0.5, -0.5) / 5
        np.testing.assert_allclose(score(tf.constant(changed), STEP), expected, rtol=0, atol=1e-9)


def noisy_maps(seed=0, pixels=30):
    """(clean, changed) float64 [2, 1, pixels], of mean 1."""
    random = np.random.default_rng(seed)
    clean = random.gamma(1.0, size=(2, 1, pixels))
    changed = clean * np.exp(random.normal(0, 0.5, clean.shape))
    return [part / part.mean((1, 2), keepdims=True) for part in (clean, changed)]


def gradient_of(score, maps):
    maps = tf.constant(maps)
    with tf.GradientTape() as tape:
        tape.watch(maps)
        value = score(maps, STEP)
    return tape.gradient(value, maps).numpy()


def differences_of(score, maps, size=1e-6):
    """Central differences of the score by each pixel."""
    result = np.zeros_like(maps)
    for pixel in range(maps.shape[2]):
        step = np.zeros_like(maps)
        step[:, :, pixel] = size
        up, down = (score(tf.constant(maps + sign * step), STEP) for sign in (1, -1))
        result[:, 0, pixel] = (up - down) / (2 * size)
    return result


def test_gradient_of_soft_top_k():
    """Finite differences, but at the k-th pixel, which is also the threshold, the closed form."""
    clean, changed = noisy_maps()
    k, softness = 8, 0.5
    score = scores.soft_top_k(tf.constant(clean), k, softness)
    gradient = gradient_of(score, changed)
    logarithm = np.sort(np.log(clean + 0.01), -1)[..., ::-1]
    width = softness * (logarithm[..., k - 1 - 2] - logarithm[..., k - 1 + 2])[..., np.newaxis]
    values = np.log(changed + 0.01)
    threshold = np.sort(values, -1)[..., -k][..., np.newaxis]
    gates = 1 / (1 + np.exp(-(values - threshold) / width))
    sign = 1 - 2 * top_k_mask(clean, k)
    expected = sign * gates * (1 - gates) / (k * width * (changed + 0.01))
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)
    others = values != threshold
    measured = differences_of(score, changed)
    np.testing.assert_allclose(gradient[others], measured[others], rtol=1e-5, atol=1e-8)


def test_pixels_near_the_threshold_weigh_most_in_soft_top_k():
    clean, changed = noisy_maps(1)
    gradient = gradient_of(scores.soft_top_k(tf.constant(clean), 8, 0.5), changed)
    # By the logarithm of the map, in which the gate is a function of the distance.
    values, weight = np.log(changed + 0.01), np.abs(gradient * (changed + 0.01))
    distance = np.abs(values - np.sort(values, -1)[..., -8][..., np.newaxis])
    for row in range(2):
        near = weight[row, 0][np.argsort(distance[row, 0])]
        assert (np.diff(near) <= 0).all() and near[0] > 20 * near[-1]


def test_the_ascent_of_soft_top_k_leaves_the_clean_map():
    """Not flat at the clean map: pixels of the top go down, the others up."""
    clean, _ = noisy_maps(2)
    gradient = gradient_of(scores.soft_top_k(tf.constant(clean), 8, 0.25), clean)
    is_top = top_k_mask(clean, 8)
    assert (gradient[is_top] < 0).all() and (gradient[~is_top] > 0).all()


def test_soft_kendall_of_separated_pixels_is_kendall_s_tau():
    """Pixels further apart than tanh saturates: each pair is +1, -1 or, of a pixel with itself, 0.

    The mean over P pairs of n pixels has the expectation -(1 - 1/n) tau and a standard deviation
    of at most 1 / sqrt(P).
    """
    pixels, steps = 24, 16
    clean, changed = pairs_of_maps(10, pixels, gap=8.0)
    score = scores.soft_kendall(tf.constant(clean))
    values = np.stack([score(tf.constant(changed), tf.constant(i)) for i in range(steps)])
    tau = np.array(
        [scipy.stats.kendalltau(a, b).statistic for a, b in zip(clean, changed, strict=True)]
    )
    expected = -(1 - 1 / pixels) * tau
    assert np.ptp(tau) > 0.2
    deviation = 1 / np.sqrt(scores._PAIRS)
    np.testing.assert_allclose(values, np.tile(expected, (steps, 1)), atol=4.5 * deviation)
    mean_deviation = deviation / np.sqrt(steps)
    np.testing.assert_allclose(values.mean(0), expected, rtol=0, atol=4 * mean_deviation)
    # Other pairs at each step, the same ones at the same step.
    assert len(np.unique(values[:, 0])) > steps / 2
    np.testing.assert_array_equal(score(tf.constant(changed), tf.constant(3)), values[3])


def test_soft_kendall_of_equal_clean_pixels_counts_no_pair_of_them():
    """Half of the pixels are zero before: only the pairs with another one count."""
    clean = np.array([[[0.0, 0.0, 1.0, 2.0]]])
    changed = np.exp(10 * np.array([[[3.0, 1.0, 2.0, 0.0]]]))
    score = scores.soft_kendall(tf.constant(clean))
    values = [score(tf.constant(changed), tf.constant(i))[0] for i in range(16)]
    # Of 16 ordered pairs: (0,2) (0,3) (1,3) (2,3) discordant, (1,2) concordant, each twice.
    deviation = 1 / np.sqrt(16 * scores._PAIRS)
    assert np.mean(values) == pytest.approx((8 - 2) / 16, abs=4 * deviation)


def test_gradient_of_soft_kendall():
    clean, changed = noisy_maps(3)
    score = scores.soft_kendall(tf.constant(clean))
    measured = differences_of(score, changed)
    np.testing.assert_allclose(gradient_of(score, changed), measured, rtol=1e-5, atol=1e-8)
