"""Custom images: class-named folders, a CSV manifest, or any TFDS data set."""

import collections
import os
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow_datasets as tfds

from rar_tf.datasets import tfds_source
from rar_tf.datasets.arrays import to_split
from rar_tf.datasets.assemble import SPLITS, assemble
from rar_tf.datasets.class_order import class_order, plain_name, read_class_file
from rar_tf.datasets.image_files import SUFFIXES
from rar_tf.datasets.image_folder import CLASS_FILE, list_folder
from rar_tf.datasets.manifest import read_manifest
from rar_tf.datasets.read_files import Form, read_files
from rar_tf.datasets.splits import ImageData, Split

# Class, path of the file and its name in messages.
_Files = Sequence[tuple[str, pathlib.Path, str]]


def load_folder(
    path: str, *, form: Form, classes: tuple[str, ...] | None = None, seed: int
) -> ImageData:
    """Custom data: images in one folder per class, read in order of their names.

    PATH/CLASS/..., or PATH/{train,validation,test}/CLASS/..., see `image_folder.list_folder`.
    Missing splits are drawn from the training images; see `assemble`.

    Args:
      path: path of the folder.
      form: size and channels of the images.
      classes: names of the classes in their order; None for that of PATH/classes.txt if it names
        them, else of `class_order`.
      seed: seed of the splits that are drawn.

    Raises:
      FileNotFoundError: if there is no such folder.
      ValueError: if there are no images, fewer than two classes, images of different sizes
        without a size to scale to, or a file that is no complete image.
    """
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"folder:PATH must name a folder. Received: PATH={path}")
    listing = list_folder(root)
    names = listing.splits.get("train") or {n for split in listing.splits.values() for n in split}
    for part, by_class in listing.splits.items():
        if unknown := sorted(name for name in by_class if name not in names):
            raise ValueError(
                f"{root} must have in {part} the classes of the training images. "
                f"Received: {', '.join(unknown)}"
            )
    splits = {
        part: [
            (name, file, str(file.relative_to(root)))
            for name, files in by_class.items()
            for file in files
        ]
        for part, by_class in listing.splits.items()
    }
    if not any(splits.values()):
        endings = ", ".join(sorted(SUFFIXES))
        raise ValueError(
            f"{root} must hold images in one folder per class, files of {endings}. Received: none"
            + "".join(f"; {remark}" for remark in listing.remarks)
        )
    remarks = list(listing.remarks)
    if classes is None and (root / CLASS_FILE).is_file():
        given = tuple(read_class_file(root / CLASS_FILE))
        is_order = len(given) == len(names) and set(given) == set(names)
        classes = given if is_order else None
        use = "gives the order of the classes" if is_order else "is not used: it has other names"
        remarks.append(f"{CLASS_FILE} {use}")
    order = class_order(names, classes, f"folder:{path}")
    return _from_files(
        f"folder:{path}", f"images in {root}", splits, order, form, seed, tuple(remarks)
    )


def load_csv(
    path: str, *, form: Form, classes: tuple[str, ...] | None = None, seed: int
) -> ImageData:
    """Custom data: a CSV file with the columns path, label and, where given, split.

    Args:
      path: path of the file, see `manifest.read_manifest`.
      form: size and channels of the images.
      classes: names of the classes in their order; None for that of `class_order`.
      seed: seed of the splits that are drawn; see `assemble`.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: as `read_manifest`, and for its images as `load_folder`.
    """
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"csv:FILE must name a file. Received: FILE={path}")
    rows, remarks = read_manifest(file)
    trained = {row.label for row in rows if row.split == "train"}
    names = trained or {row.label for row in rows}
    for row in rows:
        if row.label not in names:
            raise ValueError(
                f"row {row.number} of {file} must have a label of the training images. "
                f"Received: {row.label}, for {row.name}"
            )
    order = class_order(names, classes, f"csv:{path}")
    splits = {
        part: [(row.label, row.path, row.name) for row in rows if row.split == part]
        for part in SPLITS
    }
    return _from_files(f"csv:{path}", f"images named in {file}", splits, order, form, seed, remarks)


