"""Custom images: class-named folders, an .npz file, or any TFDS data set."""

import os
import pathlib

import numpy as np
import tensorflow_datasets as tfds

from rar_tf.datasets import pixels, tfds_source
from rar_tf.datasets.assemble import SPLITS, assemble
from rar_tf.datasets.splits import ImageData, Split
from rar_tf.files import read_npz

_SUFFIXES = {".png", ".jpg", ".jpeg"}


def load_folder(path: str, *, image_size: tuple[int, int] | None, seed: int) -> ImageData:
    """Custom data: images in one folder per class, read in order of their names.

    PATH/CLASS/*.png, or PATH/{train,validation,test}/CLASS/*.png. Missing splits
    are drawn from the training images; see `assemble`.

    Args:
      path: path of the folder.
      image_size: (height, width) to scale to; None if all images have one size.
      seed: seed of the splits that are drawn.

    Raises:
      FileNotFoundError: if there is no such folder.
      ValueError: if there are no images, fewer than two classes, images of different sizes
        without `image_size`, or a file that is not a PNG or JPEG.
    """
    root = pathlib.Path(path).expanduser()
    if not root.is_dir():
        raise FileNotFoundError(f"folder:PATH must name a folder. Received: PATH={path}")
    folders = {name: root / name for name in SPLITS if (root / name).is_dir()}
    if "train" not in folders:
        folders = {"train": root}
    classes = (child.name for child in folders["train"].iterdir() if child.is_dir())
    class_names = tuple(sorted(classes))
    splits = {
        name: _read_folder(folder, class_names, image_size) for name, folder in folders.items()
    }
    return assemble(f"folder:{path}", f"images in {root}", splits, class_names, seed)


def load_npz(path: str, *, image_size: tuple[int, int] | None, seed: int) -> ImageData:
    """Custom data: an .npz file of images and labels.

    Its arrays are `images` and `labels`, or `train_images`, `train_labels`, `test_images`, ...

    Images are [N, H, W] or [N, H, W, 1 or 3], integers in [0, 255] or floats in [0, 1]
    (rounded to 256 levels); labels are [N] integers from 0. `class_names` [classes] are optional.
    Pickled arrays are refused: unpickling may execute code.

    Args:
      path: path of the .npz file.
      image_size: (height, width) to scale to; None to keep the images' size.
      seed: seed of the splits that are drawn; see `assemble`.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if arrays are missing, or have another shape, type or range.
    """
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"npz:PATH must name a file. Received: PATH={path}")
    arrays = read_npz(file)
    prefixes = {name: f"{name}_" for name in SPLITS if f"{name}_images" in arrays}
    if "train" not in prefixes:
        prefixes = {"train": ""}
    missing = {f"{p}{kind}" for p in prefixes.values() for kind in ("images", "labels")}
    missing -= set(arrays)
    if missing:
        raise ValueError(
            f"{path} must hold images and labels, or train_images and train_labels. "
            f"Received: {', '.join(sorted(arrays))}"
        )
    splits = {
        name: _to_split(arrays[f"{p}images"], arrays[f"{p}labels"], image_size, f"{path} {name}")
        for name, p in prefixes.items()
    }
    class_names = tuple(map(str, arrays["class_names"])) if "class_names" in arrays else None
    if class_names is None:
        count = 1 + max(int(split.labels.max(initial=0)) for split in splits.values())
        if count > max(1, sum(map(len, splits.values()))):
            raise ValueError(
                f"labels of {path} must be 0 .. classes - 1, with images of each. "
                f"Received: a label {count - 1} in {sum(map(len, splits.values()))} images"
            )
        class_names = tuple(str(label) for label in range(count))
    return assemble(f"npz:{path}", f"arrays in {file}", splits, class_names, seed)


