"""Scores of a map: its distance from the clean map, for an attribution attack to ascend.

Each is scaled to about [-1, 1], so that the parts of a sum have similar weight.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from rar_tf.attribution import pearson, top_k_mask

# (map [B, H, W] of mean 1, number of the step) -> [B]
MapScore = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]
_FLOOR = 0.01
_PAIRS = 8192


def top_k(clean: tf.Tensor, k: int) -> MapScore:
    """Minus the share of mass on the clean map's k largest pixels  [GAZ17, top-k attack].

    The sum-top-k dissimilarity of [FAR Table 2], up to a constant.
    """

    mask = _top_k_mask(clean, k)
    return lambda maps, _: -tf.reduce_mean(maps * mask, [1, 2])


def _top_k_mask(maps: tf.Tensor, k: int) -> tf.Tensor:
    """Mask of the k largest pixels, which the metric counts too: 0 and 1 in the maps' type."""

    def mask_of(maps: np.ndarray) -> np.ndarray:
        return top_k_mask(maps, k).astype(maps.dtype)

    return tf.ensure_shape(tf.numpy_function(mask_of, [maps], maps.dtype), maps.shape)


def mass_center(clean: tf.Tensor) -> MapScore:
    """Squared shift of the centre of mass over the squared diagonal  [GAZ17].

    From the clean map's centre truncated to whole pixels, as the original implementation has
    it: so the gradient does not vanish at the clean image.

    Args:
      clean: [B, H, W], maps of the network whose maps the score is computed of.
    """
    height, width = clean.shape[1:]
    rows = tf.range(height, dtype=clean.dtype)[:, tf.newaxis] * tf.ones([1, width])
    columns = tf.range(width, dtype=clean.dtype)[tf.newaxis] * tf.ones([height, 1])

    def center(maps: tf.Tensor) -> tf.Tensor:
        return tf.stack([tf.reduce_mean(maps * axis, [1, 2]) for axis in (rows, columns)], -1)

    start = tf.floor(center(clean))
    diagonal = float(height**2 + width**2)
    return lambda maps, _: tf.reduce_sum(tf.square(center(maps) - start), -1) / diagonal


def target(region: tf.Tensor) -> MapScore:
    """Share of mass in the region [H, W] or [B, H, W] of 0 and 1  [GAZ17, targeted attack]."""
    return lambda maps, _: tf.reduce_mean(maps * tf.cast(region, maps.dtype), [1, 2])


def log_pearson(clean: tf.Tensor) -> MapScore:
    """Minus the correlation of `log(map + 0.01)` with the clean map's.

    A smooth surrogate of rank correlation: the logarithm raises the weight of small pixels,
    which ranks count as much as large ones. Its gradient is zero at the clean map.
    """
    logarithm = tf.math.log(clean + _FLOOR)
    return lambda maps, _: -pearson(tf.math.log(maps + _FLOOR), logarithm)


def soft_kendall(clean: tf.Tensor) -> MapScore:
    """Minus a smooth Kendall's tau: `-mean tanh(l_i - l_j) sign(c_i - c_j)`, l = log(map + 0.01).

    The mean is over random pairs (i, j) of pixels, other ones at each step, the same for all
    images; c is the clean map.
    """
    pixels = clean.shape[1] * clean.shape[2]
    flat_clean = tf.reshape(clean, [-1, pixels])

    def score(maps: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
        seed = tf.stack([0, tf.cast(step, tf.int32)])
        pairs = tf.random.stateless_uniform([2, _PAIRS], seed, 0, pixels, tf.int32)
        logarithm = tf.reshape(tf.math.log(maps + _FLOOR), [-1, pixels])
        difference = _pair_difference(logarithm, pairs)
        order = tf.sign(_pair_difference(flat_clean, pairs))
        return -tf.reduce_mean(tf.tanh(difference) * order, -1)

    return score


def _pair_difference(values: tf.Tensor, pairs: tf.Tensor) -> tf.Tensor:
    """`values_i - values_j` [B, P] of values [B, N] and pairs [2, P]."""
    return tf.gather(values, pairs[0], axis=1) - tf.gather(values, pairs[1], axis=1)


def soft_top_k(clean: tf.Tensor, k: int, softness: float) -> MapScore:
    """Minus a smooth top-k intersection.

    `(sum_{i not in K} g_i - sum_{i in K} g_i) / k`, `g_i = sigmoid((l_i - t) / s)`: K are the k
    largest pixels of the clean map, l = log(map + 0.01), t the k-th largest l of the map itself,
    without gradient. The width s is `softness` times the spread of the clean l between the ranks
    3k/4 and 5k/4: so those pixels weigh that can pass the threshold. For a small s the score is
    1 - 2 IN, up to 1 / 2k.

    Args:
      clean: [B, H, W], clean maps.
      k: number of pixels.
      softness: factor of the width, > 0.
    """
    pixels = clean.shape[1] * clean.shape[2]
    logarithm = tf.reshape(tf.math.log(clean + _FLOOR), [-1, pixels])
    order = tf.sort(logarithm, -1, "DESCENDING")
    inside = tf.reshape(_top_k_mask(clean, k), [-1, pixels])
    band = max(k // 4, 1)
    first, last = max(k - band, 1) - 1, min(k + band, pixels) - 1
    # Where many pixels are equal, as in dark images, the spread may be zero.
    width = tf.maximum(softness * (order[:, first : first + 1] - order[:, last : last + 1]), 0.01)

    def score(maps: tf.Tensor, _: tf.Tensor) -> tf.Tensor:
        values = tf.reshape(tf.math.log(maps + _FLOOR), [-1, pixels])
        threshold = tf.reduce_min(tf.math.top_k(values, k)[0], -1, keepdims=True)
        gates = tf.sigmoid((values - tf.stop_gradient(threshold)) / width)
        return tf.reduce_sum(gates * (1 - 2 * inside), -1) / k

    return score
