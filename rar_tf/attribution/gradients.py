"""Attributions built from input gradients, differentiable in turn."""

from collections.abc import Callable

import tensorflow as tf

from rar_tf.attribution.outputs import OutputFn
from rar_tf.attribution.quadrature import nodes_and_weights


def input_gradient(output_fn: OutputFn, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Gradient of the output by the pixels, `df_y/dx` (Simple Gradient of [GAZ17]).

    Args:
      output_fn: (points [N, ...], labels [N]) -> values [N].
      x: [B, ...] float32, pixels in [0, 1].
      y: [B] int, labels.

    Returns:
      [B, ...], in units of the output per unit of pixel value; differentiable.
    """
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        values = output_fn(x, y)
    return tape.gradient(values, x, unconnected_gradients="zero")


def integrated_gradients(
    output_fn: OutputFn,
    x: tf.Tensor,
    y: tf.Tensor,
    *,
    baseline: tf.Tensor,
    steps: int,
    rule: str = "midpoint",
    chunk: int | None = None,
) -> tf.Tensor:
    """Integrated gradients of `output_fn` along the straight line baseline -> x.

    IG_i = (x_i - b_i) * sum_k w_k d f(b + t_k (x - b)) / d x_i        [STY17 eq. 1]

    The nodes are stacked on the batch axis, `chunk` of them at a time. With a chunk
    smaller than the number of nodes the backward pass recomputes each chunk, so that
    neither pass holds more than one chunk of activations, at the price of one more
    forward computation; the value and the gradients by x, the baseline and the
    variables are the same. Gradients by any other tensor that `output_fn` closes over
    flow only without chunks.

    Args:
      output_fn: (points [N, ...], labels [N]) -> values [N].
      x: [B, ...] float32, pixels in [0, 1].
      y: [B] int, labels.
      baseline: [B, ...] or broadcastable to x; where the path starts.
      steps: number of intervals of the quadrature, >= 1.
      rule: quadrature rule, see `quadrature.nodes_and_weights`.
      chunk: nodes per call of `output_fn`; None takes all at once.

    Returns:
      [B, ...] in units of the output; differentiable once more.

    Raises:
      ValueError: an unknown rule, steps < 1, chunk < 1, or images that are integers.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk must be >= 1 or None. Received: chunk={chunk}")
    x, y = tf.convert_to_tensor(x), tf.convert_to_tensor(y)
    if not x.dtype.is_floating:
        raise ValueError(f"x must be floating, pixels in [0, 1]. Received: x.dtype={x.dtype.name}")
    nodes, weights = (tf.cast(part, x.dtype) for part in nodes_and_weights(rule, steps))
    start = tf.broadcast_to(tf.cast(baseline, x.dtype), tf.shape(x))
    difference = x - start
    if chunk is None or chunk >= nodes.shape[0]:
        mean = _weighted_gradient(output_fn, start, difference, y, nodes, weights)
    else:
        mean = _chunked_gradient(output_fn, start, difference, y, nodes, weights, chunk)
    return difference * mean


def path_integrated_gradients(
    output_fn: OutputFn,
    curve: Callable[[tf.Tensor], tf.Tensor],
    y: tf.Tensor,
    *,
    steps: int,
    rule: str = "midpoint",
) -> tf.Tensor:
    """Integrated gradients along a curve r: IG_i = int_0^1 df/dx_i(r(t)) r_i'(t) dt.

    [RAR eq. 1]; completeness holds for every curve: sum_i IG_i = f(r(1)) - f(r(0)).

    Args:
      output_fn: (points [N, ...], labels [N]) -> values [N].
      curve: scalar t in [0, 1] -> points [B, ...], differentiable in t.
      y: [B] int, labels.
      steps: number of intervals of the quadrature, >= 1.
      rule: quadrature rule, see `quadrature.nodes_and_weights`.

    Returns:
      [B, ...] in units of the output.
    """
    nodes, weights = nodes_and_weights(rule, steps)
    total = 0.0
    for node, weight in zip(nodes, weights, strict=True):
        t = tf.constant(node)
        with tf.autodiff.ForwardAccumulator(t, tf.constant(1.0)) as forward:
            point = curve(t)
        total += weight * input_gradient(output_fn, point, y) * forward.jvp(point)
    return total


def _weighted_gradient(output_fn, start, difference, y, nodes, weights):
    """sum_k w_k grad f(start + t_k difference), all nodes stacked on the batch axis."""
    count = nodes.shape[0]
    shape = tf.shape(start)
    t = tf.reshape(nodes, [count] + [1] * start.shape.rank)
    points = tf.reshape(start + t * difference, tf.concat([[count * shape[0]], shape[1:]], 0))
    gradient = input_gradient(output_fn, points, tf.tile(y, [count]))
    gradient = tf.reshape(gradient, tf.concat([[count], shape], 0))
    return tf.ensure_shape(tf.tensordot(weights, gradient, 1), start.shape)


def _chunked_gradient(output_fn, start, difference, y, nodes, weights, chunk):
    """`_weighted_gradient`, `chunk` nodes at a time, recomputed in the backward pass."""
    # Nodes of weight zero fill the last chunk: one loop body serves all of them.
    padding = -nodes.shape[0] % chunk
    nodes = tf.reshape(tf.pad(nodes, [[0, padding]]), [-1, chunk])
    weights = tf.reshape(tf.pad(weights, [[0, padding]]), [-1, chunk])

    def accumulate(part, zeros):
        """Sum of `part(k)` over the chunks k, one at a time."""
        return tf.while_loop(
            lambda k, _: k < nodes.shape[0],
            lambda k, total: (k + 1, tf.nest.map_structure(tf.add, total, part(k))),
            (tf.constant(0), zeros),
            parallel_iterations=1,
        )[1]

    @tf.custom_gradient
    def mean_gradient(start, difference):
        def part(k):
            return _weighted_gradient(output_fn, start, difference, y, nodes[k], weights[k])

        def backward(upstream, variables=()):
            def part_backward(k):
                # The tape must watch tensors of the loop body's own graph.
                line = [tf.identity(start), tf.identity(difference)]
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch([*line, *variables])
                    value = _weighted_gradient(output_fn, *line, y, nodes[k], weights[k])
                return tape.gradient(
                    value, [*line, *variables], upstream, unconnected_gradients="zero"
                )

            sources = [start, difference, *variables]
            grads = accumulate(part_backward, [tf.zeros_like(source) for source in sources])
            return (grads[:2], grads[2:]) if variables else grads[:2]

        return accumulate(part, tf.zeros_like(start)), backward

    return mean_gradient(start, difference)
