"""The label condition of an attack on maps: prediction and margin."""

import keras
import tensorflow as tf


def margin(network: keras.Model, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """`f_y - max_{c != y} f_c` [B], in logits: negative where y is not the prediction."""
    logits = tf.cast(network(x, training=False), tf.float32)
    label = tf.one_hot(y, logits.shape[-1])
    return tf.reduce_sum(logits * label, -1) - tf.reduce_max(logits - label * logits.dtype.max, -1)


def predicts(network: keras.Model, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Whether y is the prediction: bool [B]; false where a logit is not finite."""
    logits = network(x, training=False)
    is_finite = tf.reduce_all(tf.math.is_finite(logits), -1)
    return (tf.argmax(logits, -1, y.dtype) == y) & is_finite
