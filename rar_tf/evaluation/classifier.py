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
    """The classifier's logits, checked against the data; see `models.to_logits`.

    Raises:
      ValueError: its input shape or its number of classes does not fit the data.
    """
    shape = getattr(classifier, "input_shape", None)
    expected = selection.image_shape
    fits = shape is None or (
        isinstance(shape, tuple)
        and len(shape) == 4
        and all(size in (None, want) for size, want in zip(shape[1:], expected, strict=True))
    )
    if not fits:
        raise ValueError(
            f"model must take images {_text(expected)} as {selection.name} has them. "
            f"Received: a model of input shape {shape}"
        )
    x, _ = selection.read(np.arange(min(8, len(selection))))
    sample = tf.constant(x)
    classifier(sample, training=False)
    logits_model, how = models.to_logits(classifier, outputs, sample=sample)
    classes = logits_model(sample, training=False).shape[-1]
    wanted = selection.num_classes or 1 + max(int(y.max()) for _, y in selection.batches())
    exact = selection.num_classes is not None
    if classes != wanted if exact else classes < wanted:
        raise ValueError(
            f"model must have {'' if exact else 'at least '}{wanted} classes, as {selection.name} "
            f"has. Received: a model of {classes} classes"
        )
    return logits_model, how


def ascended(classifier: keras.Model, ifia: Ifia) -> keras.Model:
    """The network that the attack's score sees, on the classifier's variables."""
    if ifia.second_derivatives == "softplus_twin":
        return models.softplus_twin(classifier, ifia.softplus_beta)
    if ifia.second_derivatives == "softplus_second_derivative":
        return models.with_softplus_second_derivative(classifier, ifia.softplus_beta)
    return classifier


def _text(shape):
    return "x".join(map(str, shape))
