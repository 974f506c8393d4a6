"""Data set values: images, labels and their source."""

import dataclasses
import functools
import hashlib
from typing import Protocol

import numpy as np


class Examples(Protocol):
    """Protocol of examples: a length and a read by index."""

    def __len__(self) -> int: ...

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Examples `indices` [n] as (images uint8 [n, H, W, C], labels int32 [n])."""
        ...


@dataclasses.dataclass(frozen=True)
class Split:
    """Decoded examples held in memory.

    Args:
      images: [N, H, W, C] uint8.
      labels: [N] int32.
      files: names of the N image files, for messages; () where there are none.

    Raises:
      ValueError: another shape or dtype, or different lengths.
    """

    images: np.ndarray
    labels: np.ndarray
    files: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.dtype != np.uint8:
            raise ValueError(
                "images must be uint8 [N, H, W, C]. "
                f"Received: {self.images.dtype} {list(self.images.shape)}"
            )
        if self.labels.shape != self.images.shape[:1] or self.labels.dtype != np.int32:
            raise ValueError(
                f"labels must be int32 [{len(self.images)}]. "
                f"Received: {self.labels.dtype} {list(self.labels.shape)}"
            )
        if self.files and len(self.files) != len(self.labels):
            raise ValueError(f"files must be {len(self.labels)} names. Received: {len(self.files)}")

    def __len__(self) -> int:
        return len(self.labels)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Examples `indices` [n] as (images uint8 [n, H, W, C], labels int32 [n])."""
        return self.images[indices], self.labels[indices]

    def part(self, start: int | None, stop: int | None) -> "Split":
        """Examples `start:stop`, as a view."""
        return Split(self.images[start:stop], self.labels[start:stop], self.files[start:stop])

    def take(self, indices: np.ndarray) -> "Split":
        """Examples `indices` [n], in that order, as a copy."""
        files = tuple(self.files[i] for i in indices) if self.files else ()
        split = Split(self.images[indices], self.labels[indices], files)
        if "digests" in vars(self):  # Known already: hashing all pixels again takes seconds.
            vars(split)["digests"] = self.digests[indices]
        return split

    def file(self, index: int) -> str:
        """Name of an image in messages: that of its file, else its number."""
        return self.files[index] if self.files else f"image {index}"

    @functools.cached_property
    def digests(self) -> np.ndarray:
        """Digests [N] uint64 of the images' pixels: equal for equal images."""
        parts = (hashlib.blake2b(image.tobytes(), digest_size=8).digest() for image in self.images)
        return np.frombuffer(b"".join(parts), "<u8")


@dataclasses.dataclass(frozen=True)
class ImageData:
    """An image classification data set.

    Args:
      name: name given to `load`.
      num_classes: number of classes; labels are 0 .. num_classes - 1.
      image_shape: (H, W, C).
      class_names: one name per class.
      source: a sentence on the source of the images.
      train: training examples, or None where the source has none.
      validation: examples for validation, none of them in `train`.
      test: examples for testing.
      missing: files to add to the source for the splits that are None.
      remarks: what was left out or converted of the source, a phrase each.
      is_named: whether the source names the classes; False where their names are their numbers.
    """

    name: str
    num_classes: int
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    source: str
    train: Examples | None
    validation: Examples | None
    test: Examples | None
    missing: str = ""
    remarks: tuple[str, ...] = ()
    is_named: bool = True

    def require(self, split: str) -> Examples:
        """Split named "train", "validation" or "test".

        Raises:
          ValueError: if there is no such name.
          FileNotFoundError: if the source has no such split, with the missing files.
        """
        if split not in ("train", "validation", "test"):
            raise ValueError(
                f'split must be "train", "validation" or "test". Received: split="{split}"'
            )
        examples = getattr(self, split)
        if examples is None:
            raise FileNotFoundError(
                f"{self.name} has no {split} split here ({self.source}). {self.missing}".rstrip()
            )
        return examples
