"""Image classification data sets and their batches."""

from rar_tf.datasets.augment import BalancedSplit, Warp, equalize
from rar_tf.datasets.batches import ordered_batches, to_unit, training_batches
from rar_tf.datasets.duplicates import duplicates
from rar_tf.datasets.match_classes import match_classes
from rar_tf.datasets.pixels import read_image
from rar_tf.datasets.record import DataRecord
from rar_tf.datasets.registry import CUSTOM, image_sides, load, names
from rar_tf.datasets.splits import Examples, ImageData, Split

__all__ = [
    "CUSTOM",
    "BalancedSplit",
    "DataRecord",
    "Examples",
    "ImageData",
    "Split",
    "Warp",
    "duplicates",
    "equalize",
    "image_sides",
    "load",
    "match_classes",
    "names",
    "ordered_batches",
    "read_image",
    "to_unit",
    "training_batches",
]
