"""Networks whose layers take derivatives from another point, to find causes of a change."""

from collections.abc import Callable, Collection
from typing import Any

import keras
import tensorflow as tf

from rar_tf.models.rewrite import functional_view, kind, replace_operations, with_attributes

# Layers without weights whose derivative depends on the point.
_NONLINEAR = ("relu", "leakyrelu", "elu", "softmax", "activation")
_POOLING = ("maxpooling", "globalmaxpooling")


def nonlinear_layers(model: keras.Model) -> list[str]:
    """Names of the layers whose derivative depends on the point, in the order of the graph.

    Such layers are max pooling, activation layers, and layers with an activation.

    Raises:
      ValueError: a model that is neither Functional nor Sequential, or that holds a model.
    """
    if not isinstance(model, (keras.Function, keras.Sequential)):
        raise ValueError(
            f"model must be Functional or Sequential. Received: {type(model).__name__}"
        )
    operations = functional_view(model).operations
    nested = [op.name for op in operations if isinstance(op, keras.Model)]
    if nested:
        raise ValueError(f"model must not hold models. Received: one with {', '.join(nested)}")
    return [operation.name for operation in operations if _is_nonlinear(operation)]


def with_derivatives_of_second_half(model: keras.Model, layers: Collection[str]) -> keras.Model:
    """The model on two stacked halves of points; the first uses derivatives of the second.

    Values [2B, classes] are those of the model. In the backward pass the named layers have for
    both halves the Jacobians of the second half; the Jacobians of other layers are unchanged.
    With all of `nonlinear_layers(model)` the input gradient of point i is that of point B + i;
    with one of them it shows the contribution of that layer (for a ReLU: of its gates).

    Args:
      model: a built Functional or Sequential model.
      layers: names of `nonlinear_layers(model)`.

    Returns:
      A model on the same variables, for input gradients only, not for training or saving.

    Raises:
      ValueError: an unknown layer, or a model that `nonlinear_layers` refuses.
    """
    valid_names = nonlinear_layers(model)
    for name in layers:
        if name not in valid_names:
            raise ValueError(f"layers must be of {', '.join(valid_names)}. Received: {name}")

    def replace(value: Any) -> Any:
        if getattr(value, "name", None) not in layers or not isinstance(value, keras.Operation):
            return value
        if _has_activation(value):
            return with_attributes(value, activation=_second_half_derivative(value.activation))
        return keras.layers.Lambda(_second_half_derivative(value), name=value.name)

    return replace_operations(model, replace)


def _second_half_derivative(function: Callable[[tf.Tensor], tf.Tensor]) -> Callable:
    @tf.custom_gradient
    def call(h: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def grad(upstream: tf.Tensor) -> tf.Tensor:
            second = h[tf.shape(h)[0] // 2 :]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                points = tf.concat([second, second], 0)
                tape.watch(points)
                value = function(points)
            return tape.gradient(value, points, upstream)

        return function(h), grad

    return call


def _has_activation(operation: keras.Operation) -> bool:
    activation = getattr(operation, "activation", keras.activations.linear)
    return activation is not keras.activations.linear and kind(operation) != "activation"


def _is_nonlinear(operation: keras.Operation) -> bool:
    name = kind(operation) or ""
    if name == "activation":
        return operation.activation is not keras.activations.linear
    return name in _NONLINEAR or name.startswith(_POOLING) or _has_activation(operation)
