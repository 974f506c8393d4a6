"""DataRecord: class names and digests of a data set's images, as a run keeps them."""

import collections
import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from rar_tf.datasets.duplicates import plain_split
from rar_tf.datasets.splits import ImageData

_MOST_NAMES = 3


@dataclasses.dataclass(frozen=True)
class SplitRecord:
    """Images of a split.

    Attributes:
      count: number of images, without warped copies where they are in memory.
      images: digests [count] uint64 of the pixels, in order; None where decoded when read.
      labels: class numbers [count]; None as `images`.
      files: names of the files, for messages; () where unknown.
    """

    count: int
    images: np.ndarray | None = None
    labels: np.ndarray | None = None
    files: tuple[str, ...] = ()

    def file(self, index: int) -> str:
        """Name of an image in messages."""
        return self.files[index] if self.files else f"image {index}"


@dataclasses.dataclass(frozen=True)
class DataRecord:
    """Class names, and digests of the images with their labels by split.

    Neither names nor places of files are part of it: a copy of the data has the same record.

    Attributes:
      class_names: names of the classes in their order.
      image_shape: (H, W, C).
      splits: records of the splits by name.
      is_named: whether the source named the classes, as `ImageData.is_named`.
    """

    class_names: tuple[str, ...]
    image_shape: tuple[int, ...]
    splits: Mapping[str, SplitRecord]
    is_named: bool = True

    @classmethod
    def of(cls, data: ImageData) -> "DataRecord":
        """The record of a data set."""
        splits = {}
        for name in ("train", "validation", "test"):
            examples = getattr(data, name)
            if examples is None:
                continue
            plain = plain_split(examples)
            splits[name] = (
                SplitRecord(len(examples))
                if plain is None
                else SplitRecord(len(plain), plain.digests, plain.labels, plain.files)
            )
        return cls(tuple(data.class_names), tuple(data.image_shape), splits, data.is_named)

    @functools.cached_property
    def digest(self) -> str:
        """Digest of all of it, 32 hexadecimal digits."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps([self.class_names, self.image_shape]).encode())
        for name, split in self.splits.items():
            digest.update(f"{name} {split.count}".encode())
            if split.images is not None and split.labels is not None:
                digest.update(np.ascontiguousarray(split.images, "<u8").tobytes())
                digest.update(np.ascontiguousarray(split.labels, "<i4").tobytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Plain data: class names, image shape, numbers of images and the digest."""
        return {
            "class_names": list(self.class_names),
            "is_named": self.is_named,
            "image_shape": list(self.image_shape),
            "images": {name: split.count for name, split in self.splits.items()},
            "digest": self.digest,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """Digests and labels by `SPLIT_images` and `SPLIT_labels`."""
        return {
            f"{name}_{kind}": values
            for name, split in self.splits.items()
            for kind, values in (("images", split.images), ("labels", split.labels))
            if values is not None
        }

    @classmethod
    def from_plain(cls, described: Any, arrays: Mapping[str, np.ndarray]) -> "DataRecord":
        """The record of `describe` and `arrays`; without arrays, names and numbers alone.

        Raises:
          ValueError: they are not a record, or do not fit each other.
        """
        try:
            splits = {
                name: SplitRecord(
                    int(count), arrays.get(f"{name}_images"), arrays.get(f"{name}_labels")
                )
                for name, count in described["images"].items()
            }
            names, shape = tuple(map(str, described["class_names"])), described["image_shape"]
            is_named = bool(described.get("is_named", True))
            record = cls(names, tuple(map(int, shape)), splits, is_named)
            fits = not arrays or record.digest == described["digest"]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a record of data: {type(error).__name__}: {error}") from error
        if not fits:
            raise ValueError(f"its digest is not {described['digest']}")
        return record


def changes(before: DataRecord, after: DataRecord) -> list[str]:
    """Phrases on what differs between two records; [] if nothing does."""
    if before.digest == after.digest:
        return []
    phrases = []
    if before.class_names != after.class_names:
        phrases.append(_class_changes(before.class_names, after.class_names))
    if before.image_shape != after.image_shape:
        shapes = ("x".join(map(str, record.image_shape)) for record in (before, after))
        phrases.append(f"images {' -> '.join(shapes)}")
    for name in dict.fromkeys([*before.splits, *after.splits]):
        if name not in after.splits or name not in before.splits:
            phrases.append(f"{name} {'missing' if name in before.splits else 'new'}")
        elif text := _split_changes(name, before, after):
            phrases.append(f"{name}: {text}")
    for split in ("validation", "test"):
        if leaked := trained_images(before, after, split):
            before_this = "training images" if len(leaked) > 1 else "a training image"
            phrases.append(f"{_images(len(leaked))} of {split}, {before_this} before")
    return phrases


def trained_images(record: DataRecord, data: DataRecord, split: str) -> list[int]:
    """Numbers of the images of a split that are training images of a record.

    Those that the record has in the same split, too, are left out: they are repetitions in the
    data set as it was, see `duplicates`.
    """
    images = data.splits[split].images if split in data.splits else None
    trained = record.splits["train"].images if "train" in record.splits else None
    if images is None or trained is None or split == "train":
        return []
    same = record.splits[split].images if split in record.splits else None
    repeated = np.zeros(len(images), bool) if same is None else np.isin(images, same)
    return [int(i) for i in np.flatnonzero(np.isin(images, trained) & ~repeated)]


def _class_changes(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    added = [name for name in after if name not in before]
    removed = [name for name in before if name not in after]
    if not added and not removed:
        return f"classes in another order: {', '.join(before)} -> {', '.join(after)}"
    parts = [f"{', '.join(added)} added"] if added else []
    parts += [f"{', '.join(removed)} removed"] if removed else []
    return f"classes: {', '.join(parts)}"


def _split_changes(name: str, before: DataRecord, after: DataRecord) -> str:
    old, new = before.splits[name], after.splits[name]
    if old.images is None or new.images is None or old.labels is None or new.labels is None:
        return "" if old.count == new.count else f"{old.count:,} -> {new.count:,} images"
    old_class = _classes_by_image(old.images, old.labels, before.class_names)
    remaining = collections.Counter(old.images.tolist())
    added, relabelled = list[int](), list[int]()
    for index, image in enumerate(new.images.tolist()):
        if not remaining[image]:
            added.append(index)
            continue
        remaining[image] -= 1
        if after.class_names[int(new.labels[index])] not in old_class[image]:
            relabelled.append(index)
    removed = sum((+remaining).values())
    parts = [f"{_count(added, new)} added"] if added else []
    parts += [f"{removed:,} removed"] if removed else []
    parts += [f"{_count(relabelled, new)} of another class"] if relabelled else []
    if not parts and not np.array_equal(old.images, new.images):
        parts = ["another order of its images"]
    return ", ".join(parts)


def _classes_by_image(
    images: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]
) -> dict[int, set[str]]:
    classes: dict[int, set[str]] = {}
    for image, label in zip(images.tolist(), labels.tolist(), strict=True):
        classes.setdefault(image, set()).add(class_names[label])
    return classes


def _count(indices: list[int], split: SplitRecord) -> str:
    """Number of images, with the names of the first."""
    names = ", ".join(split.file(i) for i in indices[:_MOST_NAMES]) if split.files else ""
    more = ", ..." if len(indices) > _MOST_NAMES else ""
    return f"{_images(len(indices))}{f' ({names}{more})' if names else ''}"


def _images(count: int) -> str:
    return f"{count:,} image{'' if count == 1 else 's'}"
