"""Attributions built from input gradients, differentiable in turn."""

from collections.abc import Callable

import tensorflow as tf

from rar_tf.attribution.noise import normal_rows
from rar_tf.attribution.outputs import OutputFn
from rar_tf.attribution.passes import sum_in_passes
from rar_tf.attribution.quadrature import nodes_and_weights
from rar_tf.checks import check_count, float_images, integer_labels


def input_gradient(output_fn: OutputFn, x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Gradient of the output by the pixels, `df_y/dx` (Simple Gradient of [GAZ17]).

    Args:
      output_fn: (points [N, ...], labels [N]) -> values [N].
      x: [B, ...] float32, pixels in [0, 1].
      y: [B] int, labels.

    Returns:
      [B, ...], in units of the output per unit of pixel value; differentiable.
    """
    x = float_images(x)
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
    nodes_per_pass: int | None = None,
    weight_gradients: bool = True,
    shift: tf.Tensor | float = 0.0,
) -> tf.Tensor:
    """Integrated gradients of `output_fn` along the straight line baseline -> x.

    IG_i = (x_i - b_i) * sum_k w_k d f(b + t_k (x - b)) / d x_i        [STY17 eq. 1]

    Where the output begins with an affine map (`ClassifierOutput.affine_start`), gradients are
    averaged after that map and propagated back through it once for all nodes.
    The nodes are stacked on the batch axis, `nodes_per_pass` of them at a time. With several
    passes the backward pass recomputes the activations of each, so that memory holds one pass at
    a time, at the cost of one more forward computation; the value and the gradients by x, the
    baseline and the variables are the same. Gradients by any other tensor that `output_fn`
    closes over flow only with a single pass.

    Args:
      output_fn: (points [N, ...], labels [N]) -> values [N].
      x: [B, ...] float32, pixels in [0, 1].
      y: [B] int, labels.
      baseline: [B, ...] or broadcastable to x; where the path starts.
      steps: number of intervals of the quadrature, >= 1.
      rule: quadrature rule, see `quadrature.nodes_and_weights`.
      nodes_per_pass: nodes per call of `output_fn`; None takes all at once.
      weight_gradients: whether the backward pass of several passes computes gradients by the
        variables; an attack needs only those by x. With a single pass the setting has no
        effect.
      shift: offset of every node, in intervals: another set of as many nodes. Those of
        `midpoint` stay on the line for shifts in [-1/2, 1/2].

    Returns:
      [B, ...] in units of the output; differentiable once more.

    Raises:
      ValueError: an unknown rule, steps < 1, nodes_per_pass < 1, or integer images.
    """
    x = float_images(x)
    y = integer_labels(y, x.shape[0])
    nodes, weights = nodes_and_weights(rule, steps)
    start = tf.broadcast_to(tf.cast(baseline, x.dtype), tf.shape(x))

    def mean_gradient(output_fn: OutputFn, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        along = tf.cast(nodes, end.dtype) + tf.cast(shift, end.dtype) / steps
        return _mean_gradient(
            output_fn,
            _line,
            (start, end - start),
            y,
            along,
            tf.cast(weights, end.dtype),
            nodes_per_pass,
            weight_gradients,
        )

    shared = getattr(output_fn, "affine_start", None) if len(nodes) > 1 else None
    if shared is None:
        return (x - start) * mean_gradient(output_fn, start, x)
    affine, upper = shared
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(x)
        end = affine(x, training=False)
    mean = mean_gradient(upper, affine(start, training=False), end)
    return (x - start) * tape.gradient(end, x, mean)


def _line(t: tf.Tensor, start: tf.Tensor, difference: tf.Tensor) -> tf.Tensor:
    return start + tf.reshape(t, [-1] + [1] * difference.shape.rank) * difference


def smooth_grad(
    output_fn: OutputFn,
    x: tf.Tensor,
    y: tf.Tensor,
    *,
    samples: int,
    sigma: float,
    seed: tf.Tensor,
    first_row: tf.Tensor | int = 0,
    nodes_per_pass: int | None = None,
    weight_gradients: bool = True,
) -> tf.Tensor:
    """SmoothGrad: mean input gradient at noisy copies of x  [Smilkov et al. 2017].

    `1/n sum_k d f(x + sigma z_k) / dx` with z_k standard normal, a function of (seed, row, k): for
    one seed the result is a differentiable function of x.

    Args:
      output_fn: (points [N, ...], labels [N]) -> values [N].
      x: [B, ...] float32, pixels in [0, 1]; the noisy copies may leave that range.
      y: [B] int, labels.
      samples: n >= 1.
      sigma: standard deviation of the noise, in pixel units, >= 0.
      seed: int [2], seed of the noise.
      first_row: number of the first row among all rows that share the seed.
      nodes_per_pass: samples in one pass; None for all.
      weight_gradients: see `integrated_gradients`.

    Returns:
      [B, ...], in units of the output per unit of pixel value; differentiable.

    Raises:
      ValueError: samples < 1, sigma < 0, nodes_per_pass < 1, or integer images.
    """
    check_count("samples", samples)
    if not sigma >= 0:
        raise ValueError(f"sigma must be >= 0. Received: sigma={sigma}")
    x = float_images(x)
    y = integer_labels(y, x.shape[0])
    seed = tf.convert_to_tensor(seed)

    def noisy_copies(numbers: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        seeds = [seed + tf.stack([0, tf.cast(k, seed.dtype)]) for k in tf.unstack(numbers)]
        noise = tf.stack([normal_rows(tf.shape(x), s, first_row) for s in seeds])
        return x + sigma * tf.cast(noise, x.dtype)

    numbers, weights = (
        tf.range(samples, dtype=x.dtype),
        tf.fill([samples], tf.constant(1.0 / samples, x.dtype)),
    )
    return _mean_gradient(
        output_fn, noisy_copies, (x,), y, numbers, weights, nodes_per_pass, weight_gradients
    )


def path_integrated_gradients(
    output_fn: OutputFn,
    curve: Callable[[tf.Tensor], tf.Tensor],
    y: tf.Tensor,
    *,
    steps: int,
    rule: str = "midpoint",
) -> tf.Tensor:
    """Integrated gradients of `output_fn` along a curve r.

    IG_i = int_0^1 df/dx_i(r(t)) r_i'(t) dt                            [RAR eq. 1]

    Completeness holds for every curve: sum_i IG_i = f(r(1)) - f(r(0)).

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


def _mean_gradient(
    output_fn: OutputFn,
    place: Callable[..., tf.Tensor],
    sources: tuple[tf.Tensor, ...],
    y: tf.Tensor,
    nodes: tf.Tensor,
    weights: tf.Tensor,
    nodes_per_pass: int | None,
    weight_gradients: bool,
) -> tf.Tensor:
    """Weighted mean of gradients, `nodes_per_pass` nodes at a time.

    sum_k w_k grad f(place(t_k, *sources))

    Args:
      output_fn: (points [N, ...], labels [N]) -> values [N].
      place: (nodes [n], *sources) -> points [n, B, ...].
      sources: tensors to differentiate by; the first is [B, ...].
      y: [B] int, labels.
      nodes: [n], n known.
      weights: [n], n known.
      nodes_per_pass: nodes per call of `output_fn`; None for all.
      weight_gradients: see `integrated_gradients`.
    """
    if nodes_per_pass is not None:
        check_count("nodes_per_pass", nodes_per_pass)

    def mean(nodes: tf.Tensor, weights: tf.Tensor, *sources: tf.Tensor) -> tf.Tensor:
        points = place(nodes, *sources)
        count, shape = nodes.shape[0], tf.shape(points)
        stacked = tf.reshape(points, tf.concat([[shape[0] * shape[1]], shape[2:]], 0))
        gradient = input_gradient(output_fn, stacked, tf.tile(y, [count]))
        mean = tf.tensordot(weights, tf.reshape(gradient, shape), 1)
        return tf.ensure_shape(mean, sources[0].shape)

    if nodes_per_pass is None or nodes_per_pass >= nodes.shape[0]:
        return mean(nodes, weights, *sources)
    return sum_in_passes(
        mean,
        nodes,
        weights,
        sources,
        nodes_per_pass=nodes_per_pass,
        weight_gradients=weight_gradients,
    )
