"""Layers of code outside of Keras."""

from typing import Any

import keras

from rar_tf.models.rewrite import is_graph


def is_code_unknown(operation: Any) -> bool:
    """Whether this is a layer whose code is neither of Keras nor of this package."""
    if not isinstance(operation, keras.Layer) or is_graph(operation):
        return False
    package = type(operation).__module__.split(".")[0]
    return package not in ("keras", "rar_tf") or type(operation) is keras.layers.Lambda
