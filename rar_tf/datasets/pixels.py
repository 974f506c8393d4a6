"""Pixels as uint8 arrays: PPM decoding, scaling, one image file in a given shape."""

import os
import pathlib
import re

import numpy as np
import tensorflow as tf

from rar_tf.datasets.image_files import decode_file, without_warnings
from rar_tf.naming import check_name

RESIZES = ("stretch", "crop", "pad")
# A binary PPM: "P6", width, height, largest value, separated by white space and comments.
_GAP = rb"(?:\s+|#[^\n]*\n)+"
_PPM = re.compile(rb"P6" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)\s")


def decode_ppm(content: bytes, origin: str) -> np.ndarray:
    """Decode a binary 8-bit PPM.

    Args:
      content: content of the file.
      origin: name of the file in errors.

    Returns:
      uint8 [H, W, 3].

    Raises:
      ValueError: if the header is not that of an 8-bit P6 file, or pixels are missing.
    """
    header = _PPM.match(content)
    if header is None or int(header[3]) != 255:
        raise ValueError(
            f"{origin} must be a binary 8-bit PPM (P6, largest value 255). "
            f"Received: {content[:20]!r}"
        )
    width, height = int(header[1]), int(header[2])
    expected, received = 3 * width * height, len(content) - header.end()
    if received < expected or not expected:
        raise ValueError(
            f"{origin} must hold {width}x{height} pixels, {expected} bytes. "
            f"Received: {received} bytes"
        )
    return np.frombuffer(content, np.uint8, expected, header.end()).reshape(height, width, 3)


def check_resize(resize: str) -> None:
    """Raise ValueError unless `resize` is one of `RESIZES`."""
    check_name("resize", resize, RESIZES)


def resize(image: np.ndarray, size: tuple[int, int], method: str = "stretch") -> np.ndarray:
    """Scale a uint8 image [H, W, C] to `size` (height, width); see `resize_tensor`.

    An image that has the size already is returned unchanged.
    """
    if image.shape[:2] == tuple(size):
        return image
    with tf.device("CPU:0"):
        return resize_tensor(tf.constant(image), size, method).numpy()


def resize_tensor(image: tf.Tensor, size: tuple[int, int], method: str = "stretch") -> tf.Tensor:
    """Scale an image to `size`, bilinear with antialiasing, rounded to the nearest level.

    Args:
      image: [H, W, C] uint8.
      size: (height, width).
      method: "stretch" takes the whole image and does not keep its aspect ratio; "crop" the largest
        centred part of the size's aspect ratio; "pad" the whole image in its aspect ratio, with
        equal black borders.

    Returns:
      [height, width, C] uint8.
    """
    height, width = size
    shape = tf.cast(tf.shape(image), tf.int64)
    rows, columns = shape[0], shape[1]
    if method == "crop":
        part_rows = tf.minimum(rows, _rounded(columns * height, width))
        part_columns = tf.minimum(columns, _rounded(rows * width, height))
        top, left = (rows - part_rows) // 2, (columns - part_columns) // 2
        image = image[top : top + part_rows, left : left + part_columns]
    inner = tf.constant([height, width], tf.int64)
    if method == "pad":
        inner = tf.minimum(
            inner, tf.stack([_rounded(rows * width, columns), _rounded(columns * height, rows)])
        )
    scaled = to_uint8(tf.image.resize(image, tf.cast(inner, tf.int32), antialias=True))
    if method == "pad":
        before = (tf.constant([height, width], tf.int64) - inner) // 2
        after = tf.constant([height, width], tf.int64) - inner - before
        edges = tf.stack([before, after], 1)
        scaled = tf.pad(scaled, tf.concat([edges, tf.zeros([1, 2], tf.int64)], 0))
    return tf.ensure_shape(scaled, (height, width, image.shape[-1]))


def read_image(
    path: str | os.PathLike, image_shape: tuple[int, int, int], method: str = "stretch"
) -> np.ndarray:
    """An image file as uint8 [H, W, C] of a model's or a data set's shape.

    Args:
      path: path of the file.
      image_shape: (H, W, C) to scale to, C 1 or 3.
      method: way of scaling, see `resize_tensor`.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not a complete image, or C is neither 1 nor 3.
    """
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"image must be an image file. Received: {path}, not there")
    height, width, channels = image_shape
    if channels not in (1, 3):
        raise ValueError(f"image_shape must have 1 or 3 channels. Received: {image_shape}")
    check_resize(method)
    with without_warnings():
        image = decode_file(file.read_bytes(), str(path), channels).pixels
    return resize(image, (height, width), method)


def to_uint8(pixels: tf.Tensor) -> tf.Tensor:
    """Round float pixels in 0 .. 255 to uint8, clipping values outside."""
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8)


def _rounded(numerator: tf.Tensor, denominator: tf.Tensor | int) -> tf.Tensor:
    """Nearest integer >= 1 to a quotient of positive integers, halves up."""
    return tf.maximum((2 * numerator + denominator) // (2 * denominator), 1)
