"""Floating-point operations of a TensorFlow function, counted in its graph."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

# Where an op has the filter of a convolution, [*kernel, in / groups, out], and its outputs: the
# index of an input, or None for the output of the op.
_FORWARD, _BY_INPUT, _BY_FILTER = (1, None), (1, 2), (None, 2)
_CONVOLUTIONS = {
    "Conv2D": _FORWARD,
    "Conv2DBackpropInput": _BY_INPUT,
    "Conv2DBackpropFilter": _BY_FILTER,
    "Conv3D": _FORWARD,
    "Conv3DBackpropInputV2": _BY_INPUT,
    "Conv3DBackpropFilterV2": _BY_FILTER,
    "DepthwiseConv2dNative": _FORWARD,
    "DepthwiseConv2dNativeBackpropInput": _BY_INPUT,
    "DepthwiseConv2dNativeBackpropFilter": _BY_FILTER,
}
_CALLS = {"PartitionedCall": "f", "StatefulPartitionedCall": "f"}
_LOOPS = ("While", "StatelessWhile")
_BRANCHES = ("If", "StatelessIf")


def count_flops(function: Callable, specs: Sequence[tf.TensorSpec]) -> float:
    """Number of multiplications and additions in the convolutions and matrix products of one call.

    Only ops that the results or the variables depend on are counted, as only these are run. The
    body of a loop counts once an iteration; the loop must be bounded by a constant, `i < n` from 0.

    Args:
      function: tensors -> tensors; it is traced, not run.
      specs: specifications of its arguments, shapes fully known.

    Raises:
      ValueError: a shape or the number of iterations of a loop is not known before the run.
    """
    # Traced inside another function, it becomes a library function like the loops' bodies.
    inner = tf.function(function)
    graph = tf.function(lambda *values: inner(*values)).get_concrete_function(*specs).graph
    definition = graph.as_graph_def(add_shapes=True)
    library = {body.signature.name: body for body in definition.library.function}
    calls = [node.attr["f"].func.name for node in definition.node if node.op in _CALLS]
    return math.fsum(_Body(library, name).flops() for name in calls)


class _Body:
    """One function of a graph's library."""

    def __init__(self, library: dict[str, Any], name: str) -> None:
        self._library, self._function = library, library[name]
        self._nodes = {node.name: node for node in self._function.node_def}
        self._arguments = {
            argument.name: self._function.arg_attr[i].attr["_output_shapes"]
            for i, argument in enumerate(self._function.signature.input_arg)
        }

    def flops(self) -> float:
        """FLOPs of one call of the function."""
        return math.fsum(self._node_flops(self._nodes[name]) for name in self._needed())

    def _needed(self) -> set[str]:
        """Names of the nodes that the results and side effects depend on."""
        needed: set[str] = set()
        waiting = [*self._function.ret.values(), *self._function.control_ret.values()]
        while waiting:
            name = waiting.pop().lstrip("^").split(":")[0]
            if name in self._nodes and name not in needed:
                needed.add(name)
                waiting.extend(self._nodes[name].input)
        return needed

    def _node_flops(self, node: Any) -> float:
        if node.op in _CONVOLUTIONS:
            return self._convolution(node)
        if node.op in ("MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"):
            transposed = node.attr["transpose_a" if node.op == "MatMul" else "adj_x"].b
            inner = self._input_shape(node, 0)[-2 if transposed else -1]
            return 2.0 * math.prod(self._output_shape(node)) * inner
        if node.op == "Einsum":
            return self._einsum(node)
        if node.op in _CALLS:
            return self._called(node, "f").flops()
        if node.op in _LOOPS:
            return self._called(node, "cond").iterations() * self._called(node, "body").flops()
        if node.op in _BRANCHES:
            return max(self._called(node, f"{name}_branch").flops() for name in ("then", "else"))
        return 0.0

    def _convolution(self, node: Any) -> float:
        kernel, outputs = (
            self._output_shape(node) if index is None else self._input_shape(node, index)
            for index in _CONVOLUTIONS[node.op]
        )
        # A depthwise filter [h, w, in, multiplier] is applied to one channel at a time.
        taps = kernel[:2] if node.op.startswith("Depthwise") else kernel[:-1]
        return 2.0 * math.prod(taps) * math.prod(outputs)

    def _einsum(self, node: Any) -> float:
        terms = node.attr["equation"].s.decode().split("->")[0].split(",")
        if any("." in term for term in terms):
            raise ValueError(f"an einsum with an ellipsis cannot be counted. Received: {node.name}")
        sizes: dict[str, int] = {}
        for index, term in enumerate(terms):
            sizes.update(zip(term, self._input_shape(node, index), strict=True))
        return 2.0 * math.prod(sizes.values())

    def _called(self, node: Any, attribute: str) -> "_Body":
        return _Body(self._library, node.attr[attribute].func.name)

    def iterations(self) -> int:
        """Number of iterations of the loop whose condition this function is: n of `i < n`."""
        needed = [self._nodes[name] for name in self._needed()]
        bounds = [self._nodes.get(n.input[1].split(":")[0]) for n in needed if n.op == "Less"]
        if len(bounds) != 1 or bounds[0] is None or bounds[0].op != "Const":
            raise ValueError(
                "a loop must be bounded by one constant to be counted. "
                f"Received: {self._function.signature.name}"
            )
        return int(tf.make_ndarray(bounds[0].attr["value"].tensor))

    def _output_shape(self, node: Any) -> list[int]:
        return _static_shape(node.attr["_output_shapes"].list.shape[0], node.name)

    def _input_shape(self, node: Any, index: int) -> list[int]:
        name, *position = node.input[index].split(":")
        source = self._nodes.get(name)
        shapes = self._arguments[name] if source is None else source.attr["_output_shapes"]
        return _static_shape(shapes.list.shape[int(position[-1]) if position else 0], node.name)


def _static_shape(shape: Any, name: str) -> list[int]:
    sizes = [dimension.size for dimension in shape.dim]
    if shape.unknown_rank or any(size < 0 for size in sizes):
        raise ValueError(f"shapes must be known to count operations. Received: {name} {sizes}")
    return sizes
