"""Assembly of a custom data set: checks of its splits, and drawing of missing ones."""

import numpy as np

from rar_tf.datasets.partition import hold_out
from rar_tf.datasets.splits import ImageData, Split

HELD_OUT = 0.1
SPLITS = ("train", "validation", "test")


def assemble(
    name: str, source: str, splits: dict[str, Split], class_names: tuple[str, ...], seed: int
) -> ImageData:
    """Check splits against each other and draw the missing ones.

    A missing test split is a seeded tenth of each training class, a missing validation split
    a tenth of the remaining images of each class.

    Args:
      name: name of the data set.
      source: a sentence on the source of the images.
      splits: splits by name; "train" is required.
      class_names: one name per class.
      seed: seed of the splits that are drawn.

    Raises:
      ValueError: if there are fewer than two classes, a label is out of range, a class has too
        few training images, or the splits' images differ in shape.
    """
    _check(name, splits, class_names)
    train, validation, test, note = _draw_missing(splits, seed)
    return ImageData(
        name=name,
        num_classes=len(class_names),
        image_shape=train.images.shape[1:],
        class_names=class_names,
        source=source + note,
        train=train,
        validation=validation,
        test=test,
    )


def _check(name: str, splits: dict[str, Split], class_names: tuple[str, ...]) -> None:
    if "train" not in splits:
        raise ValueError(f"{name} must have a train split. Received: {', '.join(splits)}")
    for part, split in splits.items():
        if not len(split):
            raise ValueError(f"{name} must hold images. Received: an empty {part} split")
    if len(class_names) < 2:
        raise ValueError(f"{name} must have at least 2 classes. Received: {len(class_names)}")
    for part, split in splits.items():
        if split.labels.min() < 0 or split.labels.max() >= len(class_names):
            raise ValueError(
                f"labels of {name} must be 0 .. {len(class_names) - 1}. "
                f"Received: {split.labels.min()} .. {split.labels.max()} in {part}"
            )
    shapes = {part: split.images.shape[1:] for part, split in splits.items()}
    if len(set(shapes.values())) > 1:
        raise ValueError(f"{name} must have images of one shape. Received: {shapes}")
    counts = np.bincount(splits["train"].labels, minlength=len(class_names))
    needed = 1 + sum(part not in splits for part in SPLITS)
    if counts.min() < needed:
        raise ValueError(
            f"each class of {name} must have at least {needed} training images, one for each split "
            f"drawn from them. Received: {counts.min()} of class {class_names[counts.argmin()]}"
        )


def _draw_missing(splits: dict[str, Split], seed: int) -> tuple[Split, Split, Split, str]:
    splits, note = dict(splits), ""
    for part in ("test", "validation"):
        if part not in splits:
            train = splits["train"]
            drawn = hold_out(train.labels, HELD_OUT, seed=seed)
            splits[part] = Split(train.images[drawn], train.labels[drawn])
            splits["train"] = Split(train.images[~drawn], train.labels[~drawn])
            note += f"; {part} is a tenth of each training class, drawn by seed {seed}"
    return splits["train"], splits["validation"], splits["test"], note
