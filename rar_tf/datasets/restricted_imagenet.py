"""Restricted ImageNet: nine groups of ImageNet classes, decoded when read.

The groups are those of the robustness library (Engstrom et al., 2019), as used in [FAR].
"""

import dataclasses
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds

from rar_tf.datasets import tfds_source
from rar_tf.datasets.pixels import to_uint8
from rar_tf.datasets.splits import ImageData

IMAGE_SIZE = 224
VALIDATION = 0.05
# Name -> first and last ImageNet label.
GROUPS = {
    "dog": (151, 268),
    "cat": (281, 285),
    "frog": (30, 32),
    "turtle": (33, 37),
    "bird": (80, 100),
    "primate": (365, 382),
    "fish": (389, 397),
    "crab": (118, 121),
    "insect": (300, 319),
}
# Pixels of the shorter side before the central crop, per pixel of the crop: 256 for 224.
_MARGIN = 256 / 224


def restricted_labels(labels: np.ndarray) -> np.ndarray:
    """Positions in `GROUPS` of ImageNet labels 0 .. 999, -1 outside all groups; int32."""
    table = np.full(1000, -1, np.int32)
    for group, (first, last) in enumerate(GROUPS.values()):
        table[first : last + 1] = group
    return table[labels]


class RestrictedImagenet(tfds.core.GeneratorBasedBuilder):
    """TFDS builder: the JPEG files of `imagenet2012` whose class is in a group, unchanged.

    Args:
      source: builder of ImageNet, prepared; None for TFDS's `imagenet2012` in `data_dir`.
      **kwargs: keyword arguments of `tfds.core.GeneratorBasedBuilder`.
    """

    VERSION = tfds.core.Version("1.0.0")

    def __init__(self, *, source: tfds.core.DatasetBuilder | None = None, **kwargs: Any) -> None:
        # Only array_record files can be read by index.
        super().__init__(**{"file_format": "array_record", **kwargs})
        self.source = source

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            description="Nine groups of ImageNet (ILSVRC 2012) classes.",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(encoding_format="jpeg"),
                    "label": tfds.features.ClassLabel(names=list(GROUPS)),
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://www.image-net.org/",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        return {
            "train": self._generate_examples("train"),
            "test": self._generate_examples("validation"),
        }

    def _generate_examples(self, split: str) -> Iterator[Any]:
        source = self.source or tfds.builder("imagenet2012", data_dir=self._data_dir_root)
        examples = source.as_dataset(
            split=split,
            decoders={"image": tfds.decode.SkipDecoding()},
            read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        )
        for number, example in enumerate(examples.as_numpy_iterator()):
            label = int(restricted_labels(example["label"]))
            if label >= 0:
                yield number, {"image": example["image"], "label": label}


@dataclasses.dataclass(frozen=True)
class EncodedSplit:
    """Examples stored as encoded images, decoded when read.

    Args:
      examples: encoded examples by index: {"image": JPEG bytes, "label": integer}.
      indices: [N], indices of the examples of this split.
      image_size: side length S of the images read.
    """

    examples: Sequence
    indices: np.ndarray
    image_size: int

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Examples `indices` [n] as (images uint8 [n, S, S, 3], labels int32 [n])."""
        chosen = [self.examples[int(row)] for row in self.indices[indices]]
        images = _decode([example["image"] for example in chosen], self.image_size)
        return images.numpy(), np.array([example["label"] for example in chosen], np.int32)


def load_restricted_imagenet(
    *,
    data_dir: str | os.PathLike | None,
    manual_dir: str | os.PathLike | None,
    image_size: tuple[int, int] | None,
    seed: int,
) -> ImageData:
    """Restricted ImageNet; test is ImageNet's validation set, validation a seeded 5% of train.

    Images are scaled so that the shorter side is 256 / 224 of the wanted size, and cropped
    to the centre. Memory holds neither images nor files.

    Args:
      data_dir: folder of prepared TFDS data, with `imagenet2012` prepared; None for its default.
      manual_dir: folder of ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar, from which
        TFDS prepares `imagenet2012` first.
      image_size: (height, width), equal; by default 224x224.
      seed: seed of the validation images.

    Raises:
      ValueError: if `image_size` is not a square's.
      FileNotFoundError: if ImageNet is neither prepared nor in `manual_dir`.
    """
    height, width = image_size or (IMAGE_SIZE, IMAGE_SIZE)
    if height != width:
        raise ValueError(
            "image_size of restricted_imagenet must be a square's. "
            f"Received: image_size={height},{width}"
        )
    builder = RestrictedImagenet(data_dir=data_dir)
    if not builder.is_prepared():
        builder.source = _imagenet(data_dir, manual_dir)
        tfds_source.prepare(builder, manual_dir=manual_dir)
    return _image_data(builder, height, seed)


def _imagenet(
    data_dir: str | os.PathLike | None, manual_dir: str | os.PathLike | None
) -> tfds.core.DatasetBuilder:
    source = tfds.builder("imagenet2012", data_dir=data_dir)
    if not source.is_prepared() and manual_dir is None:
        raise FileNotFoundError(
            f"restricted_imagenet needs ImageNet. Expected: TFDS's imagenet2012 prepared in "
            f"{source.data_dir}, or manual_dir (--manual_dir=FOLDER) holding "
            "ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from https://www.image-net.org/"
        )
    tfds_source.prepare(source, manual_dir=manual_dir)
    return source


def _image_data(builder: RestrictedImagenet, size: int, seed: int) -> ImageData:
    encoded = {
        split: builder.as_data_source(split, decoders={"image": tfds.decode.SkipDecoding()})
        for split in ("train", "test")
    }
    order = np.random.default_rng(seed).permutation(len(encoded["train"]))
    held_out = max(1, round(VALIDATION * len(order)))
    return ImageData(
        name="restricted_imagenet",
        num_classes=len(GROUPS),
        image_shape=(size, size, 3),
        class_names=tuple(GROUPS),
        source=f"TFDS copy in {builder.data_dir}, made from imagenet2012",
        train=EncodedSplit(encoded["train"], np.sort(order[held_out:]), size),
        validation=EncodedSplit(encoded["train"], np.sort(order[:held_out]), size),
        test=EncodedSplit(encoded["test"], np.arange(len(encoded["test"])), size),
    )


@tf.function(input_signature=[tf.TensorSpec([None], tf.string), tf.TensorSpec([], tf.int32)])
def _decode(contents: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    def decode(content: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
        shape = tf.shape(image)[:2]
        shorter = tf.cast(tf.reduce_min(shape), tf.float32)
        scale = tf.round(tf.cast(size, tf.float32) * _MARGIN) / shorter
        scaled = tf.maximum(tf.cast(tf.round(tf.cast(shape, tf.float32) * scale), tf.int32), size)
        resized = tf.image.resize(image, scaled, antialias=True)
        top, left = tf.unstack((scaled - size) // 2)
        return to_uint8(resized[top : top + size, left : left + size])

    with tf.device("CPU:0"):
        return tf.map_fn(
            decode,
            contents,
            fn_output_signature=tf.TensorSpec([None, None, 3], tf.uint8),
            parallel_iterations=16,
        )
