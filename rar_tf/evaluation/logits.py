"""Logits of any Keras classifier, checked against the images of an evaluation."""

import keras
import numpy as np
import tensorflow as tf

from rar_tf import models
from rar_tf.evaluation.evaluation_set import EvaluationSet


def logits_of(
    classifier: keras.Model, evaluation_set: EvaluationSet, outputs: str = "auto"
) -> tuple[keras.Model, str]:
    """The classifier's logits, checked against the data; see `models.adapt_to_dataset`.

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
        outputs=outputs,
        sample=tf.constant(x),
    )
