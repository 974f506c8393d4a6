"""Assembly of a custom data set: checks of its splits, and drawing of missing ones."""

import numpy as np

from rar_tf.datasets.partition import hold_out
from rar_tf.datasets.splits import ImageData, Split

HELD_OUT = 0.1
SPLITS = ("train", "validation", "test")


def assemble(
    name: str,
    source: str,
    splits: dict[str, Split],
    class_names: tuple[str, ...],
    seed: int,
    remarks: tuple[str, ...] = (),
) -> ImageData:
    """Check splits against each other and draw the missing ones.

    A missing test split is a seeded tenth of each training class, a missing validation split
    a tenth of the remaining images of each class. Equal images of a class are drawn together.
    Without a train split nothing is drawn.

    Args:
      name: name of the data set.
      source: a sentence on the source of the images.
      splits: splits by name, at least one.
      class_names: one name per class.
      seed: seed of the splits that are drawn.
      remarks: what was left out or converted, a phrase each.

    Raises:
      ValueError: if there are fewer than two classes, a label is out of range, a class has too
        few training images, or the splits' images differ in shape.
    """
    _check(name, splits, class_names)
    note = ""
    if "train" in splits:
        _check_training(name, splits, class_names)
        splits, note = _draw_missing(splits, seed)
    return ImageData(
        name=name,
        num_classes=len(class_names),
        image_shape=next(iter(splits.values())).images.shape[1:],
        class_names=class_names,
        source=source + note,
        train=splits.get("train"),
        validation=splits.get("validation"),
        test=splits.get("test"),
        remarks=(*remarks, *_repeated(splits)),
    )


def _check(name: str, splits: dict[str, Split], class_names: tuple[str, ...]) -> None:
    for part, split in splits.items():
        if not len(split):
            raise ValueError(f"{name} must hold images. Received: an empty {part} split")
    if len(class_names) < 2:
        names = f": {class_names[0]}" if class_names else ""
        raise ValueError(
            f"{name} must have at least 2 classes. Received: {len(class_names)}{names}"
        )
    for part, split in splits.items():
        if split.labels.min() < 0 or split.labels.max() >= len(class_names):
            raise ValueError(
                f"labels of {name} must be 0 .. {len(class_names) - 1}. "
                f"Received: {split.labels.min()} .. {split.labels.max()} in {part}"
            )
    shapes = {part: split.images.shape[1:] for part, split in splits.items()}
    if len(set(shapes.values())) > 1:
        sizes = ", ".join(f"{part} {'x'.join(map(str, s))}" for part, s in shapes.items())
        raise ValueError(
            f"{name} must have images of one shape, or image_size be given (--image_size). "
            f"Received: {sizes}"
        )


def _check_training(name: str, splits: dict[str, Split], class_names: tuple[str, ...]) -> None:
    counts = np.bincount(splits["train"].labels, minlength=len(class_names))
    needed = 1 + sum(part not in splits for part in SPLITS)
    if counts.min() < needed:
        raise ValueError(
            f"each class of {name} must have at least {needed} training images, one for each split "
            f"drawn from them. Received: {counts.min()} of class {class_names[counts.argmin()]}"
        )


def _draw_missing(splits: dict[str, Split], seed: int) -> tuple[dict[str, Split], str]:
    splits, note = dict(splits), ""
    for part in ("test", "validation"):
        if part not in splits:
            train = splits["train"]
            # The number of the first equal image, so that equal images are one group.
            _, first, inverse = np.unique(train.digests, return_index=True, return_inverse=True)
            drawn = hold_out(train.labels, HELD_OUT, seed=seed, groups=first[inverse])
            splits[part] = train.take(np.flatnonzero(drawn))
            splits["train"] = train.take(np.flatnonzero(~drawn))
            note += f"; {part} is a tenth of each training class, drawn by seed {seed}"
    return splits, note


def _repeated(splits: dict[str, Split]) -> list[str]:
    """Phrases on images of a split that are images of an earlier split too, or of two classes."""
    remarks, earlier = [], dict[int, tuple[str, int]]()
    for part in (part for part in SPLITS if part in splits):
        split, of_part = splits[part], dict[int, tuple[str, int]]()
        shared, contradicted = list[str](), list[str]()
        for index, digest in enumerate(split.digests.tolist()):
            label, name = int(split.labels[index]), split.file(index)
            if digest in earlier:
                shared.append(f"{name} = {earlier[digest][0]}")
            if digest in of_part and of_part[digest][1] != label:
                contradicted.append(f"{name} = {of_part[digest][0]}")
            of_part.setdefault(digest, (name, label))
        if shared:
            remarks.append(
                f"warning: {len(shared):,} images of {part} lie in another split too, such as "
                f"{shared[0]}"
            )
        if contradicted:
            remarks.append(
                f"warning: {len(contradicted):,} images of {part} have two classes, such as "
                f"{contradicted[0]}"
            )
        earlier = of_part | earlier
    return remarks
