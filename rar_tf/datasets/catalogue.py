"""Data sets by name."""

import functools
import os

from absl import logging

from rar_tf.datasets import cifar10, mnist
from rar_tf.datasets.splits import ImageData

_LOADERS = {
    "mnist": functools.partial(mnist.load_mnist, "mnist"),
    "fashion_mnist": functools.partial(mnist.load_mnist, "fashion_mnist"),
    "cifar10": cifar10.load_cifar10,
}


def names() -> tuple[str, ...]:
    """Names that `load` knows."""
    return tuple(_LOADERS)


def load(
    name: str,
    *,
    data_dir: str | os.PathLike | None = None,
    manual_dir: str | os.PathLike | None = None,
    image_size: int | None = None,
    seed: int = 0,
) -> ImageData:
    """Loads a data set; its `source` and the log say where the images came from.

    Args:
      name: one of `names()`.
      data_dir: where TFDS keeps prepared data; None for its default.
      manual_dir: folder of the data set's own files, placed by hand. When given, no other
        source is looked at.
      image_size: side length in pixels, for data sets that have no size of their own.
      seed: of whatever the data set draws by lot.

    Raises:
      ValueError: if the name is unknown, or files hold something else than expected.
      FileNotFoundError: if no source works; names the ways out.
    """
    if name not in _LOADERS:
        raise ValueError(f"name must be one of {', '.join(names())}. Received: name={name}")
    data = _LOADERS[name](data_dir=data_dir, manual_dir=manual_dir)
    logging.info("%s: %s", name, data.source)
    return data
