"""Matching of a data set's classes with those of a model, by name."""

import dataclasses

import numpy as np
from absl import logging

from rar_tf.datasets.record import DataRecord
from rar_tf.datasets.splits import Examples, ImageData, Split


def match_classes(data: ImageData, record: DataRecord) -> ImageData:
    """The data with labels in the numbers of a model's classes.

    Classes are matched by name; by number where the data or the model have no names.

    Args:
      data: a data set whose classes are all of the model's, or some of them, in any order.
      record: record of the model's training data.

    Raises:
      ValueError: the data have a class that the model has not.
    """
    class_names = record.class_names
    if tuple(data.class_names) == class_names:
        return data
    if not data.is_named or not record.is_named:
        return _by_number(data, record)
    if unknown := [name for name in data.class_names if name not in class_names]:
        raise ValueError(
            f"{data.name} must have classes of the model: {', '.join(class_names)}. "
            f"Received: {', '.join(unknown)}, which the model was not trained for"
        )
    logging.info(
        "%s: its classes, %s, are matched by name with those of the model, %s",
        data.name,
        ", ".join(data.class_names),
        ", ".join(class_names),
    )
    numbers = np.array([class_names.index(name) for name in data.class_names], np.int32)
    return dataclasses.replace(
        data,
        num_classes=len(class_names),
        class_names=class_names,
        train=_renumbered(data.train, numbers),
        validation=_renumbered(data.validation, numbers),
        test=_renumbered(data.test, numbers),
    )


def _by_number(data: ImageData, record: DataRecord) -> ImageData:
    classes = len(record.class_names)
    if data.num_classes > classes or (data.is_named and data.num_classes < classes):
        raise ValueError(
            f"{data.name} must have the {classes} classes of the model. "
            f"Received: {data.num_classes}: {', '.join(data.class_names)}"
        )
    unnamed = "the model" if data.is_named else data.name
    logging.info("%s: classes are matched by number, as %s does not name its", data.name, unnamed)
    if data.is_named:
        return data
    return dataclasses.replace(data, num_classes=classes, class_names=record.class_names)


def _renumbered(examples: Examples | None, numbers: np.ndarray) -> Examples | None:
    if examples is None:
        return None
    if isinstance(examples, Split):
        return Split(examples.images, numbers[examples.labels], examples.files)
    return _Renumbered(examples, numbers)


@dataclasses.dataclass(frozen=True)
class _Renumbered:
    """Examples with other class numbers."""

    examples: Examples
    numbers: np.ndarray

    def __len__(self) -> int:
        return len(self.examples)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        images, labels = self.examples.read(indices)
        return images, self.numbers[labels]
