"""The adapter with checks: whether a classifier fits a data set, and can be trained."""

import keras
import tensorflow as tf

from rar_tf.models.adapt import Adapted, adapt
from rar_tf.models.convention import Convention


def to_train(classifier: keras.Model, convention: Convention | None = None) -> Adapted:
    """`adapt`, for training: the logits must be those of a layer, not logarithms of probabilities.

    Args:
      classifier: a built Keras classifier.
      convention: what its user says of it; None for nothing.

    Raises:
      ValueError: probabilities that no layer to remove computes, or an error of `adapt`.
    """
    adapted = adapt(classifier, convention)
    check_trainable(adapted, classifier.name)
    return adapted


def check_trainable(adapted: Adapted, name: str) -> None:
    """Raise ValueError for logarithms of probabilities, whose gradient may vanish.

    Args:
      adapted: an adapted classifier.
      name: name of the classifier in the error.
    """
    if adapted.conversions.outputs == "log_probability":
        raise ValueError(
            "a model to train must end in logits, a softmax layer or one sigmoid. Received: "
            f"{name}, which computes probabilities otherwise"
        )


def adapt_to_dataset(
    classifier: keras.Model,
    image_shape: tuple[int, int, int],
    num_classes: int,
    *,
    name: str,
    exact: bool = True,
    convention: Convention | None = None,
    sample: tf.Tensor | None = None,
) -> Adapted:
    """`adapt`, after checks that the classifier fits the data set.

    Args:
      classifier: a Keras classifier.
      image_shape: (H, W, C) of the data set's images, pixels in [0, 1].
      num_classes: number of classes of the data set.
      name: name of the data set in errors.
      exact: whether the classifier may not have more classes than `num_classes`.
      convention: what its user says of it; None for nothing.
      sample: images [B, H, W, C] to call it with; by default 8 of noise.

    Raises:
      ValueError: another number of classes, outputs that are not finite, or an error of `adapt`.
    """
    if sample is None:
        sample = tf.random.stateless_uniform((8, *image_shape), seed=(0, 0))
    adapted = adapt(classifier, convention, image_shape=image_shape, sample=sample, name=name)
    logits = adapted.model(sample, training=False)
    classes = logits.shape[-1]
    if classes != num_classes if exact else classes < num_classes:
        raise ValueError(
            f"model must have {'' if exact else 'at least '}{num_classes} classes, as {name} "
            f"has. Received: a model of {classes} classes"
        )
    if not bool(tf.reduce_all(tf.math.is_finite(logits))):
        raise ValueError(
            f"model must give finite logits of images of {name}. Received: NaN or infinity"
        )
    return adapted
