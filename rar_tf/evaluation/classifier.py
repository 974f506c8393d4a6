"""Any Keras classifier, from a file or from memory, made ready for evaluation."""

import keras
import numpy as np
import tensorflow as tf

from rar_tf import models
from rar_tf.attack import Ifia
from rar_tf.evaluation.selection import Selection


def logits_of(
    classifier: keras.Model, selection: Selection, outputs: str = "auto"
) -> tuple[keras.Model, str]:
    """The classifier's logits, checked against the data; see `models.fitted`.

    Raises:
      ValueError: it does not fit the data.
    """
    x, _ = selection.read(np.arange(min(8, len(selection))))
    return models.fitted(
        classifier,
        selection.image_shape,
        selection.num_classes or 1 + max(int(y.max()) for _, y in selection.batches()),
        name=selection.name,
        exact=selection.num_classes is not None,
        outputs=outputs,
        sample=tf.constant(x),
    )


def ascended(classifier: keras.Model, ifia: Ifia) -> keras.Model:
    """The network that the attack's score sees, on the classifier's variables."""
    if ifia.second_derivatives == "softplus_twin":
        return models.softplus_twin(models.compute_twin(classifier), ifia.softplus_beta)
    if ifia.second_derivatives == "softplus_second_derivative":
        classifier = models.with_softplus_second_derivative(classifier, ifia.softplus_beta)
    return models.compute_twin(classifier)
