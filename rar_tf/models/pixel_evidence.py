"""Pixel range that a classifier's own layers show: what its first operations do, and its family."""

from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from rar_tf.models.pixels import PixelRange
from rar_tf.models.rewrite import functional_view, inlined, is_graph

# A first scale below this one, such as 1 / 255, is for pixels in [0, 255].
_MIN_SCALE = 1 / 20
# A pixel value above this one, such as a mean of 128, is of pixels in [0, 255].
_MAX_UNIT = 1.5
# Layers of the networks of `keras.applications` that take one range: (names, range).
_FAMILIES = (
    (("Conv1", "expanded_conv_depthwise", "block_1_expand"), "-1..1"),  # MobileNetV2
    (("conv_pw_1", "conv_dw_13"), "-1..1"),  # MobileNet
    (("expanded_conv_project", "conv_bn"), "-1..1"),  # MobileNetV3 without preprocessing
    (("block1_conv1", "block14_sepconv2"), "-1..1"),  # Xception
    (("mixed0", "mixed10"), "-1..1"),  # InceptionV3
    (("mixed_5b", "mixed_7a"), "-1..1"),  # InceptionResNetV2
    (("conv2_block1_preact_bn", "post_bn"), "-1..1"),  # ResNetV2
    (("stem_conv1", "normal_concat_0"), "-1..1"),  # NASNet
    (("block1_conv1", "block5_conv3"), "caffe"),  # VGG
    (("conv1_conv", "conv2_block1_out", "conv5_block3_out"), "caffe"),  # ResNet
    (("conv2_block1_concat", "conv5_block16_concat"), "torch"),  # DenseNet
)


class Evidence(NamedTuple):
    """A pixel range and what shows it.

    Attributes:
      pixels: the range, by name or as conversion.
      reason: what shows it, in words.
      certain: whether it follows from what the model computes, not from names of layers.
    """

    pixels: str | PixelRange
    reason: str
    certain: bool


def pixel_evidence(classifier: keras.Model, image_shape: tuple[int | None, ...]) -> Evidence | None:
    """Pixel range that the classifier's layers show; None where they show none.

    The operations before the first weights are computed on uniform images: the pixel value that
    they map to 0, and their gain, tell the ranges apart, whatever the operations are
    (`Rescaling`, `Normalization`, `preprocess_input`, a `Lambda`, a custom layer).

    Args:
      classifier: a built Keras model.
      image_shape: (H, W, C) or (C, H, W) that it takes; unknown sizes are None.
    """
    converter = _preprocessor(classifier)
    if converter is not None:
        return Evidence(converter, "as its preprocessor makes them", True)
    for model in _graphs(classifier):
        shape = image_shape if model is classifier else model.input_shape[1:]
        pixels = _range_of_first_operations(model, shape)
        if pixels is not None:
            return Evidence(pixels, "as its first layers take them", True)
    for layer in _layers(classifier) if not is_graph(classifier) else ():
        if isinstance(layer, (keras.layers.Rescaling, keras.layers.Normalization)):
            pixels = _range_of(layer, (1, 1, _num_channels(layer)))
            if pixels is not None:
                # Code of a custom call decides where the layer is used.
                return Evidence(pixels, f"as its layer {layer.name} takes them", False)
    names = {layer.name for layer in _layers(classifier)}
    for family, pixels in _FAMILIES:
        if names.issuperset(family):
            return Evidence(pixels, "as the network of Keras with these layers takes them", False)
    return None


def _preprocessor(classifier: keras.Model) -> PixelRange | None:
    """Conversion by the preprocessor of a classifier of keras_hub, which `call` leaves out."""
    converter = getattr(getattr(classifier, "preprocessor", None), "image_converter", None)
    if converter is None:
        return None
    scale, offset = (getattr(converter, name, None) for name in ("scale", "offset"))
    factors = np.array(1.0 if scale is None else scale, float).ravel()
    summands = np.array(0.0 if offset is None else offset, float).ravel()
    factors, summands = np.broadcast_arrays(255 * factors, summands)
    if factors.size == 1:
        values = float(factors[0]), float(summands[0])
        return PixelRange("pixels converted as by the model's preprocessor", *values)
    columns = tuple(map(float, factors)), tuple(map(float, summands))
    return PixelRange("pixels converted as by the model's preprocessor", *columns)


def _graphs(classifier: keras.Model) -> Iterator[keras.Model]:
    """The classifier if it is a graph, else the graphs among its layers that take images."""
    if is_graph(classifier):
        yield classifier
        return
    for layer in _layers(classifier):
        shape = getattr(layer, "input_shape", None) if is_graph(layer) else None
        if isinstance(shape, tuple) and len(shape) == 4:
            yield layer


def _layers(classifier: keras.Model) -> Iterator[keras.Layer]:
    yield from classifier._flatten_layers(include_self=False)


def _range_of_first_operations(model: keras.Model, shape: tuple[int | None, ...]) -> str | None:
    """Range that the operations before the first weights show."""
    graph = functional_view(model)
    if len(graph.inputs) != 1 or len(shape) != 3:
        return None
    image = keras.Input(shape, dtype="float32")
    flat = inlined(model, image)
    depths = sorted(flat._nodes_by_depth, reverse=True)
    nodes = [node for depth in depths for node in flat._nodes_by_depth[depth]]
    for node in nodes:
        if _has_weights(node.operation) and len(node.input_tensors) == 1:
            tensor = node.input_tensors[0]
            if isinstance(node.operation, keras.layers.BatchNormalization):
                tensor = node.outputs[0]  # Its moving statistics are those of the pixels.
            if tensor is image:
                return None
            return _range_of(keras.Model(image, tensor), shape)
    return None


def _has_weights(operation: keras.Operation) -> bool:
    weights = getattr(operation, "weights", None)
    return bool(weights) and not isinstance(operation, keras.layers.Normalization)


def _num_channels(layer: keras.Layer) -> int:
    values = (getattr(layer, name, 0.0) for name in ("scale", "offset", "mean"))
    return max(int(np.size(value)) for value in values)


def _range_of(function: keras.Layer, shape: tuple[int | None, ...]) -> str | None:
    """Range that a function of images shows; None if it is not affine, or the identity."""
    size = tuple(side or 32 for side in shape)

    def at(pixel: float) -> np.ndarray:
        return np.asarray(function(tf.fill((1, *size), pixel), training=False), np.float64)

    try:
        zero, half, one = at(0.0), at(0.5), at(1.0)
    except Exception:  # Custom code may raise anything.
        return None
    gain = one - zero
    used = np.isfinite(gain) & (np.abs(gain) > 1e-6)  # Not the zeros of a padding.
    if not used.any() or not np.allclose(2 * half[used], (zero + one)[used], rtol=1e-3, atol=1e-3):
        return None
    centers = -zero[used] / gain[used]
    return _range_by(float(np.median(np.abs(gain[used]))), float(np.median(centers)))


def _range_by(gain: float, center: float) -> str | None:
    """Range of pixels p where `gain * (p - center)` reaches the first weights."""
    centered = abs(center) > 1e-3
    if center > _MAX_UNIT or (not centered and gain < _MIN_SCALE):
        return "0..255"
    if -_MAX_UNIT < center < -1e-3:
        return "-1..1"
    if (centered and center > 0 and gain >= 1) or (not centered and gain > 50):
        return "0..1"
    return None
