"""What layers of code outside of Keras compute, as far as it can be tried."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from rar_tf.models.rewrite import is_graph


def is_code_unknown(operation: Any) -> bool:
    """Whether this is a layer whose code is neither of Keras nor of this package."""
    if not isinstance(operation, keras.Layer) or is_graph(operation):
        return False
    package = type(operation).__module__.split(".")[0]
    return package not in ("keras", "rar_tf") or type(operation) is keras.layers.Lambda


def is_bilinear_resizing(layer: keras.Layer) -> bool:
    """Whether the layer resizes bilinearly, with other affine operations or none.

    A layer that resizes bilinearly and is not affine is named in a warning.

    Args:
      layer: a layer without variables; its input's shape is that of its use in a graph.
    """
    nodes = layer._inbound_nodes
    if not nodes or len(nodes[-1].input_tensors) != 1 or layer.variables:
        return False
    shape = (2, *nodes[-1].input_tensors[0].shape[1:])
    if None in shape:
        return False
    with tf.init_scope():
        try:
            call = _with_transposed(layer, shape)
            if "ResizeBilinear" not in {op.type for op in call.graph.get_operations()}:
                return False
            is_affine = _is_affine(call, shape)
        except Exception:  # Custom code may raise anything.
            return False
    if not is_affine:
        logging.warning(
            "layer %s resizes bilinearly beside other operations: TensorFlow leaves out a part of "
            "its second derivative, and attacks on maps are weaker; keras.layers.Resizing has it",
            layer.name,
        )
    return is_affine


def _with_transposed(layer: keras.Layer, shape: tuple[int, ...]) -> Any:
    """Concrete function x -> (value f(x), upstream u, J^T u) for a random u."""

    def call(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        value = layer.call(x)
        upstream = tf.random.stateless_uniform(value.shape, (0, 0), -1.0, 1.0, value.dtype)
        # Not by a tape, which does not record in an init_scope.
        transposed = tf.gradients(value, x, upstream, unconnected_gradients="zero")[0]
        return value, upstream, transposed

    signature = tf.TensorSpec(shape, tf.float32)
    return tf.function(call, autograph=False).get_concrete_function(signature)


def _is_affine(call: Any, shape: tuple[int, ...]) -> bool:
    """Whether values and gradients at random points are those of an affine function."""
    random = np.random.default_rng(0)
    a, b = (tf.constant(random.uniform(-1, 1, shape), tf.float32) for _ in range(2))
    at_a, upstream, transposed = call(a)
    along_b = call(b)[0] - call(tf.zeros_like(b))[0]
    difference = tf.norm(call(a + b)[0] - at_a - along_b)
    products = tf.reduce_sum(upstream * along_b), tf.reduce_sum(transposed * b)
    scale = tf.norm(upstream) * tf.norm(along_b)
    return bool(difference <= 1e-4 * tf.norm(along_b)) and bool(
        tf.abs(products[0] - products[1]) <= 1e-4 * scale
    )
