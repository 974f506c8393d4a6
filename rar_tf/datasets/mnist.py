"""MNIST and Fashion-MNIST: TFDS, a system copy, or IDX files placed by hand."""

import os
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from rar_tf.datasets import idx, tfds_source
from rar_tf.datasets.splits import ImageData, Split

VALIDATION = 5_000

_CLASS_NAMES = {
    "mnist": tuple(str(digit) for digit in range(10)),
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
}  # fmt: skip
# Debian's package dataset-fashion-mnist installs here; MNIST has no such package.
SYSTEM_FOLDERS = {"fashion_mnist": pathlib.Path("/usr/share/datasets/fashion-mnist")}


def load_mnist(
    name: str, *, data_dir: str | os.PathLike | None, manual_dir: str | os.PathLike | None
) -> ImageData:
    """MNIST or Fashion-MNIST; validation is the last 5,000 of the 60,000 training images.

    The first available source is read: `manual_dir` (no other source if given), a copy in
    `data_dir` that TFDS prepared earlier, a system copy, a download by TFDS. The contents of
    every source are checked against the digests of the published files.

    Args:
      name: "mnist" or "fashion_mnist".
      data_dir: folder of prepared TFDS data; None for the default.
      manual_dir: folder of the IDX files, .gz or plain. One pair of files is enough: the
        splits of the other are None.

    Raises:
      FileNotFoundError: if no source is available, with the options.
      ValueError: if a file is truncated, corrupted, or another data set's.
    """
    if manual_dir is not None:
        return _from_folder(name, pathlib.Path(manual_dir), "IDX files in manual_dir")
    builder = tfds.builder(name, data_dir=data_dir)
    if builder.is_prepared():
        return _from_tfds(name, builder, "prepared TFDS copy in")
    system = SYSTEM_FOLDERS.get(name)
    if system is not None and all(idx.find(system, part) for part in idx.FILES):
        return _from_folder(name, system, "system copy of the IDX files in")
    try:
        tfds_source.prepare(builder)
    except ConnectionError as error:
        raise FileNotFoundError(_options(name, builder, error)) from error
    return _from_tfds(name, builder, "downloaded by TFDS to")


def _options(name: str, builder: tfds.core.DatasetBuilder, error: ConnectionError) -> str:
    files = ", ".join(f"{spec.file_name}.gz" for spec in idx.FILES.values())
    options = (
        f"{name} was not found. Options: (1) a network, or a copy that TFDS prepared, in "
        f"{builder.data_dir} ({error}); (2) manual_dir (--manual_dir=FOLDER) holding {files}, "
        "compressed or not"
    )
    if name in SYSTEM_FOLDERS:
        options += "; (3) on Debian or Ubuntu, `apt-get install dataset-fashion-mnist`"
    return options


def _from_folder(name: str, folder: pathlib.Path, source: str) -> ImageData:
    paths = {part: idx.find(folder, part) for part in idx.FILES}
    splits = {}
    for split in ("train", "test"):
        image_path, label_path = paths[f"{split}_images"], paths[f"{split}_labels"]
        if image_path and label_path:
            splits[split] = _split(
                idx.read(image_path, f"{split}_images", name),
                idx.read(label_path, f"{split}_labels", name),
            )
    absent = [f"{idx.FILES[part].file_name}.gz" for part, path in paths.items() if not path]
    missing = f"Missing in {folder}: {', '.join(absent)} (compressed or not)" if absent else ""
    if not splits:
        raise FileNotFoundError(f"{name} needs the IDX images and labels. {missing}")
    return _image_data(name, f"{source} {folder}", splits, missing)


def _from_tfds(name: str, builder: tfds.core.DatasetBuilder, source: str) -> ImageData:
    splits = {}
    for split in ("train", "test"):
        arrays = tfds_source.read_in_file_order(builder, split)
        images, labels = arrays["image"][..., 0], arrays["label"].astype(np.uint8)
        origin = f"{builder.data_dir} ({split})"
        idx.verify(idx.encode(images), f"{split}_images", name, origin)
        idx.verify(idx.encode(labels), f"{split}_labels", name, origin)
        splits[split] = _split(images, labels)
    return _image_data(name, f"{source} {builder.data_dir}", splits, "")


def _split(images: np.ndarray, labels: np.ndarray) -> Split:
    return Split(images[..., np.newaxis], labels.astype(np.int32))


def _image_data(name: str, source: str, splits: dict[str, Split], missing: str) -> ImageData:
    training = splits.get("train")
    return ImageData(
        name=name,
        num_classes=10,
        image_shape=(28, 28, 1),
        class_names=_CLASS_NAMES[name],
        source=source,
        train=training and training.part(None, -VALIDATION),
        validation=training and training.part(-VALIDATION, None),
        test=splits.get("test"),
        missing=missing,
    )
