"""CIFAR-10: TFDS, or the archive of the binary version placed by hand."""

import os
import pathlib
import tarfile

import numpy as np
import tensorflow_datasets as tfds

from rar_tf.datasets import tfds_source
from rar_tf.datasets.splits import ImageData, Split
from rar_tf.files import DAMAGE

ARCHIVE = "cifar-10-binary.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE}"
VALIDATION = 5_000

_CLASS_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
_MEMBERS = {
    "train": tuple(f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)),
    "test": ("cifar-10-batches-bin/test_batch.bin",),
}
IMAGES_PER_MEMBER = 10_000
_RECORD = 1 + 3 * 32 * 32


def load_cifar10(
    *, data_dir: str | os.PathLike | None, manual_dir: str | os.PathLike | None
) -> ImageData:
    """CIFAR-10; validation is the last 5,000 of the 50,000 training images.

    Args:
      data_dir: folder of prepared TFDS data; None for the default.
      manual_dir: folder of `cifar-10-binary.tar.gz`. The Python version of the archive is
        not read: unpickling a download may execute code.

    Raises:
      FileNotFoundError: if no source is available, with the options.
      ValueError: if the archive is truncated or holds other files.
    """
    if manual_dir is not None:
        path = pathlib.Path(manual_dir) / ARCHIVE
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing. Expected: the archive of {URL}")
        return _image_data(f"archive {path}", _from_archive(path))
    builder = tfds.builder("cifar10", data_dir=data_dir)
    verb = "prepared TFDS copy in" if builder.is_prepared() else "downloaded by TFDS to"
    try:
        tfds_source.prepare(builder)
    except ConnectionError as error:
        raise FileNotFoundError(
            f"cifar10 was not found. Options: (1) a network, or a copy that TFDS prepared, in "
            f"{builder.data_dir} ({error}); (2) manual_dir (--manual_dir=FOLDER) holding "
            f"{ARCHIVE} from {URL}"
        ) from error
    splits = {}
    for split in _MEMBERS:
        arrays = tfds_source.read_in_file_order(builder, split)
        splits[split] = Split(arrays["image"], arrays["label"].astype(np.int32))
    return _image_data(f"{verb} {builder.data_dir}", splits)


def _from_archive(path: pathlib.Path) -> dict[str, Split]:
    try:
        with tarfile.open(path, "r:gz") as archive:
            return {
                split: _decode(b"".join(_member(archive, path, name) for name in names), path)
                for split, names in _MEMBERS.items()
            }
    except DAMAGE as error:
        raise ValueError(
            f"{path} must be the complete archive of {URL}. Received: "
            f"{path.stat().st_size} bytes, truncated or corrupted ({error})"
        ) from error


def _member(archive: tarfile.TarFile, path: pathlib.Path, name: str) -> bytes:
    member = next((info for info in archive if info.name == name and info.isfile()), None)
    expected = IMAGES_PER_MEMBER * _RECORD
    file = archive.extractfile(member) if member and member.size == expected else None
    if file is None:
        raise ValueError(
            f"{path} must hold {name} of {expected} bytes, as the archive of {URL} does. "
            f"Received: {f'{member.size} bytes' if member else 'no such member'}"
        )
    return file.read()


def _decode(content: bytes, path: pathlib.Path) -> Split:
    # A record is the label and the red, green and blue planes, row by row.
    records = np.frombuffer(content, np.uint8).reshape(-1, _RECORD)
    if records[:, 0].max() > 9:
        raise ValueError(
            f"{path} must hold labels 0 .. 9, as the archive of {URL} does. "
            f"Received: label {records[:, 0].max()}"
        )
    planes = records[:, 1:].reshape(-1, 3, 32, 32)
    images = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
    return Split(images, records[:, 0].astype(np.int32))


def _image_data(source: str, splits: dict[str, Split]) -> ImageData:
    return ImageData(
        name="cifar10",
        num_classes=10,
        image_shape=(32, 32, 3),
        class_names=_CLASS_NAMES,
        source=source,
        train=splits["train"].part(None, -VALIDATION),
        validation=splits["train"].part(-VALIDATION, None),
        test=splits["test"],
    )
