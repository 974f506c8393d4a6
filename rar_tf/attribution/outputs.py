"""Outputs to attribute: scalar functions of a classifier at points and labels.

Each function turns a classifier into an `OutputFn`. The classifier is called with
`training=False`: points on an integration path must not move batch statistics.
"""

import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from rar_tf.checks import valid_labels

# (points [N, ...], labels int [N]) -> values float32 [N]
OutputFn = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Cross entropy from logits [N, classes], per example [N], in nats."""
    return tf.nn.sparse_softmax_cross_entropy_with_logits(
        labels=valid_labels(logits, labels), logits=tf.cast(logits, tf.float32)
    )


@dataclasses.dataclass(frozen=True)
class ClassifierOutput:
    """An `OutputFn` of a classifier: `of_logits(classifier(points), labels)`.

    Attributes:
      classifier: points [N, ...] -> logits [N, classes].
      of_logits: (logits, labels) -> values [N].
    """

    classifier: keras.Model
    of_logits: OutputFn

    def __call__(self, points: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        return self.of_logits(self.classifier(points, training=False), labels)

    @property
    def affine_start(self) -> tuple[keras.Model, "ClassifierOutput"] | None:
        """Parts (affine, upper), `output(x, y) = upper(affine(x), y)`; None without them."""
        parts = getattr(self.classifier, "affine_start", None)
        return parts and (parts.affine, ClassifierOutput(parts.upper, self.of_logits))


def label_loss(classifier: keras.Model) -> ClassifierOutput:
    """Loss of the label, `l_y(x) = -log softmax(f(x))_y`, in nats  [RAR sec. 3.1]."""
    return ClassifierOutput(classifier, cross_entropy)


def label_logit(classifier: keras.Model) -> ClassifierOutput:
    """Logit of the label, `f_y(x)`, the output of evaluation maps  [FAR eq. 1-2]."""

    def logit(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        logits = tf.cast(logits, tf.float32)
        return tf.gather(logits, valid_labels(logits, labels), axis=1, batch_dims=1)

    return ClassifierOutput(classifier, logit)


def label_probability(classifier: keras.Model) -> ClassifierOutput:
    """Probability of the label, `softmax(f(x))_y`."""
    return ClassifierOutput(
        classifier, lambda logits, labels: tf.exp(-cross_entropy(logits, labels))
    )
