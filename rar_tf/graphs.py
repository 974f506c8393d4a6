"""Layout of TensorFlow graphs."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def not_inlined(fn: Callable) -> Callable:
    """Function that calls `fn`; inside a graph as a separate function that is not inlined.

    For the body of a loop with a network in it. On CPUs TensorFlow swaps a `MaxPoolGrad` for
    oneDNN's, several times as fast, if it has swapped its `MaxPool` before. In a loop the graph is
    a cycle, and which of the two it meets first differs from process to process.
    """
    graph_fn = tf.function(fn, autograph=False, experimental_attributes={"_noinline": True})

    def call(*args: Any) -> Any:
        return fn(*args) if tf.executing_eagerly() else graph_fn(*args)

    return call
