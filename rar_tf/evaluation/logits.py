"""Any Keras classifier, from a file or from memory, made ready for evaluation."""

import keras
import numpy as np
import tensorflow as tf

from rar_tf import models
from rar_tf.attack import Ifia
from rar_tf.evaluation.evaluation_set import EvaluationSet


def logits_of(
    classifier: keras.Model, selection: EvaluationSet, outputs: str = "auto"
) -> tuple[keras.Model, str]:
    """The classifier's logits, checked against the data; see `models.adapt_to_dataset`.

    Raises:
      ValueError: it does not fit the data.
    """
    x, _ = selection.read(np.arange(min(8, len(selection))))
    return models.adapt_to_dataset(
        classifier,
        selection.image_shape,
        selection.num_classes or 1 + max(int(y.max()) for _, y in selection.batches()),
        name=selection.name,
        exact=selection.num_classes is not None,
        outputs=outputs,
        sample=tf.constant(x),
    )


def networks(classifier: keras.Model, ifia: Ifia) -> tuple[keras.Model, keras.Model]:
    """The networks that the attack's score and its selection see, on the same variables."""
    rewritable = isinstance(classifier, (keras.Function, keras.Sequential))
    precision = ifia.precision if rewritable else "float32"
    selected = ascended = models.for_double_backprop(classifier, precision)
    if ifia.second_derivatives == "softplus_twin":
        ascended = models.softplus_twin(selected, ifia.softplus_beta)
    if ifia.second_derivatives == "softplus_second_derivative":
        smooth = models.with_softplus_second_derivative(classifier, ifia.softplus_beta)
        ascended = models.for_double_backprop(smooth, precision)
    return models.with_affine_start(ascended), models.with_affine_start(selected)


def explained(classifier: keras.Model) -> keras.Model:
    """The network whose maps the metrics compare: the classifier, cheaper to differentiate."""
    return models.with_affine_start(models.for_double_backprop(classifier))
