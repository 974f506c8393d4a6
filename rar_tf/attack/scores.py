"""Scores of a map: its distance from the clean map, for an attribution attack to ascend.

Each is scaled to about [-1, 1], so that the parts of a sum have similar weight.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from rar_tf.attribution import pearson, top_k_mask

# map [B, H, W] of mean 1 -> [B]
MapScore = Callable[[tf.Tensor], tf.Tensor]
_FLOOR = 0.01


def top_k(clean: tf.Tensor, k: int) -> MapScore:
    """Minus the share of mass on the clean map's k largest pixels  [GAZ17, top-k attack].

    The sum-top-k dissimilarity of [FAR Table 2], up to a constant.
    """

    def mask_of(maps: np.ndarray) -> np.ndarray:
        return top_k_mask(maps, k).astype(np.float32)

    mask = tf.ensure_shape(tf.numpy_function(mask_of, [clean], tf.float32), clean.shape)
    return lambda maps: -tf.reduce_mean(maps * mask, [1, 2])


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
    return lambda maps: tf.reduce_sum(tf.square(center(maps) - start), -1) / diagonal


def target(region: tf.Tensor) -> MapScore:
    """Share of mass in the region [H, W] or [B, H, W] of 0 and 1  [GAZ17, targeted attack]."""
    return lambda maps: tf.reduce_mean(maps * tf.cast(region, maps.dtype), [1, 2])


def log_pearson(clean: tf.Tensor) -> MapScore:
    """Minus the correlation of `log(map + 0.01)` with the clean map's.

    A smooth surrogate of rank correlation: the logarithm raises the weight of small pixels,
    which ranks count as much as large ones. Its gradient is zero at the clean map.
    """
    logarithm = tf.math.log(clean + _FLOOR)
    return lambda maps: -pearson(tf.math.log(maps + _FLOOR), logarithm)
