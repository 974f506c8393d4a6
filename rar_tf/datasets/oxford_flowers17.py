"""Oxford Flowers 17: 17 classes of 80 photographs [Nilsback and Zisserman, CVPR 2006]."""

import dataclasses
import os
import tarfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from rar_tf.datasets import archives, pixels, tfds_source
from rar_tf.datasets.augment import BalancedSplit
from rar_tf.datasets.image_files import decode_file
from rar_tf.datasets.partition import hold_out
from rar_tf.datasets.splits import ImageData, Split

IMAGE_SIZE = (128, 128)
PER_CLASS = 1_000
IMAGES_PER_CLASS = 80
_ARCHIVE = "17flowers.tgz"
# The archive's images are in class order.
CLASS_NAMES = (
    "daffodil", "snowdrop", "lily of the valley", "bluebell", "crocus", "iris", "tigerlily",
    "tulip", "fritillary", "sunflower", "daisy", "coltsfoot", "dandelion", "cowslip",
    "buttercup", "windflower", "pansy",
)  # fmt: skip


@dataclasses.dataclass
class OxfordFlowers17Config(tfds.core.BuilderConfig):
    """Height and width of the stored images."""

    image_size: tuple[int, int] = IMAGE_SIZE


class OxfordFlowers17(archives.ArchiveBuilder):
    """TFDS builder of Flowers 17: one split, "full", in the order of the archive."""

    VERSION = tfds.core.Version("1.1.0")
    URLS = {_ARCHIVE: f"https://www.robots.ox.ac.uk/~vgg/data/flowers/17/{_ARCHIVE}"}

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.image_size
        return self.dataset_info_from_configs(
            description="17 Category Flower Dataset, Visual Geometry Group, Oxford.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(*size, 3)),
                    "label": tfds.features.ClassLabel(names=list(CLASS_NAMES)),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://www.robots.ox.ac.uk/~vgg/data/flowers/17/",
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {"full": self._generate_examples(self.archives(dl_manager)[_ARCHIVE])}

    def _generate_examples(self, path: Any) -> Iterator[Any]:
        url, size = self.URLS[_ARCHIVE], self.builder_config.image_size
        count = IMAGES_PER_CLASS * len(CLASS_NAMES)
        numbers = {f"jpg/image_{number + 1:04d}.jpg": number for number in range(count)}
        with archives.refuse_damaged(path, url), tarfile.open(path, "r:gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                number = numbers.pop(member.name, None) if file else None
                if file is None or number is None:
                    continue
                image = decode_file(file.read(), member.name).pixels
                yield (
                    number,
                    {
                        "image": pixels.resize(image, size),
                        "label": number // IMAGES_PER_CLASS,
                    },
                )
        if numbers:
            raise ValueError(
                f"{path} must hold the {count} images of the archive of {url}. Received: "
                f"{count - len(numbers)} of them, without {min(numbers)}"
            )


def load_oxford_flowers17(
    *,
    data_dir: str | os.PathLike | None,
    manual_dir: str | os.PathLike | None,
    image_size: tuple[int, int] | None,
    seed: int,
) -> ImageData:
    """Flowers 17 as in the RAR experiments: 1,224 + 136 images for training and testing.

    Of the 80 images of a class, 8 drawn by `seed` are for testing and 8 of the remaining for
    validation. `train` is a `BalancedSplit` of 1,000 images a class; its `source` holds the
    remaining 64 a class.

    Args:
      data_dir: folder of prepared TFDS data; None for the default.
      manual_dir: folder of the official archive.
      image_size: (height, width); by default 128x128. The aspect is not kept.
      seed: seed of the partition and of the warped training images.

    Raises:
      FileNotFoundError: if the archive is missing and cannot be downloaded.
      ValueError: if the archive is truncated, corrupted or another one.
    """
    size = image_size or IMAGE_SIZE
    config = OxfordFlowers17Config(name="x".join(map(str, size)), image_size=size)
    builder = OxfordFlowers17(archive_dir=manual_dir, data_dir=data_dir, config=config)
    source = archives.prepare(builder)
    arrays = tfds_source.read_in_file_order(builder, "full")
    full = Split(arrays["image"], arrays["label"].astype(np.int32))
    in_test = hold_out(full.labels, 1 / 10, seed=seed)
    remaining = Split(full.images[~in_test], full.labels[~in_test])
    in_validation = hold_out(remaining.labels, 1 / 9, seed=seed)
    plain = Split(remaining.images[~in_validation], remaining.labels[~in_validation])
    return ImageData(
        name="oxford_flowers17",
        num_classes=len(CLASS_NAMES),
        image_shape=(*size, 3),
        class_names=CLASS_NAMES,
        source=source,
        train=BalancedSplit(plain, per_class=PER_CLASS, seed=seed),
        validation=Split(remaining.images[in_validation], remaining.labels[in_validation]),
        test=Split(full.images[in_test], full.labels[in_test]),
    )
