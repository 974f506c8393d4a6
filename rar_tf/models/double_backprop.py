"""Classifier copies arranged so that second derivatives cost less (double backpropagation)."""

import collections
from collections.abc import Callable, Collection
from typing import Any

import keras
import tensorflow as tf

from rar_tf.models.custom_layers import is_code_unknown
from rar_tf.models.rewrite import functional_view, with_attributes
from rar_tf.models.second_derivatives import twice_differentiable

PRECISIONS = ("float32", "mixed_bfloat16")
# Layers whose activation may be applied after the pooling.
_WITH_ACTIVATION = (
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)


def for_double_backprop(
    model: keras.Model, precision: str = "float32", *, keep: Collection[str] = ()
) -> keras.Model:
    """The same function on the same variables, cheaper to differentiate twice  [DL92].

    A monotone activation commutes with max pooling, `max_i relu(h_i) = relu(max_i h_i)`: after
    the pooling it has a quarter of the values. The second derivative of the pooling is computed
    by two fast operations in place of TensorFlow's `MaxPoolGradGrad`. Layers whose second
    derivative TensorFlow lacks get one, see `second_derivatives.twice_differentiable`. Values and
    first derivatives are those of the model; so are second derivatives where they are continuous.
    Where several inputs of a window are equal, derivatives may go to another one of them.

    ReLUs can be smoothed afterwards by `softplus_twin`, as softplus is monotone too.
    `with_softplus_second_derivative` after this function has the curvature of the largest input
    of each window, as softplus has; before this function, as in [FAR], it has that of the first
    input of a window that ReLU made zero.

    Args:
      model: a built classifier; neither Functional nor Sequential, it is returned with second
        derivatives of the layers among its attributes, or, unbuilt, unchanged.
      precision: "float32", or "mixed_bfloat16": every layer of Keras but the last computes in
        bfloat16, which halves the memory and, on processors with bfloat16 units, most of the
        time. Custom layers and `Lambda` keep their precision: some operations have no gradient
        in bfloat16.
      keep: names of layers whose outputs must be those of the model.

    Returns:
      A model for calling and differentiating, not for saving. A layer whose activation moved
      to the pooling behind it has another name, and the pooling names it in `activation_of`.

    Raises:
      ValueError: an unknown precision, or "mixed_bfloat16" of a model that cannot be rewritten.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"precision must be one of {', '.join(PRECISIONS)}. Received: precision={precision!r}"
        )
    if not isinstance(model, (keras.Function, keras.Sequential)):
        if precision != "float32":
            raise ValueError(
                f"precision={precision} needs a Functional or Sequential model; others take "
                f"precision=float32. Received: {type(model).__name__}"
            )
        return twice_differentiable(model) if model.built else model
    graph = functional_view(twice_differentiable(model))
    layers_by_pooling = _layers_before_pooling(graph, keep)
    last = graph.outputs[0]._keras_history.operation

    def clone(operation: keras.Operation) -> keras.Operation:
        attributes: dict[str, Any] = {}
        if precision != "float32" and operation is not last and not is_code_unknown(operation):
            attributes["_dtype_policy"] = keras.DTypePolicy(precision)
        if operation in layers_by_pooling.values():
            attributes |= {
                "activation": keras.activations.linear,
                "name": f"{operation.name}_before_activation",
            }
        if _is_halving(operation):
            source = layers_by_pooling.get(operation)
            return MaxPoolThenActivate(
                keras.activations.linear if source is None else source.activation,
                activation_of="" if source is None else source.name,
                name=operation.name,
                dtype=attributes.get("_dtype_policy", operation.dtype_policy),
            )
        if not isinstance(operation, keras.Layer):
            return operation
        # A copy even without changes: a layer in two graphs has two outputs.
        return with_attributes(operation, **attributes)

    return keras.models.clone_model(graph, clone_function=clone)


class MaxPoolThenActivate(keras.layers.Layer):
    """`activation(max_pool(h))` by windows of 2 x 2, of even sides, channels last."""

    def __init__(self, activation: Callable, *, activation_of: str = "", **options: Any) -> None:
        """
        Args:
          activation: activation of the pooled values.
          activation_of: name of the layer that had this activation before it moved here; empty
            where none has moved.
          **options: keyword arguments of `keras.layers.Layer`.
        """
        super().__init__(**options)
        self.activation = activation
        self.activation_of = activation_of

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Pooled activations: [B, H, W, C] -> [B, H / 2, W / 2, C]."""
        return self.activation(_max_pool(inputs))

    def compute_output_shape(self, input_shape: tuple) -> tuple:
        """Shape of the pooled activations."""
        batch, height, width, channels = input_shape
        return (batch, height // 2, width // 2, channels)


_WINDOW: dict[str, Any] = {"ksize": [1, 2, 2, 1], "strides": [1, 2, 2, 1], "padding": "VALID"}


def _max_pool(h: tf.Tensor) -> tf.Tensor:
    """Max pooling by 2 of even sides, twice differentiable."""

    @tf.custom_gradient
    def pool(h: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        pooled = tf.nn.max_pool2d(h, 2, 2, "VALID")

        @tf.custom_gradient
        def unpool(upstream: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            def second_derivative(upper: tf.Tensor) -> tf.Tensor:
                ones = tf.ones_like(pooled)
                winners = tf.raw_ops.MaxPoolGrad(
                    orig_input=h, orig_output=pooled, grad=ones, **_WINDOW
                )
                # One value of each window is not zero: four times the mean is that value.
                return 4 * tf.nn.avg_pool2d(upper * winners, 2, 2, "VALID")

            grad = tf.raw_ops.MaxPoolGrad(
                orig_input=h, orig_output=pooled, grad=upstream, **_WINDOW
            )
            return grad, second_derivative

        return pooled, unpool

    return pool(h)


def _is_halving(operation: keras.Operation) -> bool:
    """Whether this is max pooling by 2 of even sides, channels last, at each of its uses."""
    if type(operation) is not keras.layers.MaxPooling2D or operation.activity_regularizer:
        return False
    sides = [side for node in operation._inbound_nodes for side in node.input_tensors[0].shape[1:3]]
    return (
        tuple(operation.pool_size) == tuple(operation.strides) == (2, 2)
        and operation.data_format == "channels_last"
        and not any(side is None or side % 2 for side in sides)
    )


def _layers_before_pooling(
    graph: keras.Model, keep: Collection[str]
) -> dict[keras.Operation, keras.Operation]:
    """Layers whose ReLU may be applied after a pooling: {pooling: layer}."""
    # Nodes of this graph only: a layer also knows its nodes in other graphs.
    nodes = [node for depth in graph._nodes_by_depth.values() for node in depth]
    uses = collections.Counter(node.operation for node in nodes)
    consumers = collections.Counter(
        parent.operation for node in nodes for parent in node.parent_nodes
    )
    outputs = {tensor._keras_history.operation for tensor in graph.outputs}
    layers = {}
    for node in nodes:
        pooling = node.operation
        if not _is_halving(pooling) or uses[pooling] != 1:
            continue
        layer = node.parent_nodes[0].operation
        monotone = getattr(layer, "activation", None) is keras.activations.relu
        single_use = consumers[layer] == uses[layer] == 1 and layer not in outputs
        # An activity regularizer is of the layer's own output.
        movable = type(layer) in _WITH_ACTIVATION and layer.activity_regularizer is None
        if monotone and single_use and layer.name not in keep and movable:
            layers[pooling] = layer
    return layers
