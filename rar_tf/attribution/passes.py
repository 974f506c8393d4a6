"""Sums over quadrature nodes in passes, differentiable in bounded memory."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from rar_tf.not_inlined import not_inlined


@dataclasses.dataclass(frozen=True)
class _Passes:
    """A weighted sum over nodes, computed in passes.

    Attributes:
      part: (nodes [n], weights [n], *sources) -> weighted sum over these nodes.
      nodes: [passes, n].
      weights: [passes, n].
    """

    part: Callable[..., tf.Tensor]
    nodes: tf.Tensor
    weights: tf.Tensor

    def value(self, *sources: tf.Tensor) -> tf.Tensor:
        """Sum of `part` over all passes."""
        nodes, weights = self.nodes, self.weights
        return self._sum(
            lambda k: self.part(nodes[k], weights[k], *sources), tf.zeros_like(sources[0])
        )

    def gradients(
        self, sources: Sequence[tf.Tensor], variables: Sequence[Any], upstream: tf.Tensor
    ) -> list[tf.Tensor]:
        """Gradients of `value` by sources and variables, each pass computed again."""

        def gradients_of_pass(k: tf.Tensor) -> list[tf.Tensor]:
            # The tape must watch tensors of the loop body's graph.
            inputs = [*(tf.identity(source) for source in sources), *variables]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(inputs)
                value = self.part(self.nodes[k], self.weights[k], *inputs[: len(sources)])
            return tape.gradient(value, inputs, upstream, unconnected_gradients="zero")

        zeros = [tf.zeros_like(source) for source in (*sources, *variables)]
        return self._sum(gradients_of_pass, zeros)

    def _sum(self, of_pass: Callable[[tf.Tensor], Any], zeros: Any) -> Any:
        """Sum of `of_pass(k)` over the passes k, one at a time."""
        of_pass = not_inlined(of_pass)
        return tf.while_loop(
            lambda k, _: k < self.nodes.shape[0],
            lambda k, total: (k + 1, tf.nest.map_structure(tf.add, total, of_pass(k))),
            (tf.constant(0), zeros),
            parallel_iterations=1,
        )[1]


def sum_in_passes(
    part: Callable[..., tf.Tensor],
    nodes: tf.Tensor,
    weights: tf.Tensor,
    sources: tuple[tf.Tensor, ...],
    *,
    nodes_per_pass: int,
    weight_gradients: bool,
) -> tf.Tensor:
    """Sum of `part` over passes; the backward pass computes each again instead of storing it.

    Args:
      part: (nodes [n], weights [n], *sources) -> weighted sum over these nodes, of the shape of
        the first source.
      nodes: [N], N known.
      weights: [N], weights of the nodes.
      sources: tensors to differentiate by.
      nodes_per_pass: largest number of nodes in one pass.
      weight_gradients: whether the backward pass computes gradients by the variables too.
    """
    # Passes of nearly equal size; nodes of weight zero fill the last one, so that one loop body
    # serves all passes.
    num_passes = -(-nodes.shape[0] // nodes_per_pass)
    nodes_per_pass = -(-nodes.shape[0] // num_passes)
    padding = -nodes.shape[0] % nodes_per_pass
    nodes = tf.reshape(tf.pad(nodes, [[0, padding]]), [-1, nodes_per_pass])
    weights = tf.reshape(tf.pad(weights, [[0, padding]]), [-1, nodes_per_pass])
    passes = _Passes(part, nodes, weights)

    @tf.custom_gradient
    def with_variables(*sources: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def backward(upstream: tf.Tensor, variables: Sequence[Any] = ()) -> Any:
            grads = passes.gradients(sources, variables, upstream)
            split = len(sources)
            return (grads[:split], grads[split:]) if variables else grads

        return passes.value(*sources), backward

    @tf.custom_gradient
    def zero(*sources: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        return tf.zeros_like(sources[0]), lambda upstream: passes.gradients(sources, (), upstream)

    if weight_gradients:
        return with_variables(*sources)
    # A custom gradient must return a gradient for every variable that its function uses. So the
    # value is computed outside of one, and the gradient comes from a function of value zero.
    value = passes.value(*(tf.stop_gradient(source) for source in sources))
    return tf.stop_gradient(value) + zero(*sources)
