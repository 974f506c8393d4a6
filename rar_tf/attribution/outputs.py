"""What is attributed: scalar outputs of a classifier at given points and labels.

Each function turns a classifier into an `OutputFn`. The classifier is called with
`training=False`: points on an integration path must not move batch statistics.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from rar_tf.checks import labels_of

# (points [N, ...], labels int [N]) -> values float32 [N]
OutputFn = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Cross entropy from logits [N, classes], per example [N], in nats."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=labels_of(logits, labels), logits=tf.cast(logits, tf.float32)
    )


def label_loss(classifier: keras.Model) -> OutputFn:
    """The loss of the label, `l_y(x) = -log softmax(f(x))_y` in nats [RAR sec. 3.1]."""

    def output(points, labels):
        return cross_entropy(classifier(points, training=False), labels)

    return output


def label_logit(classifier: keras.Model) -> OutputFn:
    """The label's logit `f_y(x)`, which [FAR eq. 1-2] and the evaluation attribute."""

    def output(points, labels):
        logits = tf.cast(classifier(points, training=False), tf.float32)
        return tf.gather(logits, labels_of(logits, labels), axis=1, batch_dims=1)

    return output


def label_probability(classifier: keras.Model) -> OutputFn:
    """The label's probability `softmax(f(x))_y`."""
    loss = label_loss(classifier)

    def output(points, labels):
        return tf.exp(-loss(points, labels))

    return output
