"""Images of a split that are training images too."""

import hashlib

import numpy as np

from rar_tf.datasets.augment import BalancedSplit
from rar_tf.datasets.splits import Examples, ImageData, Split


def duplicates(data: ImageData, split: str = "test") -> np.ndarray | None:
    """Indices [n] of the images of a split that are, pixel by pixel, training images.

    Training images are those of train and validation, without the warped copies.

    Args:
      data: a data set.
      split: "test", or "validation", which is compared with train alone.

    Returns:
      int64 [n], increasing; None where images are decoded as they are read, and not compared.

    Raises:
      ValueError, FileNotFoundError: as `ImageData.require`.
    """
    looked_at = data.require(split)
    learned_from = [data.train, data.validation] if split == "test" else [data.train]
    known = [_digests(part) for part in learned_from if part is not None]
    own = _digests(looked_at)
    if own is None or any(part is None for part in known):
        return None
    seen = {digest for part in known for digest in part or ()}
    return np.flatnonzero([digest in seen for digest in own])


def _digests(examples: Examples) -> list[bytes] | None:
    if isinstance(examples, BalancedSplit):
        examples = examples.originals()
    if not isinstance(examples, Split):
        return None
    return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in examples.images]
