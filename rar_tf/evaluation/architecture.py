"""Digest of a classifier's architecture: what it computes, given its weights."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from rar_tf.naming import json_default

# Parts of a Keras configuration without effect on outputs, given the weights.
_NO_EFFECT = frozenset(
    ("name", "trainable", "build_config", "build_input_shape", "compile_config", "shared_object_id")
)
_OF_TRAINING = ("_initializer", "_regularizer", "_constraint")


def architecture_digest(classifier: keras.Model) -> str:
    """SHA-256 of the model's configuration, whatever the names of its layers.

    Functional and Sequential models are described by their Keras configuration, at any depth;
    others by class, `get_config` where they have one, and layers. What the code of a class
    computes is not part of it: `identity.probe` tells models of other code apart.
    """
    text = json.dumps(_architecture(classifier), sort_keys=True, default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()


def _architecture(layer: keras.Layer) -> dict[str, Any]:
    described: dict[str, Any] = {"class": type(layer).__qualname__, "config": None}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras warns of lambdas.
            described["config"] = _canonical(layer.get_config(), {})
    except Exception:  # A custom get_config may raise anything.
        pass
    if described["config"] is None or not isinstance(layer, (keras.Function, keras.Sequential)):
        parts = layer._flatten_layers(include_self=False, recursive=False)
        described["layers"] = [_architecture(part) for part in parts]
    return described


def _canonical(value: Any, names: Mapping[str, int]) -> Any:
    """A Keras configuration with layers named by their place, without what has no effect.

    Args:
      value: configuration or a part of it.
      names: places of the layers of the model around it, by name.
    """
    if isinstance(value, (list, tuple)):
        return [_canonical(part, names) for part in value]
    if not isinstance(value, Mapping):
        return value
    class_name = str(value.get("class_name"))
    if class_name == "__keras_tensor__":
        return _places(value["config"]["keras_history"], names)
    if class_name == "__lambda__":  # The bytes of its code differ between processes.
        return class_name
    if class_name.endswith("DTypePolicy"):  # Its name decides its dtypes.
        return [class_name, value["config"]]
    if "input_layers" in value:  # A Functional model, whose layers refer to each other by name.
        names = {layer["name"]: place for place, layer in enumerate(value["layers"])}
    return {str(key): _part(str(key), value[key], names) for key in value if _has_effect(str(key))}


def _part(key: str, value: Any, names: Mapping[str, int]) -> Any:
    if key in ("input_layers", "output_layers"):
        return _places(value, names)
    if key == "batch_shape" and value:
        return list(value[1:])
    return _canonical(value, names)


def _has_effect(key: str) -> bool:
    return key not in _NO_EFFECT and not key.endswith(_OF_TRAINING)


def _places(value: Any, names: Mapping[str, int]) -> Any:
    """Nested references to layers, by their place in place of their name."""
    if isinstance(value, Mapping):
        return {key: _places(part, names) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_places(part, names) for part in value]
    return names.get(value, value) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    """Plain form of what a custom `get_config` may return."""
    if isinstance(value, (np.ndarray, np.generic, tf.Tensor, tf.Variable, keras.Variable)):
        return np.asarray(value).tolist()
    return json_default(value) if callable(value) else type(value).__qualname__
