"""Logits of any Keras classifier, checked against the images of an evaluation."""

import keras
import numpy as np
import tensorflow as tf

from rar_tf import models
from rar_tf.evaluation.evaluation_set import EvaluationSet

# Two calls of a deterministic network differ by less than this share of its largest logit.
_ROUNDING = 1e-4


def logits_of(
    classifier: keras.Model,
    evaluation_set: EvaluationSet,
    convention: models.Convention | None = None,
) -> models.Adapted:
    """The classifier's logits, checked against the data; see `models.adapt_to_dataset`.

    Args:
      classifier: any Keras classifier.
      evaluation_set: images and labels.
      convention: what the user says of the classifier; None for nothing.

    Raises:
      ValueError: the classifier does not fit the data.
    """
    x, _ = evaluation_set.read(np.arange(min(8, len(evaluation_set))))
    return models.adapt_to_dataset(
        classifier,
        evaluation_set.image_shape,
        evaluation_set.num_classes or 1 + max(int(y.max()) for _, y in evaluation_set.batches()),
        name=evaluation_set.name,
        exact=evaluation_set.num_classes is not None,
        convention=convention,
        sample=tf.constant(x),
    )


def randomness(network: keras.Model, evaluation_set: EvaluationSet) -> float:
    """Largest difference of a finite logit between two calls on the same images, in logits.

    0 where it is within rounding: below 1e-4 of the largest logit. Up to 32 images are used.

    Args:
      network: images -> logits.
      evaluation_set: the images, of which the first are used.
    """
    x, _ = evaluation_set.read(np.arange(min(32, len(evaluation_set))))
    first, second = (np.asarray(network(tf.constant(x), training=False)) for _ in range(2))
    finite = np.isfinite(first) & np.isfinite(second)
    largest = float(np.abs(first[finite]).max(initial=0.0))
    difference = float(np.abs(first[finite] - second[finite]).max(initial=0.0))
    return difference if difference > _ROUNDING * largest else 0.0
