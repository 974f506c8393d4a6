"""The operation at the end of a classifier: a softmax, a sigmoid or another one."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rar_tf.models.rewrite import is_graph, kind, replace_operations, with_attributes

SOFTMAX = (keras.activations.softmax, keras.ops.softmax, tf.nn.softmax)
SIGMOID = (keras.activations.sigmoid, keras.ops.sigmoid, tf.nn.sigmoid)
# Operations that change no value, and at most the shape.
_PASSING = ("identity", "flatten", "reshape", "squeeze", "expanddims", "cast", "dropout")


@dataclasses.dataclass(frozen=True)
class End:
    """The last operation of a model that changes values.

    Attributes:
      model: the model, a graph without nested graphs, or a custom one.
      operation: the operation; the model itself if it is a custom one.
      width: size of the last axis of its output; None if unknown.
    """

    model: keras.Model
    operation: Any
    width: int | None = None

    @property
    def is_custom(self) -> bool:
        """Whether what the operation computes is not known from its class."""
        return kind(self.operation) in (None, "lambda") or isinstance(self.operation, keras.Model)

    @property
    def is_linear(self) -> bool:
        """Whether it is a layer of Keras with weights and without activation."""
        activation = getattr(self.operation, "activation", None)
        return not self.is_custom and activation is keras.activations.linear


def end_of(model: keras.Model) -> End:
    """The end of a graph without nested graphs, or of a custom model."""
    if not is_graph(model):
        return End(model, model)
    tensor = model.outputs[0]
    while True:
        history = tensor._keras_history
        operation = history.operation
        node = operation._inbound_nodes[history.node_index]
        passes = kind(operation) in _PASSING or (
            kind(operation) == "activation" and operation.activation is keras.activations.linear
        )
        if not passes or len(node.input_tensors) != 1 or node.input_tensors[0].shape[-1] is None:
            return End(model, operation, tensor.shape[-1])
        tensor = node.input_tensors[0]


def ends_in(end: End, name: str, functions: tuple[Callable, ...]) -> bool:
    """Whether the end is the named operation, or a layer of Keras with one of the functions."""
    if functions is SOFTMAX and end.width is not None and end.width != end.model.output_shape[-1]:
        return False  # Several softmaxes side by side.
    return kind(end.operation) == name or bool(
        kind(end.operation) and _attributes(end.operation, functions)
    )


def without_end(end: End, functions: tuple[Callable, ...]) -> keras.Model:
    """The model without the softmax or sigmoid that `ends_in` has recognized."""
    operation = end.operation
    names = _attributes(operation, functions)
    if names:
        replacement = with_attributes(operation, **dict.fromkeys(names, keras.activations.linear))
    else:
        replacement = _identity(getattr(operation, "compute_dtype", None))
    return replace_operations(end.model, lambda value: replacement if value is operation else value)


def hidden_end(end: End, sample: tf.Tensor) -> End:
    """The end inside of a custom layer or model: its only softmax or sigmoid that gives the output.

    A layer among its attributes is the end where the output on `sample` is the softmax or sigmoid
    of the output without it; else the end is what it was.
    """
    if not end.is_custom or not isinstance(end.operation, keras.Layer):
        return end
    values = tf.cast(end.model(sample, training=False), tf.float32)
    for functions in (SOFTMAX, SIGMOID):
        for layer in _layers_with(end.operation, functions):
            candidate = End(end.model, layer)
            try:
                z = tf.cast(without_end(candidate, functions)(sample, training=False), tf.float32)
            except Exception:  # Custom code may raise anything.
                continue
            again = functions[2](z)
            if np.allclose(again, values, atol=1e-5) and not np.allclose(z, values, atol=1e-5):
                return candidate
    return end


def traced_end(end: End, sample: tf.Tensor | None) -> str | None:
    """Type of the last operation of TensorFlow, such as "Sigmoid", of a custom end; else None."""
    if not end.is_custom or sample is None:
        return None
    function = tf.function(lambda x: end.model(x, training=False), autograph=False)
    try:
        operation = function.get_concrete_function(sample).graph.outputs[0].op
    except Exception:  # Custom code may raise anything.
        return None
    while operation.type in ("Identity", "Cast", "Reshape", "Squeeze", "ExpandDims"):
        operation = operation.inputs[0].op
    return str(operation.type)


def _layers_with(layer: keras.Layer, functions: tuple[Callable, ...]) -> Iterator[keras.Layer]:
    """Layers inside of a custom one that are or have one of the functions, the last ones first."""
    name = "softmax" if functions is SOFTMAX else "sigmoid"
    for part in reversed(list(layer._flatten_layers(include_self=False))):
        if kind(part) == name or (kind(part) and _attributes(part, functions)):
            yield part


def _attributes(operation: Any, functions: tuple[Callable, ...]) -> list[str]:
    return [name for name, value in vars(operation).items() if any(value is f for f in functions)]


def _identity(dtype: str | None) -> Callable:
    """Identity in place of an operation of this dtype; it loads without this project."""

    def call(inputs: Any, **_: Any) -> Any:  # Keras calls a Softmax layer with a mask.
        is_same = dtype is None or keras.backend.standardize_dtype(inputs.dtype) == dtype
        return inputs if is_same else keras.ops.cast(inputs, dtype)

    return call
