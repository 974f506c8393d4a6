"""Decoding and scaling of images to uint8 arrays."""

import os
import pathlib
import re
from typing import Any

import numpy as np
import tensorflow as tf

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# A limit, because a few bytes can expand to any size.
MAX_PIXELS = 2**27
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


def decode(content: bytes, origin: str, channels: int = 3) -> np.ndarray:
    """Decode a JPEG or PNG to uint8 [H, W, channels].

    Raises:
      ValueError: if the content is neither, truncated, corrupted, or larger than `MAX_PIXELS`.
    """
    cause: Exception | None = None
    try:
        with tf.device("CPU:0"):
            encoded = tf.constant(content)
            if not content.startswith((PNG, JPEG)):
                reason = "another kind of file"
            elif not _is_small(size := _declared_size(encoded, content.startswith(PNG))):
                sides = "x".join(map(str, size.numpy()))
                reason = f"of {sides} pixels, expected 1 .. {MAX_PIXELS}"
            else:
                return tf.io.decode_image(encoded, channels, expand_animations=False).numpy()
    # TensorFlow's message quotes the bytes, which fails if they are not text.
    except (tf.errors.InvalidArgumentError, UnicodeDecodeError) as error:
        cause, reason = error, "truncated or corrupted"
    raise ValueError(
        f"{origin} must be a complete JPEG or PNG image. Received: {len(content)} bytes, "
        f"starting with {content[:8]!r}, {reason}"
    ) from cause


def decode_tensor(content: tf.Tensor, channels: int, name: str, *details: Any) -> tf.Tensor:
    """`decode` of a string in a graph: uint8 [H, W, channels].

    Args:
      content: scalar string, PNG or JPEG.
      channels: 1 or 3.
      name: name of the string in errors.
      *details: further text or tensors for errors.

    Raises:
      tf.errors.InvalidArgumentError: as `decode`.
    """
    is_png, is_jpeg = (tf.strings.substr(content, 0, len(m)) == m for m in (PNG, JPEG))
    # The decoder accepts GIF and BMP too, and its errors do not name the formats.
    text = f"{name} must be encoded PNG or JPEG. Received:"
    with _assert(is_png | is_jpeg, text, *details):
        size = _declared_size(content, is_png)
    text = f"{name} must have 1 .. {MAX_PIXELS} pixels. Received: size"
    with _assert(_is_small(size), text, size, *details):
        return tf.io.decode_image(content, channels, expand_animations=False)


def _assert(condition: tf.Tensor, *message: Any) -> Any:
    assertion = tf.debugging.Assert(condition, list(message))
    return tf.control_dependencies([] if assertion is None else [assertion])


def _declared_size(content: tf.Tensor, is_png: tf.Tensor) -> tf.Tensor:
    """Height and width, in either order, from the header of a PNG or JPEG."""

    def of_png() -> tf.Tensor:
        header = tf.strings.substr(content, 16, 8)
        return tf.cast(tf.io.decode_raw(header, tf.int32, little_endian=False), tf.int64)

    def of_jpeg() -> tf.Tensor:
        return tf.cast(tf.image.extract_jpeg_shape(content)[:2], tf.int64)

    return tf.cond(is_png, of_png, of_jpeg)


def _is_small(size: tf.Tensor) -> tf.Tensor:
    return tf.reduce_all(size > 0) & (tf.reduce_prod(size) <= MAX_PIXELS)


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Scale a uint8 image [H, W, C], aspect not kept, to `size` (height, width).

    Bilinear with antialiasing, rounded to the nearest level; an image that has the size
    already is returned unchanged.
    """
    if image.shape[:2] == tuple(size):
        return image
    with tf.device("CPU:0"):
        return to_uint8(tf.image.resize(image, size, antialias=True)).numpy()


def read_image(path: str | os.PathLike, image_shape: tuple[int, int, int]) -> np.ndarray:
    """A PNG or JPEG file as uint8 [H, W, C] of a model's or a data set's shape.

    Args:
      path: path of the file.
      image_shape: (H, W, C) to scale to, C 1 or 3.

    Raises:
      FileNotFoundError: if there is no such file.
      ValueError: if it is not a complete image, or C is neither 1 nor 3.
    """
    file = pathlib.Path(path).expanduser()
    if not file.is_file():
        raise FileNotFoundError(f"image must be a PNG or JPEG file. Received: {path}, not there")
    height, width, channels = image_shape
    if channels not in (1, 3):
        raise ValueError(f"image_shape must have 1 or 3 channels. Received: {image_shape}")
    return resize(decode(file.read_bytes(), str(path), channels), (height, width))


def to_uint8(pixels: tf.Tensor) -> tf.Tensor:
    """Round float pixels in 0 .. 255 to uint8, clipping values outside."""
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0.0, 255.0), tf.uint8)