def load_tfds(
    name: str,
    *,
    data_dir: str | os.PathLike | None,
    manual_dir: str | os.PathLike | None,
    form: Form,
    classes: tuple[str, ...] | None = None,
    seed: int,
) -> ImageData:
    """Custom data: any TFDS data set with the features "image" and "label".

    Args:
      name: NAME or NAME/CONFIG as TFDS knows it.
      data_dir: folder of prepared TFDS data; None for the default.
      manual_dir: folder of files placed by hand, for data sets that need them.
      form: size and channels of the images.
      classes: names of the classes in their order; None for that of TFDS.
      seed: seed of the splits that are drawn; see `assemble`.

    Raises:
      ValueError: if TFDS has no such data set, or its examples are not labelled images.
      FileNotFoundError: if it is neither prepared nor can be downloaded.
    """
    # For an unknown name TFDS would search Google Storage, for minutes.
    if name.split("/")[0] not in tfds.list_builders(with_community_datasets=False):
        raise ValueError(f"tfds:NAME must be a data set of TFDS. Received: NAME={name}")
    builder = tfds.builder(name, data_dir=data_dir)
    features = builder.info.features
    if not {"image", "label"} <= set(features) or not isinstance(
        features["label"], tfds.features.ClassLabel
    ):
        raise ValueError(
            f"tfds:{name} must have an image and a class label. Received: {', '.join(features)}"
        )
    try:
        tfds_source.prepare(builder, manual_dir=manual_dir)
    except ConnectionError as error:
        raise FileNotFoundError(
            f"tfds:{name} is not prepared in {builder.data_dir}: {error}"
        ) from error
    parts = [part for part in SPLITS if part in builder.info.splits]
    stored = [plain_name(label) for label in builder.info.features["label"].names]
    order = stored if classes is None else class_order(stored, classes, f"tfds:{name}")
    numbers = np.array([order.index(label) for label in stored], np.int32)
    splits = {part: _read_tfds(builder, part, form, numbers) for part in parts}
    source = f"TFDS copy in {builder.data_dir}"
    return assemble(f"tfds:{name}", source, splits, tuple(order), seed)


def _from_files(
    name: str,
    source: str,
    files: Mapping[str, _Files],
    class_names: tuple[str, ...],
    form: Form,
    seed: int,
    remarks: tuple[str, ...],
) -> ImageData:
    """The data set of files by split."""
    splits, conversions = {}, collections.Counter[str]()
    number = {name: label for label, name in enumerate(class_names)}
    for part, entries in files.items():
        if not entries:
            continue
        # In the order of the classes; within a class as they come.
        entries = sorted(entries, key=lambda entry: number[entry[0]])
        labels = np.array([number[label] for label, _, _ in entries], np.int32)
        shown = tuple(shown for _, _, shown in entries)
        images, converted = read_files([path for _, path, _ in entries], shown, form)
        splits[part] = Split(images, labels, shown)
        conversions += converted
    notes = [f"{count:,} images {text}" for text, count in sorted(conversions.items())]
    return assemble(name, source, splits, class_names, seed, (*remarks, *notes))


def _read_tfds(
    builder: tfds.core.DatasetBuilder, part: str, form: Form, numbers: np.ndarray
) -> Split:
    examples = builder.as_dataset(
        split=part, read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    )
    images, labels = [], []
    for example in examples.as_numpy_iterator():
        images.append(form.scale(example["image"]))
        labels.append(numbers[example["label"]])
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise ValueError(
            f"images of {builder.name} {part} must have one size, or image_size be given "
            f"(--image_size). Received: {len(shapes)} shapes, such as {sorted(shapes)[:2]}"
        )
    unscaled = Form(channels=form.channels)
    return to_split(np.stack(images), np.array(labels), unscaled, builder.name)
