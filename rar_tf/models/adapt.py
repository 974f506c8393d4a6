"""The adapter: any Keras classifier as a model from images in [0, 1] to logits."""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import keras
import tensorflow as tf
from absl import logging

from rar_tf.models.convention import Convention, Conversions
from rar_tf.models.input_layout import Layout, input_layout
from rar_tf.models.pixel_evidence import pixel_evidence
from rar_tf.models.pixels import (
    RANGES,
    PixelFn,
    PixelLayer,
    PixelRange,
    check_pixel_function,
    pixel_function,
)
from rar_tf.models.rewrite import inlined, is_graph
from rar_tf.models.to_logits import CONVERSIONS, to_logits
from rar_tf.naming import json_default

# Side of a sample image where the classifier takes any.
_ANY_SIDE = 96
_logged: set[tuple[str, str]] = set()


@dataclasses.dataclass(frozen=True)
class Adapted:
    """A classifier as a model from images to logits, on the classifier's variables.

    Attributes:
      model: images [B, H, W, C] float32 in [0, 1] -> logits [B, classes], classes >= 2; the
        classifier itself where nothing is to be converted.
      conversions: what the model does besides what the classifier does.
    """

    model: keras.Model
    conversions: Conversions


def adapt(
    classifier: keras.Model,
    convention: Convention | None = None,
    *,
    image_shape: tuple[int, int, int] | None = None,
    sample: tf.Tensor | None = None,
    name: str = "the data",
    log: bool = True,
) -> Adapted:
    """Any classifier as a model from images in [0, 1] to logits, on the same variables.

    Pixels are converted to the range that the classifier takes, axes to its order, one of several
    outputs is chosen, nested models are inlined, and `to_logits` gives the logits. Conversions are
    logged, once for each model. The result is for calling and differentiating; what is to be saved
    is the classifier.

    Args:
      classifier: a Keras classifier: Functional, Sequential or custom.
      convention: what its user says of it; None for nothing.
      image_shape: (H, W, C) of the images; None for the classifier's.
      sample: images [B, H, W, C] in [0, 1] to call it with; by default 8 of noise.
      name: name of the images in errors.
      log: whether to log the conversions.

    Raises:
      ValueError: images of another shape; a custom function of pixels that is not differentiable;
        several inputs; several outputs without a name; a model that fails on images; or an error of
        `to_logits`.
    """
    convention = convention or Convention()
    if sample is not None and image_shape is None:
        image_shape = tuple(sample.shape[1:])
    _build(classifier, image_shape)
    layout = input_layout(classifier, image_shape, name)
    if sample is None:
        shape = (8, *(side or _ANY_SIDE for side in layout.image_shape))
        sample = tf.random.stateless_uniform(shape, seed=(0, 0))
    pixels = _pixels(classifier, convention.pixels, layout, sample)
    model, notes = _with_images(classifier, pixels, layout)
    model, output_name = _with_one_output(model, convention.output_name)
    _check_call(model, sample)
    model, outputs = to_logits(model, convention.outputs, sample=sample)
    chosen = [] if output_name is None else [f"output {output_name} of several taken"]
    conversions = Conversions(
        pixels=pixels.name,
        pixels_by=pixels.by,
        outputs=outputs,
        output_name=output_name,
        data_format="channels_first" if layout.channels_first else "channels_last",
        descriptions=tuple(filter(None, [*notes, *chosen, CONVERSIONS[outputs]])),
    )
    if log:
        _log(classifier, conversions)
    return Adapted(model, conversions)


class _Pixels(NamedTuple):
    """Conversion of pixels: its name, who says it, the function and its description."""

    name: str
    by: str
    function: PixelFn | PixelRange
    description: str


def _build(classifier: keras.Model, image_shape: tuple[int, int, int] | None) -> None:
    """Call an unbuilt model on one image."""
    if classifier.built or image_shape is None:
        return
    _check_call(classifier, tf.zeros((1, *image_shape)))


def _check_call(model: keras.Model, sample: tf.Tensor) -> None:
    """Raise ValueError unless the model can be called on images."""
    try:
        model(sample, training=False)
    except Exception as error:  # Custom code may raise anything.
        reason = " ".join(str(error).split())
        raise ValueError(
            f"model must run on images {sample.shape}. Received: {model.name!r}, which fails: "
            f"{type(error).__name__}: {reason[:600]}"
        ) from error


