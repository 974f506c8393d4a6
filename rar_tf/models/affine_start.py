"""Networks in two parts, the first affine: points on a line share its computation."""

from typing import Any, NamedTuple

import keras

from rar_tf.models.pixels import PixelLayer
from rar_tf.models.rewrite import functional_view, kind, with_attributes


class AffineStart(NamedTuple):
    """A network in two parts on the same variables, `network(x) = upper(affine(x))`.

    `affine` maps a line to a line, `A(b + t (x - b)) = A b + t (A x - A b)`,
    and its derivative is the same at all of them: attributions along a line compute it and its
    transpose once an image instead of once a node.
    """

    affine: keras.Model
    upper: keras.Model


def with_affine_start(model: keras.Model) -> keras.Model:
    """The model with an attribute `affine_start`: an `AffineStart`, or None.

    It is None unless the first layer, after conversions of pixels, is a convolution or dense layer
    without activation, as the first layer of a `for_double_backprop` is.

    Args:
      model: a built classifier.

    Returns:
      The same function on the same variables.
    """
    parts = _parts(model) if isinstance(model, (keras.Function, keras.Sequential)) else None
    return with_attributes(model, affine_start=parts)


# Affine layers and operations that may come before.
_PIXEL_LAYERS = (
    PixelLayer,
    keras.layers.Normalization,
    keras.layers.Permute,
    keras.layers.Rescaling,
    keras.layers.ZeroPadding2D,
)
_PIXEL_OPERATIONS = ("add", "multiply", "subtract")


def _converts_pixels(node: Any) -> bool:
    """Whether the use of an operation is affine in its only tensor."""
    if len(node.input_tensors) != 1:
        return False
    if type(node.operation) in _PIXEL_LAYERS:
        return True
    name = kind(node.operation) or ""
    if "divide" in name:  # By the tensor it is not affine.
        return bool(node.arguments.args) and node.arguments.args[0] is node.input_tensors[0]
    return name in _PIXEL_OPERATIONS


def _parts(model: keras.Model) -> AffineStart | None:
    graph = functional_view(model)
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        return None
    nodes = [node for depth in graph._nodes_by_depth.values() for node in depth]
    image = graph.inputs[0]
    hidden = image
    while True:
        readers = [n for n in nodes if any(tensor is hidden for tensor in n.input_tensors)]
        if len(readers) != 1 or sum(n.operation is readers[0].operation for n in nodes) > 1:
            return None
        hidden = readers[0].outputs[0]
        if graph.outputs[0] is hidden:
            return None
        if _is_affine(readers[0].operation):
            break
        if not _converts_pixels(readers[0]):
            return None
    return AffineStart(keras.Model(image, hidden), keras.Model(hidden, graph.outputs[0]))


def _is_affine(operation: keras.Operation) -> bool:
    return (
        type(operation) in (keras.layers.Conv2D, keras.layers.Dense)
        and operation.activation is keras.activations.linear
    )
