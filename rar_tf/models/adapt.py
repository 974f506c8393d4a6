"""Adapting a classifier to a data set: checks of shapes, classes and pixel range."""

import keras
import numpy as np
import tensorflow as tf

from rar_tf.models.to_logits import to_logits

# A Rescaling layer of a smaller scale, such as 1 / 255, is for pixels in [0, 255].
_MIN_SCALE = 1 / 50


def adapt_to_dataset(
    classifier: keras.Model,
    image_shape: tuple[int, int, int],
    num_classes: int,
    *,
    name: str,
    exact: bool = True,
    outputs: str = "auto",
    sample: tf.Tensor | None = None,
) -> tuple[keras.Model, str]:
    """The classifier's logits after checking that it fits the data set; see `to_logits`.

    Args:
      classifier: a Keras classifier.
      image_shape: (H, W, C) of the data set's images, pixels in [0, 1].
      num_classes: number of classes of the data set.
      name: name of the data set in errors.
      exact: whether the classifier may not have more classes than `num_classes`.
      outputs: kind of the classifier's outputs, one of `OUTPUTS`.
      sample: images [B, H, W, C] to call it with; by default 8 of noise.

    Returns:
      (classifier, conversion), see `to_logits`.

    Raises:
      ValueError: another shape or range of images, another number of classes, outputs that
        are not finite, or an error of `to_logits`.
    """
    _check_input(classifier, image_shape, name)
    if sample is None:
        sample = tf.random.stateless_uniform((8, *image_shape), seed=(0, 0))
    classifier(sample, training=False)
    logits_model, conversion = to_logits(classifier, outputs, sample=sample)
    logits = logits_model(sample, training=False)
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
    return logits_model, conversion


def _check_input(classifier: keras.Model, image_shape: tuple[int, int, int], name: str) -> None:
    shape = getattr(classifier, "input_shape", None)
    fits = shape is None or (
        isinstance(shape, tuple)
        and len(shape) == 4
        and all(size in (None, side) for size, side in zip(shape[1:], image_shape, strict=True))
    )
    if not fits:
        raise ValueError(
            f"model must take images {'x'.join(map(str, image_shape))} as {name} has them. "
            f"Received: a model of input shape {shape}"
        )
    scale = _first_scale(classifier)
    if scale is not None and scale < _MIN_SCALE:
        raise ValueError(
            "model must take pixels in [0, 1]. Received: a model that begins with Rescaling("
            f"{scale:.4g}), for pixels in [0, 255]; put keras.layers.Rescaling(255.0) before it"
        )


def _first_scale(model: keras.Model) -> float | None:
    """Scale of the first Rescaling layer, at any depth; None where there is none."""
    for layer in getattr(model, "layers", ()):
        if isinstance(layer, keras.layers.Rescaling):
            return float(np.max(np.abs(layer.scale)))
        inner = _first_scale(layer)
        if inner is not None:
            return inner
    return None
