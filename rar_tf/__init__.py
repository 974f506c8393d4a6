"""Robust Attribution Regularization in Keras 3 and TensorFlow."""

from rar_tf import attack, attribution, datasets, evaluation, models, objective, serving, training
from rar_tf.version import __version__

__all__ = [
    "__version__",
    "attack",
    "attribution",
    "datasets",
    "evaluation",
    "models",
    "objective",
    "serving",
    "training",
]
