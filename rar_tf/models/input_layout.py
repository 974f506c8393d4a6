"""Shape and order of the axes of the images that a classifier takes."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras

from rar_tf.models.rewrite import functional_view, is_graph

Shape = tuple[int | None, ...]


class Layout(NamedTuple):
    """Images of a classifier.

    Attributes:
      image_shape: (H, W, C); None where any size is taken.
      channels_first: whether the classifier takes them as (C, H, W).
    """

    image_shape: Shape
    channels_first: bool


def input_layout(classifier: keras.Model, image_shape: Shape | None, name: str) -> Layout:
    """Layout of the images that a built classifier takes.

    Args:
      classifier: a built Keras model.
      image_shape: (H, W, C) of the images that it is to take; None if unknown.
      name: name of the images in errors.

    Raises:
      ValueError: several inputs, images of another shape, or layers that read the axes in another
        order than the input has them.
    """
    shape = input_shape(classifier)
    if shape is None:
        if image_shape is None:
            raise ValueError(
                "classifier must have been called on images, or the shape of the images must be "
                f"given. Received: {classifier.name!r} of unknown input shape"
            )
        return Layout(image_shape, False)
    if len(shape) != 3:
        raise _misfit(image_shape, name, shape)
    layers_first = _first_data_format(classifier) == "channels_first"
    if image_shape is None:
        # Without images the number of channels, 1, 3 or 4, tells the axes apart.
        is_last, is_first = (side in (1, 3, 4, None) for side in (shape[2], shape[0]))
    else:
        is_last = _fits(shape, image_shape)
        is_first = _fits(shape, (image_shape[2], *image_shape[:2]))
        if not is_last and not is_first:
            raise _misfit(image_shape, name, shape)
    channels_first = layers_first if is_last == is_first else is_first
    if layers_first and not channels_first:
        raise ValueError(
            "model must read images in one order of axes. Received: an input (H, W, C) = "
            f"{shape} before layers of data_format='channels_first', as a keras.json with "
            "image_data_format channels_first makes them; build it with "
            "data_format='channels_last'"
        )
    if image_shape is None:
        image_shape = (*shape[1:], shape[0]) if channels_first else shape
    return Layout(image_shape, channels_first)


def image_shape(classifier: keras.Model) -> tuple[int | None, int | None, int | None]:
    """(H, W, C) of the images that a classifier takes; None where it takes any or does not say.

    Raises:
      ValueError: an error of `input_layout`.
    """
    if input_shape(classifier) is None:
        return None, None, None
    height, width, channels = input_layout(classifier, None, "the data").image_shape
    return height, width, channels


def input_shape(classifier: keras.Model) -> Shape | None:
    """Shape of an image in the order of the classifier's axes; None if it is not known.

    Raises:
      ValueError: several inputs.
    """
    inputs = getattr(classifier, "inputs", None)
    if inputs:
        if len(inputs) > 1:
            raise ValueError(
                "model must have one input, the image. Received: "
                f"{len(inputs)}: {', '.join(t._keras_history.operation.name for t in inputs)}"
            )
        return tuple(inputs[0].shape[1:])
    built = list((getattr(classifier, "_build_shapes_dict", None) or {}).values())
    if len(built) == 1 and isinstance(built[0], (tuple, list)):
        return tuple(built[0][1:])
    return None


def _misfit(image_shape: Shape | None, name: str, shape: Shape) -> ValueError:
    images = "[B, H, W, C]" if image_shape is None else "x".join(map(str, image_shape))
    return ValueError(
        f"model must take images {images} as {name} has them. "
        f"Received: a model of input shape {(None, *shape)}"
    )


def _fits(shape: Shape, other: Shape) -> bool:
    return all(None in pair or pair[0] == pair[1] for pair in zip(shape, other, strict=True))


def _first_data_format(classifier: keras.Model) -> str | None:
    """Order of axes of the first layer that has one, before any permutation; None for none."""
    for operation in _operations(classifier):
        if isinstance(operation, keras.layers.Permute) or "transpose" == _class_name(operation):
            return None
        data_format = getattr(operation, "data_format", None)
        if data_format in ("channels_first", "channels_last"):
            return str(data_format)
    return None


def _operations(classifier: Any) -> Iterator[Any]:
    """Operations of a graph and its nested graphs in order; layers of a custom model."""
    if is_graph(classifier):
        for operation in functional_view(classifier).operations:
            if is_graph(operation):
                yield from _operations(operation)
            else:
                yield operation
    else:
        yield from classifier._flatten_layers(include_self=False)


def _class_name(operation: Any) -> str:
    return type(operation).__name__.lower()