def _pixels(
    classifier: keras.Model, pixels: str | PixelFn, layout: Layout, sample: tf.Tensor
) -> _Pixels:
    """The conversion of pixels that the user says, or the layers show, or none."""
    channels = layout.image_shape[2]
    by, reason = "user", ""
    chosen: str | PixelFn | PixelRange = pixels
    if pixels == "auto":
        shape = layout.image_shape
        if layout.channels_first:
            shape = (channels, *shape[:2])
        evidence = pixel_evidence(classifier, shape)
        if evidence is not None:
            by = "layers" if evidence.certain else "family"
            reason = f", {evidence.reason}"
            chosen = evidence.pixels
        if evidence is None or _needed_channels(chosen) not in (None, channels):
            by, reason, chosen = "default", "", "0..1"
    if isinstance(chosen, PixelRange):
        return _Pixels("preprocessor", by, chosen, chosen.description)
    function, description = pixel_function(chosen, channels or 0)
    name = chosen if isinstance(chosen, str) else str(json_default(chosen))
    if not isinstance(function, PixelRange):
        check_pixel_function(function, name, sample)
    return _Pixels(name, by, function, description and description + reason)


def _needed_channels(pixels: str | PixelFn | PixelRange) -> int | None:
    """Number of channels that a named range needs; None for any."""
    pixel_range = RANGES.get(pixels) if isinstance(pixels, str) else pixels
    return pixel_range.channels if isinstance(pixel_range, PixelRange) else None


def _with_images(
    classifier: keras.Model, pixels: _Pixels, layout: Layout
) -> tuple[keras.Model, list[str]]:
    """The classifier on images [B, H, W, C] in [0, 1], without nested graphs, and notes on it."""
    is_custom = not is_graph(classifier)
    given = None if is_custom else classifier.inputs[0]
    is_integer = given is not None and not tf.as_dtype(given.dtype).is_floating
    notes = [
        pixels.description,
        "channels moved to the first axis" if layout.channels_first else "",
        "integer pixels read as real numbers" if is_integer else "",
    ]
    nested = not is_custom and any(is_graph(layer) for layer in classifier.layers)
    is_fixed = given is not None and (given.shape[0] is not None or given.dtype != "float32")
    if not (is_custom or nested or is_fixed or any(notes)):
        return classifier, notes

    def prepare(image: keras.KerasTensor) -> keras.KerasTensor:
        if pixels.description:
            image = _pixel_layer(pixels.function)(image)
        if layout.channels_first:
            image = keras.layers.Permute((3, 1, 2), name="to_channels_first")(image)
        return image

    name = "image" if given is None else given._keras_history.operation.name
    image = keras.Input(layout.image_shape, name=name)
    if is_custom:
        return keras.Model(image, classifier(prepare(image)), name=classifier.name), notes
    return inlined(classifier, image, prepare), notes


def _pixel_layer(function: PixelFn | PixelRange) -> keras.layers.Layer:
    if isinstance(function, PixelRange):
        return PixelLayer(function, name="to_pixel_range", dtype="float32")
    return keras.layers.Lambda(function, name="to_pixel_range", dtype="float32")


def _with_one_output(model: keras.Model, output_name: str | None) -> tuple[keras.Model, str | None]:
    """The model with the named one of its outputs, and the name; (model, None) for the only one."""
    structure = getattr(model, "_outputs_struct", None)
    structure = structure if isinstance(structure, Mapping) else None
    tensors = list(model.outputs)
    names = [tensor._keras_history.operation.name for tensor in tensors]
    if structure is not None:
        names, tensors = list(structure), list(structure.values())
    if len(set(names)) < len(names):
        names = [str(number) for number in range(len(names))]
    by_name = {str(i): tensor for i, tensor in enumerate(tensors)} | dict(
        zip(names, tensors, strict=True)
    )
    if output_name is None and len(tensors) == 1:
        output_name = names[0]
    if output_name not in by_name:
        raise ValueError(
            f"output_name must be one of the model's outputs, {', '.join(names)}. "
            f"Received: output_name={output_name}"
        )
    if len(tensors) == 1 and structure is None:
        return model, None
    chosen = keras.Model(model.inputs[0], by_name[output_name], name=model.name)
    return chosen, output_name if len(tensors) > 1 else None


def _log(classifier: keras.Model, conversions: Conversions) -> None:
    """Log the conversions of a model the first time."""
    entry = (classifier.name, conversions.text)
    if conversions.text and entry not in _logged:
        _logged.add(entry)
        # Names of layers are no proof.
        log = logging.warning if conversions.pixels_by == "family" else logging.info
        log("model %s: %s", *entry)
