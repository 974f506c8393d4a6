"""Image classification data sets and their batches."""

from rar_tf.datasets.augment import BalancedSplit, Warp, equalize
from rar_tf.datasets.batches import ordered_batches, to_unit, training_batches
from rar_tf.datasets.catalogue import load, names
from rar_tf.datasets.splits import Examples, ImageData, Split

__all__ = [
    "BalancedSplit",
    "Examples",
    "ImageData",
    "Split",
    "Warp",
    "equalize",
    "load",
    "names",
    "ordered_batches",
    "to_unit",
    "training_batches",
]
