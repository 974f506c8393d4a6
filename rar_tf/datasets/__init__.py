"""Image classification data sets and their batches."""

from rar_tf.datasets.augment import BalancedSplit, Warp, equalize
from rar_tf.datasets.batches import ordered_batches, to_unit, training_batches
from rar_tf.datasets.class_order import given_classes
from rar_tf.datasets.duplicates import duplicates
from rar_tf.datasets.match_classes import match_classes
from rar_tf.datasets.pixels import RESIZES, read_image
from rar_tf.datasets.read_files import Form
from rar_tf.datasets.record import DataRecord, changes, trained_images
from rar_tf.datasets.registry import CUSTOM, check_custom_settings, image_sides, load, names
from rar_tf.datasets.splits import Examples, ImageData, Split

__all__ = [
    "CUSTOM",
    "RESIZES",
    "BalancedSplit",
    "DataRecord",
    "Examples",
    "Form",
    "ImageData",
    "Split",
    "Warp",
    "changes",
    "check_custom_settings",
    "duplicates",
    "equalize",
    "given_classes",
    "image_sides",
    "load",
    "match_classes",
    "names",
    "ordered_batches",
    "read_image",
    "to_unit",
    "trained_images",
    "training_batches",
]
