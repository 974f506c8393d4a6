"""Integrated gradients at a hidden layer [RAR Lemma 1, eq. 2]."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from rar_tf.attribution.gradients import input_gradient
from rar_tf.attribution.outputs import OutputFn, label_loss
from rar_tf.attribution.quadrature import nodes_and_weights
from rar_tf.checks import float_images, integer_labels
from rar_tf.models import without_nested


def split_at(classifier: keras.Model, layer: str) -> tuple[keras.Model, Callable]:
    """Split a model into (images -> activations of `layer`, activations -> logits).

    Both parts are on the classifier's variables.

    Args:
      classifier: a Functional or built Sequential model.
      layer: name of one of its layers, or of a layer of a nested model.

    Raises:
      ValueError: another kind of model, no such layer, or logits that do not depend on the
        image through this layer alone.
    """
    if not getattr(classifier, "inputs", None):
        raise ValueError(
            "classifier must be a Functional or built Sequential model. "
            f"Received: {type(classifier).__name__}"
        )
    classifier = without_nested(classifier)
    names = [part.name for part in classifier.layers]
    if layer not in names:
        raise ValueError(f"layer must be one of {', '.join(names)}. Received: layer={layer!r}")
    hidden = _output_of(classifier, layer)
    if hidden is classifier.outputs[0]:
        return classifier, keras.layers.Identity()
    try:
        upper = keras.Model(hidden, classifier.outputs[0])
    except ValueError as error:
        raise ValueError(
            f"the logits must depend on the image through layer={layer!r} alone: {error}"
        ) from error
    return keras.Model(classifier.inputs[0], hidden), upper


def _output_of(classifier: keras.Model, layer: str) -> keras.KerasTensor:
    """Output of a layer at its last use in this model; the layer may be in other models too."""
    graph = keras.Model(classifier.inputs, classifier.outputs)
    nodes = [
        node for depth in sorted(graph._nodes_by_depth) for node in graph._nodes_by_depth[depth]
    ]
    return next(node.outputs[0] for node in nodes if node.operation.name == layer)


def layer_integrated_gradients(
    classifier: keras.Model,
    layer: str,
    x: tf.Tensor,
    y: tf.Tensor,
    *,
    baseline: tf.Tensor,
    steps: int,
    rule: str = "midpoint",
    output: Callable[[keras.Model], OutputFn] = label_loss,
) -> tf.Tensor:
    """Integrated gradients at layer h along the curve that baseline -> x induces in it.

    IG_{h_i} = int_0^1 df/dh_i(h(r(t))) dh_i(r(t))/dt dt                  [RAR eq. 2]
             ~ sum_k df/dh_i(h(r(t_k))) (h_i(r(e_k)) - h_i(r(e_{k-1})))

    with e_k the partial sums of the quadrature weights. [RAR eq. 3] uses the derivative
    h'(t_k) w_k in place of the increment of h over the k-th interval; both converge
    to eq. 2. Increments need no forward-mode derivative, and those of each h_i sum to
    its total change for any number of steps.

    Args:
      classifier: Functional or Sequential, images -> logits; layers of nested models count too.
      layer: name of a layer through which all of the image passes.
      x: [B, H, W, C] float32, pixels in [0, 1].
      y: [B] int, labels.
      baseline: [B, H, W, C] or broadcastable; where the path starts.
      steps: number of quadrature intervals, >= 1.
      rule: quadrature rule.
      output: classifier -> output function to attribute; called with the upper part.

    Returns:
      [B, ...], the shape of the layer's activations, in units of the output.

    Raises:
      ValueError: see `split_at` and `nodes_and_weights`.
    """
    nodes, weights = nodes_and_weights(rule, steps)
    edges = np.concatenate([[0], np.cumsum(weights)]).astype("float32")
    lower, upper = split_at(classifier, layer)
    x = float_images(x)
    y = integer_labels(y, x.shape[0])
    start = tf.broadcast_to(tf.cast(baseline, x.dtype), tf.shape(x))

    def hidden(times: np.ndarray) -> tf.Tensor:
        """Activations at r(t) for each of the times: [T, B, ...]."""
        t = tf.reshape(tf.constant(times, x.dtype), [-1] + [1] * x.shape.rank)
        points = start + t * (x - start)
        h = lower(tf.reshape(points, tf.concat([[-1], tf.shape(x)[1:]], 0)), training=False)
        # Increments are small differences of large values, which need full precision.
        h = tf.cast(h, x.dtype)
        return tf.reshape(h, tf.concat([[len(times), tf.shape(x)[0]], tf.shape(h)[1:]], 0))

    at_nodes, at_edges = hidden(nodes), hidden(edges)
    stacked = tf.reshape(at_nodes, tf.concat([[-1], tf.shape(at_nodes)[2:]], 0))
    gradient = input_gradient(output(upper), stacked, tf.tile(y, [len(nodes)]))
    increments = at_edges[1:] - at_edges[:-1]
    return tf.reduce_sum(tf.reshape(gradient, tf.shape(at_nodes)) * increments, 0)
