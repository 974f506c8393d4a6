"""Differentiable similarities of two maps, one number per map of any shape [B, ...]."""

import tensorflow as tf

_EPSILON = 1e-12


def l1(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """l1 distance `sum_i |a_i - b_i|` of maps [B, ...] -> [B]  [FAR eq. 8]."""
    return tf.reduce_sum(tf.abs(_flat(a) - _flat(b)), -1)


def cosine(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Cosine `<a, b> / sqrt(||a||^2 ||b||^2 + 1e-12)` of maps [B, ...] -> [B].

    The constant is inside the root, so that value and gradient of a map of zeros are 0.
    """
    a, b = _flat(a), _flat(b)
    squares = tf.reduce_sum(a * a, -1) * tf.reduce_sum(b * b, -1)
    return tf.reduce_sum(a * b, -1) / tf.sqrt(squares + _EPSILON)


def pearson(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Pearson's correlation of maps [B, ...] -> [B] in [-1, 1]; 0 for a constant map.

    The cosine of the maps minus their means [FAR sec. 4]. Insensitive to the maps' scale as
    long as their variances are far above 1e-6.
    """
    a, b = _flat(a), _flat(b)
    mean_a, mean_b = (tf.reduce_mean(maps, -1, keepdims=True) for maps in (a, b))
    return cosine(a - mean_a, b - mean_b)


def _flat(maps: tf.Tensor) -> tf.Tensor:
    maps = tf.convert_to_tensor(maps)
    return tf.reshape(maps, [tf.shape(maps)[0], -1])
