"""Similarities of maps against numpy, scipy and hand-counted cases."""

import numpy as np
import pytest
import scipy.stats
import tensorflow as tf

from rar_tf import attribution

RANDOM = np.random.default_rng(0)
A = RANDOM.uniform(size=(4, 5, 6)).astype("float32")
B = RANDOM.uniform(size=(4, 5, 6)).astype("float32")
CONSTANT = np.full((1, 2, 2), 3.0, "float32")
RAMP = np.arange(4.0, dtype="float32").reshape(1, 2, 2)


def test_differentiable_ones_against_numpy():
    a, b = A.reshape(4, -1), B.reshape(4, -1)
    np.testing.assert_allclose(attribution.l1(A, B), np.abs(a - b).sum(1), rtol=1e-6)
    cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(attribution.cosine(A, B), cosine, rtol=1e-5)
    pearson = [np.corrcoef(x, y)[0, 1] for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(attribution.pearson(A, B), pearson, rtol=1e-4)


@pytest.mark.parametrize("name", ["pearson", "cosine"])
@pytest.mark.parametrize("maps", [np.zeros((1, 2, 2)), CONSTANT])
def test_value_and_gradient_are_finite_where_the_correlation_is_not_defined(name, maps):
    a = tf.constant(maps, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(a)
        value = getattr(attribution, name)(a, tf.zeros_like(a))
    assert float(value[0]) == 0
    assert np.isfinite(tape.gradient(value, a)).all()


def test_pearson_of_a_map_with_itself_has_no_gradient():
    a = tf.constant(A)
    with tf.GradientTape() as tape:
        tape.watch(a)
        value = attribution.pearson(a, tf.constant(A))
    np.testing.assert_allclose(value, 1, atol=1e-6)
    np.testing.assert_allclose(tape.gradient(value, a), 0, atol=1e-6)


def test_rank_correlations_are_scipys_ties_included():
    tied = np.round(A * 3)
    for name, theirs in (
        ("kendall_tau", scipy.stats.kendalltau),
        ("spearman", scipy.stats.spearmanr),
    ):
        expected = [theirs(x.ravel(), y.ravel()).statistic for x, y in zip(tied, B, strict=True)]
        np.testing.assert_array_equal(getattr(attribution, name)(tied, B), expected)


def test_foreground_kendall_is_scipys_over_the_pixels_of_the_clean_map():
    clean = np.where(RANDOM.random(A.shape) < 0.6, A, 0)
    found = attribution.kendall_foreground(clean, B)
    for value, a, b in zip(found, clean, B, strict=True):
        assert value == scipy.stats.kendalltau(a[a > 0], b[a > 0]).statistic
    # All pixels are > 0.
    np.testing.assert_array_equal(
        attribution.kendall_foreground(A, B), attribution.kendall_tau(A, B)
    )


def test_foreground_kendall_by_counting_pairs():
    # Of 1 2 3 the pair (2, 3) is discordant; what the background becomes does not count.
    clean, other = np.array([[[0.0, 1, 2, 3]]]), np.array([[[9.0, 1, 3, 2]]])
    assert attribution.kendall_foreground(clean, other)[0] == pytest.approx(1 / 3)


@pytest.mark.parametrize(("clean", "other"), [
    ([0, 0, 0, 5], [1, 2, 3, 4]),  # one pixel
    ([0, 2, 2, 2], [1, 2, 3, 4]),  # constant
    ([0, 1, 2, 3], [1, 2, 2, 2]),
    ([0, 1, 2, 3], [np.nan, 1, 2, 3]),
    ([np.inf, 1, 2, 3], [0, 1, 2, 3]),
])  # fmt: skip
def test_foreground_kendall_is_nan_without_an_order(clean, other):
    maps = [np.array([[part]], float) for part in (clean, other)]
    assert np.isnan(attribution.kendall_foreground(*maps)[0])


def test_kendall_by_counting_pairs():
    # Ranks 0 1 2 3 against 1 0 2 3: one of six pairs is discordant.
    other = np.array([[[1, 0], [2, 3]]])
    assert attribution.kendall_tau(RAMP, other)[0] == pytest.approx((5 - 1) / 6)


def test_top_k_by_hand():
    other = np.array([[[3.0, 0.0], [1.0, 2.0]]])
    assert attribution.top_k_intersection(RAMP, other, 1)[0] == 0  # pixel 3 against pixel 0
    assert attribution.top_k_intersection(RAMP, other, 2)[0] == 0.5  # {2, 3} against {0, 3}
    assert attribution.top_k_intersection(RAMP, other, 4)[0] == 1


def test_of_equal_values_the_earlier_pixel_counts_as_larger():
    maps = np.array([[[1.0, 2.0, 1.0], [2.0, 1.0, 2.0]]])
    expected = [[[False, True, False], [True, False, False]]]
    np.testing.assert_array_equal(attribution.top_k_mask(maps, 2), expected)
    _, indices = tf.math.top_k(maps.reshape(1, -1), 2)
    assert set(indices.numpy()[0]) == {1, 3}


def test_center_shift_by_hand():
    corner, opposite = np.zeros((1, 4, 5)), np.zeros((1, 4, 5))
    corner[0, 0, 0], opposite[0, 3, 4] = 7, 1
    assert attribution.center_shift(corner, opposite)[0] == 5


@pytest.mark.parametrize("bad", [CONSTANT, np.full((1, 2, 2), np.nan), np.zeros((1, 2, 2))])
def test_constant_and_undefined_maps_give_nan(bad):
    for metric in (
        attribution.kendall_tau,
        attribution.kendall_foreground,
        attribution.spearman,
        attribution.center_shift,
        lambda a, b: attribution.top_k_intersection(a, b, 2),
    ):
        assert np.isnan(metric(bad, RAMP)[0]) and np.isnan(metric(RAMP, bad)[0])
    np.testing.assert_array_equal(attribution.is_constant(np.concatenate([CONSTANT, RAMP])), [1, 0])


def test_no_maps_give_no_values():
    none = np.zeros((0, 2, 2))
    assert attribution.kendall_tau(none, none).shape == (0,)
    assert attribution.top_k_intersection(none, none, 1).shape == (0,)


@pytest.mark.parametrize("k", [0, 5])
def test_errors(k):
    with pytest.raises(ValueError, match=rf"k must be in 1 \.\. 4, the pixels.*Received: k={k}"):
        attribution.top_k_intersection(RAMP, RAMP, k)
