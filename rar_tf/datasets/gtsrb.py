"""GTSRB, the German Traffic Sign Recognition Benchmark, 43 classes [Stallkamp et al. 2012]."""

import csv
import dataclasses
import io
import os
import pathlib
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from rar_tf.datasets import archives, pixels, tfds_source
from rar_tf.datasets.augment import BalancedSplit, equalize_all
from rar_tf.datasets.partition import hold_out
from rar_tf.datasets.splits import ImageData, Split

IMAGE_SIZE = (32, 32)
PER_CLASS = 10_000
NUM_IMAGES = {"train": 39_209, "test": 12_630}
_URL = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
_TRAIN, _TEST, _TRUTH = (
    f"GTSRB_Final_{part}.zip" for part in ("Training_Images", "Test_Images", "Test_GT")
)
_FILE_NAME = re.compile(r"(?:\d{5}_)?\d{5}\.ppm")

CLASS_NAMES = (
    "speed limit 20", "speed limit 30", "speed limit 50", "speed limit 60", "speed limit 70",
    "speed limit 80", "end of speed limit 80", "speed limit 100", "speed limit 120",
    "no passing", "no passing over 3.5 t", "right of way at next intersection",
    "priority road", "yield", "stop", "no vehicles", "no vehicles over 3.5 t", "no entry",
    "general caution", "dangerous curve left", "dangerous curve right", "double curve",
    "bumpy road", "slippery road", "road narrows on the right", "road work",
    "traffic signals", "pedestrians", "children crossing", "bicycles crossing",
    "beware of ice or snow", "wild animals crossing", "end of all limits",
    "turn right ahead", "turn left ahead", "ahead only", "go straight or right",
    "go straight or left", "keep right", "keep left", "roundabout", "end of no passing",
    "end of no passing over 3.5 t",
)  # fmt: skip


@dataclasses.dataclass
class GtsrbConfig(tfds.core.BuilderConfig):
    """Image size, and whether images are cropped to the annotated sign."""

    image_size: tuple[int, int] = IMAGE_SIZE
    crop: bool = False


class Gtsrb(archives.ArchiveBuilder):
    """TFDS builder of GTSRB: image, label and, for training images, the track."""

    VERSION = tfds.core.Version("1.0.0")
    URLS = {name: _URL + name for name in (_TRAIN, _TEST, _TRUTH)}

    def _info(self) -> tfds.core.DatasetInfo:
        size = self.builder_config.image_size
        return self.dataset_info_from_configs(
            description="German Traffic Sign Recognition Benchmark (IJCNN 2011).",
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(*size, 3)),
                    "label": tfds.features.ClassLabel(num_classes=len(CLASS_NAMES)),
                    "track": np.int32,
                }
            ),
            supervised_keys=("image", "label"),
            homepage="https://benchmark.ini.rub.de/gtsrb_dataset.html",
            metadata=tfds.core.MetadataDict(),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Any]:
        paths = self.archives(dl_manager)
        return {
            "train": self._generate_examples("train", paths),
            "test": self._generate_examples("test", paths),
        }

    def _generate_examples(self, split: str, paths: dict[str, Any]) -> Iterator[Any]:
        image_archive = _TRAIN if split == "train" else _TEST
        path, url = paths[image_archive], self.URLS[image_archive]
        number = -1
        with archives.refuse_damaged(path, url), zipfile.ZipFile(path) as archive:
            if split == "train":
                rows = _training_rows(archive, url)
            else:
                rows = _test_rows(paths[_TRUTH], self.URLS[_TRUTH])
            for number, (member, row) in enumerate(rows):
                image = pixels.decode_ppm(archives.zip_member(archive, member, url), member)
                yield number, self._example(image, member, row)
        if number + 1 != NUM_IMAGES[split]:
            raise ValueError(
                f"{path} must hold {NUM_IMAGES[split]} annotated images, as the archive of {url} "
                f"does. Received: {number + 1}"
            )

    def _example(self, image: np.ndarray, member: str, row: dict[str, str]) -> dict:
        label = int(row["ClassId"])
        if not 0 <= label < len(CLASS_NAMES):
            raise ValueError(
                f"ClassId of {member} must be 0 .. {len(CLASS_NAMES) - 1}. Received: {label}"
            )
        if self.builder_config.crop:
            image = _crop(image, row)
        size = self.builder_config.image_size
        track, _, _ = row["Filename"].rpartition("_")
        return {
            "image": pixels.resize(image, size),
            "label": label,
            "track": int(track or -1),
        }


