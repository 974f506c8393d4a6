"""Images of a split that are training images too."""

import hashlib

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
    training_digests = [_digests(part) for part in training if part is not None]
    digests = _digests(examples)
    if digests is None or any(part is None for part in training_digests):
        return None
    training_set = {digest for part in training_digests for digest in part or ()}
    return np.flatnonzero([digest in training_set for digest in digests])


def _digests(examples: Examples) -> list[bytes] | None:
    if isinstance(examples, BalancedSplit):
        examples = examples.originals()
    if not isinstance(examples, Split):
        return None
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in examples.images]
