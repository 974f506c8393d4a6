"""Reading of many image files into one array."""

import collections
import concurrent.futures
import dataclasses
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from rar_tf.datasets import pixels
from rar_tf.datasets.image_files import Decoded, decode_file, without_warnings

_MAX_THREADS = 16


@dataclasses.dataclass(frozen=True)
class Form:
    """Form that images are brought into.

    Attributes:
      image_size: (height, width) to scale to; None if all images have one size.
      resize: way of scaling, one of `pixels.RESIZES`.
      channels: 1 for gray, 3 for RGB; None for 3, or what an array has.

    Raises:
      ValueError: a value that is none of these.
    """

    image_size: tuple[int, int] | None = None
    resize: str = "stretch"
    channels: int | None = None

    def __post_init__(self) -> None:
        pixels.check_resize(self.resize)
        if self.channels not in (None, 1, 3):
            raise ValueError(
                f"channels must be 1 (gray) or 3 (RGB). Received: channels={self.channels}"
            )

    def scale(self, image: np.ndarray) -> np.ndarray:
        """A uint8 image [H, W, C] in the size of the form."""
        if self.image_size is None:
            return image
        return pixels.resize(image, self.image_size, self.resize)


def read_files(
    paths: Sequence[pathlib.Path], names: Sequence[str], form: Form
) -> tuple[np.ndarray, collections.Counter[str]]:
    """Images [N, H, W, C] uint8 of files, and numbers of images by what was converted.

    Args:
      paths: paths of at least one image file.
      names: their names in errors.
      form: form of the images.

    Raises:
      ValueError: files that cannot be read or are no complete images; images of several sizes
        without a size to scale to.
    """
    # The first readable image gives the shape of all; memory is taken once.
    images: np.ndarray | None = None
    first, problems = "", list[str]()
    conversions: collections.Counter[str] = collections.Counter()
    workers = min(_MAX_THREADS, os.cpu_count() or 1)
    with without_warnings(), concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(paths), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            results = pool.map(_read, paths[chunk], names[chunk], [form] * len(paths[chunk]))
            for index, result in enumerate(results, start):
                if isinstance(result, str):
                    problems.append(result)
                    continue
                conversions.update(result.conversions)
                if images is None:
                    images, first = (
                        np.empty((len(paths), *result.pixels.shape), np.uint8),
                        names[index],
                    )
                if result.pixels.shape != images.shape[1:]:
                    raise _several_sizes(images.shape[1:], first, result.pixels.shape, names[index])
                images[index] = result.pixels
    if problems or images is None:
        more = f"; and {len(problems) - 1:,} more files" if len(problems) > 1 else ""
        raise ValueError(f"{problems[0]}{more}")
    return images, conversions


# Images that are decoded before they are copied into the array.
_CHUNK = 256


def _read(path: pathlib.Path, name: str, form: Form) -> Decoded | str:
    """The image in its form, or what is wrong with it."""
    try:
        decoded = decode_file(path.read_bytes(), name, form.channels or 3)
    except OSError as error:
        return f"{name} must be a file that can be read. Received: {error.strerror or error}"
    except ValueError as error:
        return str(error)
    scaled = form.scale(decoded.pixels)
    if scaled.shape == decoded.pixels.shape:
        return decoded
    size = f"scaled to {scaled.shape[0]}x{scaled.shape[1]} ({form.resize})"
    return Decoded(scaled, (*decoded.conversions, size))


def _several_sizes(
    shape: tuple[int, ...], name: str, other_shape: tuple[int, ...], other_name: str
) -> ValueError:
    return ValueError(
        "images must have one size, or image_size be given (--image_size=HEIGHT,WIDTH, scaled as "
        f"--resize={'|'.join(pixels.RESIZES)} says). Received: {shape[0]}x{shape[1]} (height x "
        f"width) of {name}, {other_shape[0]}x{other_shape[1]} of {other_name}"
    )
