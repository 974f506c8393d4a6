"""Modes of the statistics of BatchNormalization: moving, frozen, or of the batch at hand."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from rar_tf.models.rewrite import replace_operations, with_attributes, with_call

BATCH_STATISTICS = ("moving", "frozen")
# Attributions use the moving statistics, so that these must belong to the weights at hand.
_MAX_MOMENTUM = 0.9


def batch_normalizations(model: keras.Model) -> list[keras.layers.BatchNormalization]:
    """Layers of BatchNormalization at any depth that are not frozen."""
    layers = model._flatten_layers()
    return [
        layer
        for layer in layers
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]


def with_batch_statistics(
    model: keras.Model, mode: str = "moving", *, synchronized: bool = False
) -> keras.Model:
    """The model with another mode of its BatchNormalization, on the same variables.

    A loss in training mode normalizes by the statistics of the batch, an attribution by the
    moving ones: the two are of one function only where the latter follow the weights.

    Args:
      model: a built model.
      mode: "moving": moving statistics with a momentum of at most 0.9; "frozen": the moving
        statistics are used and kept in training mode too; "batch": those of the batch, which
        replace the moving ones, in every mode.
      synchronized: whether the statistics of a batch are those of all replicas.

    Returns:
      A model for calling and differentiating, not for saving; the model itself if it has no such
      layer, or is not built.
    """
    layers = batch_normalizations(model) if model.built else []
    if not layers:
        return model

    def replace(value: Any) -> Any:
        if not isinstance(value, keras.layers.BatchNormalization) or not value.trainable:
            return value
        if mode == "frozen":
            return with_call(value, functools.partial(_in_mode, False))
        if mode == "batch":
            copy = with_attributes(value, momentum=0.0, renorm=False, synchronized=synchronized)
            return with_call(copy, functools.partial(_in_mode, True))
        momentum = min(value.momentum, _MAX_MOMENTUM)
        return with_attributes(
            value, momentum=momentum, synchronized=synchronized or value.synchronized
        )

    return replace_operations(model, replace)


def _in_mode(
    mode: bool,
    call: Callable,
    inputs: tf.Tensor,
    training: bool | None = None,
    mask: tf.Tensor | None = None,
) -> tf.Tensor:
    """Call in training mode or not, whatever mode is asked for."""
    return call(inputs, training=mode, mask=mask)
