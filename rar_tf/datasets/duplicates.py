"""Images of a split that are training images too."""

import numpy as np

from rar_tf.datasets.augment import BalancedSplit
from rar_tf.datasets.splits import Examples, ImageData, Split


def duplicates(data: ImageData, split: str = "test") -> np.ndarray | None:
    """Indices [n] of the images of a split that are, pixel by pixel, training images.

    Training images are those of train and validation, without warped copies.

    Args:
      data: the data set.
      split: "test", or "validation", which is compared with train alone.

    Returns:
      int64 [n], increasing; None where images are decoded when read, and not compared.

    Raises:
      ValueError, FileNotFoundError: as `ImageData.require`.
    """
    examples = data.require(split)
    training = [data.train, data.validation] if split == "test" else [data.train]
    training_digests = [image_digests(part) for part in training if part is not None]
    digests = image_digests(examples)
    if digests is None or any(part is None for part in training_digests):
        return None
    known = [part for part in training_digests if part is not None]
    return np.flatnonzero(np.isin(digests, np.concatenate([*known, digests[:0]])))


def image_digests(examples: Examples) -> np.ndarray | None:
    """`Split.digests` [N] of images, without warped copies; None where decoded when read."""
    plain = plain_split(examples)
    return None if plain is None else plain.digests


def plain_split(examples: Examples | None) -> Split | None:
    """Examples as a split in memory, without warped copies; None where decoded when read."""
    if isinstance(examples, BalancedSplit):
        return examples.originals()
    return examples if isinstance(examples, Split) else None
