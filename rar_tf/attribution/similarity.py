"""Differentiable similarities of two maps, one number per map of any shape [B, ...]."""

import tensorflow as tf

_EPSILON = 1e-12


def l1(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """`sum_i |a_i - b_i|` of maps [B, ...] -> [B], the distance of [FAR eq. 8]."""
    return tf.reduce_sum(tf.abs(_flat(a) - _flat(b)), -1)


def cosine(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """`<a, b> / sqrt(||a||^2 ||b||^2 + 1e-12)` of maps [B, ...] -> [B].

    The constant stands inside the root, so that value and gradient of a map of zeros are 0.
    """
    a, b = _flat(a), _flat(b)
    squares = tf.reduce_sum(a * a, -1) * tf.reduce_sum(b * b, -1)
    return tf.reduce_sum(a * b, -1) / tf.sqrt(squares + _EPSILON)


def pearson(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Pearson's correlation of maps [B, ...] -> [B] in [-1, 1]; 0 for a constant map.

    The cosine of the maps less their means [FAR sec. 4]. Insensitive to the maps' scale as
    long as their variances are far above 1e-6.
    """
    a, b = _flat(a), _flat(b)
    mean = [tf.reduce_mean(part, -1, keepdims=True) for part in (a, b)]
    return cosine(a - mean[0], b - mean[1])


def _flat(maps: tf.Tensor) -> tf.Tensor:
    maps = tf.convert_to_tensor(maps)
    return tf.reshape(maps, [tf.shape(maps)[0], -1])