def load_tfds(
    name: str,
    *,
    data_dir: str | os.PathLike | None,
    manual_dir: str | os.PathLike | None,
    image_size: tuple[int, int] | None,
    seed: int,
) -> ImageData:
    """Custom data: any TFDS data set with the features "image" and "label".

    Args:
      name: NAME or NAME/CONFIG as TFDS knows it.
      data_dir: folder of prepared TFDS data; None for the default.
      manual_dir: folder of files placed by hand, for data sets that need them.
      image_size: (height, width) to scale to; None if all images have one size.
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
    splits = {part: _read_tfds(builder, part, image_size) for part in parts}
    class_names = tuple(builder.info.features["label"].names)
    return assemble(f"tfds:{name}", f"TFDS copy in {builder.data_dir}", splits, class_names, seed)


def _to_split(
    images: np.ndarray, labels: np.ndarray, image_size: tuple[int, int] | None, origin: str
) -> Split:
    """Check untrusted arrays and convert them to a split; see `load_npz`."""
    if images.ndim == 3:
        images = images[..., np.newaxis]
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise ValueError(
            f"images of {origin} must be [N, H, W] or [N, H, W, 1 or 3]. "
            f"Received: {list(images.shape)}"
        )
    if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels of {origin} must be integers [{len(images)}]. "
            f"Received: {labels.dtype} {list(labels.shape)}"
        )
    if not np.array_equal(labels, labels.astype(np.int32)):
        raise ValueError(
            f"labels of {origin} must be class numbers. Received: {labels.min()} .. {labels.max()}"
        )
    images = _levels(images, origin)
    if image_size and len(images):
        images = np.stack([pixels.resize(image, image_size) for image in images])
    return Split(images, labels.astype(np.int32))


def _levels(images: np.ndarray, origin: str) -> np.ndarray:
    if images.dtype == np.uint8:
        return images
    is_float = np.issubdtype(images.dtype, np.floating)
    if not is_float and not np.issubdtype(images.dtype, np.integer):
        raise ValueError(f"images of {origin} must be numbers. Received: {images.dtype}")
    if np.isnan(images).any():
        raise ValueError(
            f"images of {origin} must be finite. Received: NaN in "
            f"{np.isnan(images).any(axis=(1, 2, 3)).sum()} images"
        )
    low, high = images.min(initial=0), images.max(initial=0)
    if low < 0 or high > (1 if is_float else 255):
        raise ValueError(
            f"images of {origin} must be integers in [0, 255] or floats in [0, 1]. "
            f"Received: {images.dtype} in [{low}, {high}]"
        )
    return np.round(images * 255).astype(np.uint8) if is_float else images.astype(np.uint8)


def _read_folder(
    folder: pathlib.Path, class_names: tuple[str, ...], image_size: tuple[int, int] | None
) -> Split:
    unknown = {child.name for child in folder.iterdir() if child.is_dir()} - set(class_names)
    if unknown:
        raise ValueError(
            f"{folder} must have the classes of the training images. "
            f"Received: {', '.join(sorted(unknown))}"
        )
    files = [
        (label, path)
        for label, name in enumerate(class_names)
        for path in sorted((folder / name).glob("*"))
        if path.suffix.lower() in _SUFFIXES
    ]
    if not files:
        raise ValueError(
            f"{folder} must hold PNG or JPEG images in one folder per class. Received: none"
        )
    images = [_scale(pixels.decode(path.read_bytes(), str(path)), image_size) for _, path in files]
    return Split(_stack(images, str(folder)), np.array([label for label, _ in files], np.int32))


def _read_tfds(
    builder: tfds.core.DatasetBuilder, part: str, image_size: tuple[int, int] | None
) -> Split:
    examples = builder.as_dataset(
        split=part, read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False)
    )
    images, labels = [], []
    for example in examples.as_numpy_iterator():
        images.append(_scale(example["image"], image_size))
        labels.append(example["label"])
    return _to_split(_stack(images, f"{builder.name} {part}"), np.array(labels), None, builder.name)


def _scale(image: np.ndarray, image_size: tuple[int, int] | None) -> np.ndarray:
    return pixels.resize(image, image_size) if image_size else image


def _stack(images: list[np.ndarray], origin: str) -> np.ndarray:
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise ValueError(
            f"images of {origin} must have one shape, or image_size be given. "
            f"Received: {len(shapes)} shapes, such as {sorted(shapes)[:2]}"
        )
    return np.stack(images)
