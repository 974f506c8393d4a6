"""IDX files, the format of MNIST and Fashion-MNIST, verified by their contents.

Distributions recompress the published .gz files, so digests are of the uncompressed bytes.
"""

import dataclasses
import gzip
import hashlib
import pathlib
import struct

import numpy as np

from rar_tf.files import DAMAGE

_UNSIGNED_BYTE = 0x08
_NAMES = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST"}


@dataclasses.dataclass(frozen=True)
class IdxFile:
    """Published IDX file: name, part, array shape and sha256."""

    file_name: str
    content: str
    shape: tuple[int, ...]
    digests: dict[str, str]

    @property
    def num_bytes(self) -> int:
        """Length of the uncompressed file: magic, sizes, data."""
        return 4 + 4 * len(self.shape) + int(np.prod(self.shape))


# Digests of Fashion-MNIST: files of Debian's package dataset-fashion-mnist 0.0~git20200523;
# of MNIST: as many public projects publish them.
FILES = {
    "train_images": IdxFile(
        "train-images-idx3-ubyte",
        "training images",
        (60_000, 28, 28),
        {
            "mnist": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            "fashion_mnist": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        },
    ),
    "train_labels": IdxFile(
        "train-labels-idx1-ubyte",
        "training labels",
        (60_000,),
        {
            "mnist": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            "fashion_mnist": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        },
    ),
    "test_images": IdxFile(
        "t10k-images-idx3-ubyte",
        "test images",
        (10_000, 28, 28),
        {
            "mnist": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            "fashion_mnist": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        },
    ),
    "test_labels": IdxFile(
        "t10k-labels-idx1-ubyte",
        "test labels",
        (10_000,),
        {
            "mnist": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            "fashion_mnist": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        },
    ),
}


def find(folder: pathlib.Path, part: str) -> pathlib.Path | None:
    """Path of a part ("train_images", ...) in a folder, compressed or plain, or None."""
    name = FILES[part].file_name
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    return None


def read(path: pathlib.Path, part: str, data_set: str) -> np.ndarray:
    """Array of an IDX file after checking that it is the published one.

    Args:
      path: a plain or .gz IDX file.
      part: key of `FILES`.
      data_set: "mnist" or "fashion_mnist".

    Returns:
      uint8 array of the part's shape.

    Raises:
      ValueError: if the file is truncated, corrupted, or another data set's.
    """
    content = _uncompressed(path, FILES[part].num_bytes + 1)
    verify(content, part, data_set, origin=str(path))
    return np.frombuffer(content, np.uint8, offset=4 + 4 * content[3]).reshape(FILES[part].shape)


def encode(array: np.ndarray) -> bytes:
    """IDX bytes of a uint8 array: magic (0, 0, 8, rank), big-endian sizes, data."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    return header + array.tobytes()


def verify(content: bytes, part: str, data_set: str, origin: str) -> None:
    """Raise ValueError unless `content` is the published file; see `read`."""
    spec = FILES[part]
    digest = hashlib.sha256(content).hexdigest()
    if digest == spec.digests[data_set]:
        return
    expected = f"{_NAMES[data_set]}'s {spec.content}"
    for other in FILES.values():
        for other_set, other_digest in other.digests.items():
            if digest == other_digest:
                raise ValueError(
                    f"{origin} holds {_NAMES[other_set]}'s {other.content}, expected {expected}. "
                    "The two data sets use the same file names: give each its own folder"
                )
    if len(content) != spec.num_bytes:
        received = "more" if len(content) > spec.num_bytes else f"{len(content)} bytes"
        raise ValueError(
            f"{origin} must hold {expected}: {spec.num_bytes} bytes uncompressed. "
            f"Received: {received}"
        )
    raise ValueError(
        f"{origin} must hold {expected}: sha256 {spec.digests[data_set]} uncompressed. "
        f"Received: {digest}"
    )


def _uncompressed(path: pathlib.Path, max_bytes: int) -> bytes:
    """First `max_bytes` bytes of a file, so that a hostile one cannot fill the memory."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            return file.read(max_bytes)
    except DAMAGE as error:
        raise ValueError(
            f"{path} must be a complete gzip file. Received: {path.stat().st_size} bytes, "
            f"truncated or corrupted ({error})"
        ) from error
