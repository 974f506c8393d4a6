"""Robust Attribution Regularization in Keras 3 and TensorFlow."""

from rar_tf import attack, attribution, datasets, models, objective, training
from rar_tf.version import __version__

__all__ = [
    "__version__",
    "attack",
    "attribution",
    "datasets",
    "models",
    "objective",
    "training",
]
