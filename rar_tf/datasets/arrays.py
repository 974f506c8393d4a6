"""Custom arrays: an .npz file of images and labels, checked and brought into one form."""

import dataclasses
import pathlib

import numpy as np

from rar_tf.datasets.assemble import SPLITS, assemble
from rar_tf.datasets.class_order import class_order, plain_name
from rar_tf.datasets.read_files import Form
from rar_tf.datasets.splits import ImageData, Split
from rar_tf.files import read_npz

# Pillow's mode L: (19595 R + 38470 G + 7471 B + 2^15) / 2^16, rounded down.
_GRAY = np.array([19595, 38470, 7471])


def load_npz(
    path: str, *, form: Form, classes: tuple[str, ...] | None = None, seed: int
) -> ImageData:
    """Custom data: an .npz file of images and labels.

    Its arrays are `images` and `labels`, or `train_images`, `train_labels`, `test_images`, ...

    Images are [N, H, W] or [N, H, W, 1 or 3], integers in [0, 255] or floats in [0, 1]
    (rounded to 256 levels); 4 bands are read as RGB and a fourth if `form` has channels. Labels
    [N] are whole numbers from 0, or names of classes; `class_names` [classes] are optional.
    Pickled arrays are refused: unpickling may execute code.

    Args:
      path: path of the .npz file.
      form: size and channels of the images; those of the arrays where None.
      classes: names of the classes in their order; None for those of the file.
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
    if "train" not in prefixes and "images" in arrays:
        prefixes = {"train": ""}
    missing = {f"{p}{kind}" for p in prefixes.values() for kind in ("images", "labels")}
    missing -= set(arrays)
    if missing or not prefixes:
        raise ValueError(
            f"{path} must hold images and labels, or train_images and train_labels. "
            f"Received: {', '.join(sorted(arrays))}"
        )
    labels = {name: arrays[f"{p}labels"] for name, p in prefixes.items()}
    stored = arrays["class_names"] if "class_names" in arrays else None
    numbers, class_names = _numbered(labels, stored, classes, path)
    splits = {
        name: to_split(arrays[f"{p}images"], numbers[name], form, f"{path} {name}")
        for name, p in prefixes.items()
    }
    data = assemble(f"npz:{path}", f"arrays in {file}", splits, class_names, seed)
    are_texts = labels[next(iter(labels))].dtype.kind in "US"
    return dataclasses.replace(
        data, is_named=stored is not None or classes is not None or are_texts
    )


def to_split(images: np.ndarray, labels: np.ndarray, form: Form, origin: str) -> Split:
    """Check untrusted arrays and convert them to a split; see `load_npz`."""
    if images.ndim == 3:
        images = images[..., np.newaxis]
    allowed = (1, 3) if form.channels is None else (1, 3, 4)
    if images.ndim != 4 or images.shape[-1] not in allowed:
        hint = (
            "; channels (--channels=1|3) reads four bands as RGB"
            if images.shape[-1:] == (4,)
            else ""
        )
        raise ValueError(
            f"images of {origin} must be [N, H, W] or [N, H, W, 1 or 3]. "
            f"Received: {list(images.shape)}{hint}"
        )
    if labels.shape != images.shape[:1]:
        raise ValueError(
            f"labels of {origin} must be [{len(images)}], one for each image. "
            f"Received: {labels.dtype} {list(labels.shape)}"
        )
    images = _channels(_levels(images, origin), form.channels)
    if form.image_size and len(images):
        images = np.stack([form.scale(image) for image in images])
    return Split(images, whole_labels(labels, origin))


def whole_labels(labels: np.ndarray, origin: str) -> np.ndarray:
    """Labels as int32; floats must be whole.

    Raises:
      ValueError: fractions, text, or numbers that are not of int32.
    """
    kind = labels.dtype
    if not np.issubdtype(kind, np.integer) and not np.issubdtype(kind, np.floating):
        raise ValueError(f"labels of {origin} must be integers. Received: {kind}")
    fractions = labels[~(np.isfinite(labels) & (labels == np.round(labels)))]
    if fractions.size:
        raise ValueError(
            f"labels of {origin} must be class numbers, whole and finite. Received: "
            f"{fractions.flat[0]:g} and {fractions.size - 1:,} others"
        )
    limits = np.iinfo(np.int32)
    if labels.size and (labels.min() < limits.min or labels.max() > limits.max):
        raise ValueError(
            f"labels of {origin} must be class numbers. Received: {labels.min()} .. {labels.max()}"
        )
    return labels.astype(np.int32)


def _numbered(
    labels: dict[str, np.ndarray],
    stored: np.ndarray | None,
    classes: tuple[str, ...] | None,
    path: str,
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Labels by split as class numbers, and the names of the classes."""
    names = None if stored is None else tuple(plain_name(str(name)) for name in stored.ravel())
    if names is not None and len(set(names)) < len(names):
        raise ValueError(f"class_names of {path} must be different. Received: {', '.join(names)}")
    if all(part.dtype.kind in "US" for part in labels.values()):
        texts = {
            name: [plain_name(_text(label)) for label in part.ravel()]
            for name, part in labels.items()
        }
        present = set().union(*texts.values()) | set(names or ())
        if "" in present:
            raise ValueError(f"labels of {path} must be names. Received: an empty one")
        order = class_order(present, classes or names, f"npz:{path}")
        number = {name: label for label, name in enumerate(order)}
        return {
            name: np.array([number[text] for text in texts[name]], np.int32).reshape(part.shape)
            for name, part in labels.items()
        }, order
    whole = {name: whole_labels(part, f"{path} {name}") for name, part in labels.items()}
    if names is not None and classes is not None:
        order = class_order(names, classes, f"npz:{path}")
        _check_range(whole, len(names), path)
        numbers = np.array([order.index(name) for name in names], np.int32)
        return {name: numbers[part] for name, part in whole.items()}, order
    if names is None and classes is not None:
        return whole, classes
    return whole, names or _number_names(whole, path)


def _number_names(labels: dict[str, np.ndarray], path: str) -> tuple[str, ...]:
    count = 1 + max(int(part.max(initial=0)) for part in labels.values())
    total = sum(part.size for part in labels.values())
    if count > max(1, total):
        raise ValueError(
            f"labels of {path} must be 0 .. classes - 1, with images of each. "
            f"Received: a label {count - 1} in {total} images"
        )
    return tuple(str(label) for label in range(count))


def _check_range(labels: dict[str, np.ndarray], count: int, path: str) -> None:
    for name, part in labels.items():
        if part.size and (part.min() < 0 or part.max() >= count):
            raise ValueError(
                f"labels of npz:{path} must be 0 .. {count - 1}. "
                f"Received: {part.min()} .. {part.max()} in {name}"
            )


def _text(label: np.str_ | np.bytes_) -> str:
    return label.decode("utf-8", "replace") if isinstance(label, bytes) else str(label)


def _channels(images: np.ndarray, channels: int | None) -> np.ndarray:
    """Images [N, H, W, C] uint8 with the given channels; those beyond RGB are dropped."""
    images = images[..., :3]
    if channels is None or images.shape[-1] == channels:
        return images
    if channels == 3:
        return np.repeat(images, 3, axis=-1)
    gray = (images.astype(np.int32) @ _GRAY + 2**15) >> 16
    return gray[..., np.newaxis].astype(np.uint8)


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
