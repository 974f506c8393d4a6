"""Summary of a data set in one line: images by split, classes in their order."""

import numpy as np

from rar_tf.datasets.augment import BalancedSplit
from rar_tf.datasets.splits import Examples, ImageData, Split

_MOST_CLASSES = 50


def summary(data: ImageData) -> str:
    """Images by split and class: "6 images: 4 train, 2 test; classes 0 cat (6); 8x8x3 pixels".

    Warped copies are not counted. Where examples are decoded when read, classes have no counts.
    """
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    labels = {name: _labels(part) for name, part in splits.items() if part is not None}
    sizes = {
        name: len(part) if (plain := labels[name]) is None else len(plain)
        for name, part in splits.items()
        if part is not None
    }
    counts = np.zeros(data.num_classes, np.int64)
    for part in labels.values():
        if part is not None:
            counts += np.bincount(part, minlength=data.num_classes)
    is_counted = all(part is not None for part in labels.values())
    names = [
        f"{label} {name}" + (f" ({counts[label]:,})" if is_counted else "")
        for label, name in enumerate(data.class_names[:_MOST_CLASSES])
    ]
    if len(data.class_names) > _MOST_CLASSES:
        names.append(f"and {len(data.class_names) - _MOST_CLASSES:,} more")
    shape = "x".join(map(str, data.image_shape))
    parts = ", ".join(f"{size:,} {name}" for name, size in sizes.items())
    return f"{sum(sizes.values()):,} images: {parts}; classes {', '.join(names)}; {shape} pixels"


def _labels(part: Examples | None) -> np.ndarray | None:
    if isinstance(part, BalancedSplit):
        return part.source.labels
    return part.labels if isinstance(part, Split) else None
