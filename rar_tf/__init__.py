"""Robust Attribution Regularization in Keras 3 and TensorFlow."""

import importlib
from typing import TYPE_CHECKING, Any

from rar_tf.version import __version__

if TYPE_CHECKING:
    from rar_tf import (
        attack,
        attribution,
        datasets,
        evaluation,
        models,
        objective,
        presets,
        reporting,
        runs,
        serving,
        training,
    )

__all__ = [
    "__version__",
    "attack",
    "attribution",
    "datasets",
    "evaluation",
    "models",
    "objective",
    "presets",
    "reporting",
    "runs",
    "serving",
    "training",
]


def __getattr__(name: str) -> Any:
    # Packages are imported on first use: TensorFlow takes seconds, and `--help` needs none of it.
    if name in __all__:
        return importlib.import_module(f"rar_tf.{name}")
    raise AttributeError(f"module 'rar_tf' has no attribute {name!r}")
