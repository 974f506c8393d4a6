"""Whether a point keeps the label that is explained, and by how much."""

import keras
import tensorflow as tf


def margin(network: keras.Model, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """`f_y - max_{c != y} f_c` [B], in logits: negative where y is not the prediction."""
    logits = tf.cast(network(x, training=False), tf.float32)
    own = tf.one_hot(y, logits.shape[-1])
    return tf.reduce_sum(logits * own, -1) - tf.reduce_max(logits - own * logits.dtype.max, -1)


def predicts(network: keras.Model, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """[B] bool, whether y is the prediction."""
    return tf.argmax(network(x, training=False), -1, y.dtype) == y
