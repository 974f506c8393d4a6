"""Functions that TensorFlow does not inline in graphs."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def not_inlined(fn: Callable) -> Callable:
    """Function that calls `fn`; inside a graph as a separate function that is not inlined.

    For the body of a loop that holds a network. On CPUs TensorFlow replaces a `MaxPoolGrad` by
    oneDNN's faster one only if it has replaced its `MaxPool` before. A loop is a cycle in the
    graph, so that the order of the two, if inlined, differs from process to process.
    """
    graph_fn = tf.function(fn, autograph=False, experimental_attributes={"_noinline": True})

    def call(*args: Any) -> Any:
        return fn(*args) if tf.executing_eagerly() else graph_fn(*args)

    return call
