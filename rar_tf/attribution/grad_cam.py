"""Grad-CAM: the class activation map of a hidden layer  [Selvaraju et al. 2017]."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from rar_tf.checks import float_images, integer_labels, valid_labels
from rar_tf.models import without_nested

# Layers that change the size or nothing: not the last one that computes features.
_NOT_LAST = (
    keras.layers.MaxPooling2D,
    keras.layers.AveragePooling2D,
    keras.layers.GlobalMaxPooling2D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
    keras.layers.Reshape,
    keras.layers.Permute,
)


def grad_cam(
    classifier: keras.Model, x: tf.Tensor, y: tf.Tensor, layer: str | None = None
) -> tf.Tensor:
    """Grad-CAM of the logit f_y: which places of a layer's activations A speak for the class.

    map = relu(sum_c alpha_c A_c),  alpha_c = mean_ij df_y / dA_ijc
                                                        [Selvaraju et al. 2017, eq. 1, 2]

    scaled to the image's size by bilinear interpolation. It is the same for a network that
    `models.for_double_backprop` has rearranged.

    Args:
      classifier: Functional or built Sequential, images -> logits.
      x: [B, H, W, C] float32, pixels in [0, 1].
      y: [B] int, classes.
      layer: name of a layer with an output [B, h, w, c]; None for the last of them that is no
        pooling, dropout or reshaping.

    Returns:
      [B, H, W], >= 0, in logits; differentiable by x.

    Raises:
      ValueError: another kind of model, or no such layer.
    """
    x = float_images(x, rank=4)
    y = integer_labels(y, x.shape[0])
    classifier = without_nested(classifier)
    hidden = _hidden(classifier, layer)
    network = keras.Model(classifier.inputs[0], [*hidden.tensors, classifier.outputs[0]])
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        *tensors, logits = network(x, training=False)
        value = tf.gather(logits, valid_labels(logits, y), axis=1, batch_dims=1)
    gradient = tape.gradient(value, tensors[-1], unconnected_gradients="zero")
    activations = tf.cast(hidden.activation(tensors[0]), x.dtype)
    size = tf.shape(activations)[1:3]
    # Pooling keeps the sum of a gradient: alpha is that sum by the places of the activations.
    places = tf.reduce_prod(tf.cast(size, x.dtype))
    alpha = tf.reduce_sum(tf.cast(gradient, x.dtype), [1, 2]) / places
    weighted = tf.nn.relu(tf.einsum("bhwc,bc->bhw", activations, alpha))
    return upsample(weighted, tf.shape(x)[1:3])


def upsample(maps: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Maps [B, h, w] scaled to [B, H, W] by bilinear interpolation, as `tf.image.resize`.

    The interpolation is a product with two matrices, so that it has every derivative.

    Args:
      maps: [B, h, w].
      size: int [2], (H, W).
    """
    shape = tf.shape(maps)
    rows, columns = (_interpolation(shape[1 + i], size[i], maps.dtype) for i in range(2))
    return tf.einsum("Hh,bhw,Ww->bHW", rows, maps, columns)


def _interpolation(before: tf.Tensor, after: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    """Matrix [after, before] of linear interpolation between the centers of pixels."""
    scale = tf.cast(before, dtype) / tf.cast(after, dtype)
    centers = (tf.range(after, dtype=dtype) + 0.5) * scale - 0.5
    centers = tf.clip_by_value(centers, 0.0, tf.cast(before, dtype) - 1)
    places = tf.range(before, dtype=dtype)
    return tf.nn.relu(1 - tf.abs(centers[:, tf.newaxis] - places))


class _Hidden(NamedTuple):
    """Activations of a layer in a graph.

    Attributes:
      tensors: the activations; or, where the layer's activation comes after a pooling, the input
        and the output of that pooling.
      activation: first of the tensors -> activations.
    """

    tensors: tuple[keras.KerasTensor, ...]
    activation: Callable[[tf.Tensor], tf.Tensor]


def _hidden(classifier: keras.Model, layer: str | None) -> _Hidden:
    """Activations of the named layer, or of the default one."""
    if not getattr(classifier, "inputs", None):
        raise ValueError(
            "classifier must be a Functional or built Sequential model for grad_cam, whose layers "
            f"have outputs of their own. Received: {type(classifier).__name__}"
        )
    if any(getattr(part, "data_format", None) == "channels_first" for part in classifier.layers):
        raise ValueError(
            "classifier must have its channels last for grad_cam. Received: "
            f"{classifier.name!r} with layers of data_format='channels_first'"
        )
    choices, default = _choices(classifier)
    if layer is None:
        if default is None:
            raise ValueError(
                "classifier must have a layer with an output [B, h, w, c] before pooling for "
                f"grad_cam. Received: {classifier.name!r} with {', '.join(choices) or 'none'}"
            )
        layer = default
    if layer not in choices:
        raise ValueError(
            f"layer must be one with an output [B, h, w, c]: {', '.join(choices) or 'none'}. "
            f"Received: layer={layer!r}"
        )
    return choices[layer]


def _choices(classifier: keras.Model) -> tuple[dict[str, _Hidden], str | None]:
    """Layers with an output [B, h, w, c] by name, in the graph's order, and the default one."""
    graph = keras.Model(classifier.inputs, classifier.outputs)
    depths = sorted(graph._nodes_by_depth, reverse=True)
    choices: dict[str, _Hidden] = {}
    default = None
    for node in (node for depth in depths for node in graph._nodes_by_depth[depth]):
        operation = node.operation
        output = node.outputs[0]
        if isinstance(operation, keras.layers.InputLayer) or len(output.shape) != 4:
            continue
        moved = getattr(operation, "activation_of", None)
        if moved:
            # The layer of that name is linear here, and its activation comes after the pooling.
            choices.pop(node.input_tensors[0]._keras_history.operation.name, None)
            tensors = (node.input_tensors[0], output)
            choices[moved] = _Hidden(tensors, operation.activation)
            default = moved
        elif moved is None and not isinstance(operation, _NOT_LAST):
            default = operation.name
        choices[operation.name] = _Hidden((output,), tf.identity)
    return choices, default