def load_gtsrb(
    *,
    data_dir: str | os.PathLike | None,
    manual_dir: str | os.PathLike | None,
    image_size: tuple[int, int] | None,
    seed: int,
    crop: bool = False,
) -> ImageData:
    """GTSRB as in the RAR experiments: balanced training classes, equalized channels.

    Validation is about a tenth of the tracks of each class: the 30 frames of a track show
    one sign and are near copies, so a track is never divided. `train` is a `BalancedSplit`
    of 10,000 images a class; its `source` holds the plain training images. Every channel's
    histogram is equalized, in validation and test too.

    Args:
      data_dir: folder of prepared TFDS data; None for the default.
      manual_dir: folder of the three official archives.
      image_size: (height, width); by default 32x32. The aspect is not kept.
      seed: seed of the validation tracks and of the warped training images.
      crop: whether to crop to the annotated sign first; the RAR experiments do not.

    Raises:
      FileNotFoundError: if an archive is missing and cannot be downloaded.
      ValueError: if an archive is truncated, corrupted or another one.
    """
    size = image_size or IMAGE_SIZE
    name = "x".join(map(str, size)) + ("_crop" if crop else "")
    config = GtsrbConfig(name=name, image_size=size, crop=crop)
    builder = Gtsrb(archive_dir=manual_dir, data_dir=data_dir, config=config)
    source = archives.prepare(builder)
    train = tfds_source.read_in_file_order(builder, "train")
    test = tfds_source.read_in_file_order(builder, "test")
    held_out = hold_out(train["label"], 0.1, seed=seed, groups=train["track"])
    plain = Split(train["image"][~held_out], train["label"][~held_out].astype(np.int32))
    return ImageData(
        name="gtsrb",
        num_classes=len(CLASS_NAMES),
        image_shape=(*size, 3),
        class_names=CLASS_NAMES,
        source=source,
        train=BalancedSplit(plain, per_class=PER_CLASS, seed=seed, equalized=True),
        validation=_equalized_split(train["image"][held_out], train["label"][held_out]),
        test=_equalized_split(test["image"], test["label"]),
    )


def _training_rows(archive: zipfile.ZipFile, url: str) -> Iterator[tuple[str, dict[str, str]]]:
    for label in range(len(CLASS_NAMES)):
        folder = f"GTSRB/Final_Training/Images/{label:05d}/"
        table = archives.zip_member(archive, f"{folder}GT-{label:05d}.csv", url)
        for row in _rows(table, f"{folder}GT-{label:05d}.csv"):
            yield folder + row["Filename"], row


def _test_rows(path: pathlib.Path, url: str) -> Iterator[tuple[str, dict[str, str]]]:
    with archives.refuse_damaged(path, url), zipfile.ZipFile(path) as archive:
        table = archives.zip_member(archive, "GT-final_test.csv", url)
    for row in _rows(table, "GT-final_test.csv"):
        yield "GTSRB/Final_Test/Images/" + row["Filename"], row


def _rows(table: bytes, origin: str) -> Iterator[dict[str, str]]:
    columns = {"Filename", "Width", "Height", "Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId"}
    reader = csv.DictReader(io.StringIO(table.decode("ascii")), delimiter=";")
    if not columns <= set(reader.fieldnames or ()):
        raise ValueError(
            f"{origin} must have the columns {', '.join(sorted(columns))}. "
            f"Received: {reader.fieldnames}"
        )
    for row in reader:
        # The name becomes part of a member's path, which must stay in this folder.
        if not _FILE_NAME.fullmatch(row["Filename"]):
            raise ValueError(
                f"{origin} must name images like 00000_00000.ppm or 00000.ppm. "
                f"Received: {row['Filename']!r}"
            )
        yield row


def _crop(image: np.ndarray, row: dict[str, str]) -> np.ndarray:
    # The table counts pixels of the original image; the archive may hold a scaled one.
    scale = np.array(image.shape[1::-1]) / [int(row["Width"]), int(row["Height"])]
    left, top = np.floor(scale * [int(row["Roi.X1"]), int(row["Roi.Y1"])]).astype(int)
    right, bottom = np.ceil(scale * [int(row["Roi.X2"]) + 1, int(row["Roi.Y2"]) + 1]).astype(int)
    return image[top:bottom, left:right]


def _equalized_split(images: np.ndarray, labels: np.ndarray) -> Split:
    return Split(equalize_all(images), labels.astype(np.int32))
