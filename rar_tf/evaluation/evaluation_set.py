"""EvaluationSet: the images of an evaluation, from a data set, a split or arrays."""

from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from rar_tf.checks import check_count
from rar_tf.datasets import Examples, ImageData, to_unit

BATCH = 256


class EvaluationSet:
    """The first examples of a split or of arrays, as float32 pixels in [0, 1]."""

    def __init__(
        self,
        dataset: ImageData | Examples | tuple[np.ndarray, np.ndarray],
        *,
        split: str = "test",
        num_examples: int | None = None,
    ):
        """
        Args:
          dataset: an ImageData, of which `split` is taken; a split; or (images [N, H, W, C],
            uint8 or floats in [0, 1]; labels [N]).
          split: "train", "validation" or "test" of an ImageData.
          num_examples: number of images, from the first; None for all.

        Raises:
          ValueError: no image, or arrays of another shape, type or range.
        """  # fmt: skip
        self.name, self.source, self.split = "arrays", "arrays in memory", "all"
        self.num_classes: int | None = None
        self.class_names: tuple[str, ...] | None = None
        if isinstance(dataset, ImageData):
            self.name, self.source, self.split = dataset.name, dataset.source, split
            self.num_classes, self.class_names = dataset.num_classes, dataset.class_names
            dataset = dataset.require(split)
        if isinstance(dataset, tuple):
            dataset = _Arrays(*dataset)
        if num_examples is not None:
            check_count("num_examples", num_examples)
        self._examples = dataset
        self._size = len(dataset) if num_examples is None else min(num_examples, len(dataset))
        if not self._size:
            raise ValueError(
                "the evaluation needs at least one image. Received: an empty set of images"
            )
        self.image_shape: tuple[int, int, int] = self.read(np.arange(1))[0].shape[1:]

    def __len__(self) -> int:
        return self._size

    @property
    def signature(self) -> list[tf.TensorSpec]:
        """Signature of (x, y) for any number of images: a function with it is traced once."""
        x = tf.TensorSpec([None, *self.image_shape], tf.float32)
        return [x, tf.TensorSpec([None], tf.int32)]

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(x [n, H, W, C] float32 in [0, 1], y [n] int32) of `indices`."""
        images, labels = self._examples.read(np.asarray(indices))
        x = to_unit(images) if images.dtype == np.uint8 else images.astype(np.float32)
        return x, np.asarray(labels, np.int32)

    def batches(self, batch_size: int = BATCH) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (x, y) in order."""
        for start in range(0, self._size, batch_size):
            yield self.read(np.arange(start, min(start + batch_size, self._size)))


class _Arrays:
    """Images and labels of a user, validated."""

    def __init__(self, images: np.ndarray, labels: np.ndarray):
        images, labels = np.asarray(images), np.asarray(labels)
        if images.ndim != 4 or 0 in images.shape[1:]:
            raise ValueError(f"images must be [N, H, W, C]. Received: shape {images.shape}")
        if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(
                f"labels must be integers [{len(images)}]. "
                f"Received: {labels.dtype} {list(labels.shape)}"
            )
        if images.dtype != np.uint8:
            if not np.issubdtype(images.dtype, np.floating):
                raise ValueError(f"images must be uint8 or floating. Received: {images.dtype}")
            low, high = (float(f(images)) if images.size else 0.0 for f in (np.min, np.max))
            if not (low >= 0 and high <= 1):
                raise ValueError(f"pixels must be in [0, 1]. Received: pixels in [{low}, {high}]")
        self._images, self._labels = images, labels

    def __len__(self) -> int:
        return len(self._labels)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._images[indices], self._labels[indices]
