"""Decoding of JPEG and PNG inside a TensorFlow graph, to the pixels of `decode_file`."""

from typing import Any

import tensorflow as tf

from rar_tf.datasets.image_files import MAX_PIXELS

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
# Markers of JPEG segments [T.81, B.1]: application data 1 holds EXIF; after these there is none.
_APP1, _LAST = 0xE1, (0xDA, 0xD9)
_EXIF, _ORIENTATION = b"Exif\0\0", 0x0112


def decode_tensor(content: tf.Tensor, channels: int, name: str, *details: Any) -> tf.Tensor:
    """`decode_file` of a string in a graph: uint8 [H, W, channels].

    Args:
      content: scalar string, PNG or JPEG. A JPEG is set upright by its EXIF orientation.
      channels: 1 or 3.
      name: name of the string in errors.
      *details: further text or tensors for errors.

    Raises:
      tf.errors.InvalidArgumentError: another format, damaged, or larger than `MAX_PIXELS`.
    """
    is_png, is_jpeg = (tf.strings.substr(content, 0, len(m)) == m for m in (PNG, JPEG))
    # The decoder accepts GIF and BMP too, and its errors do not name the formats.
    text = f"{name} must be encoded PNG or JPEG. Received:"
    with _assert(is_png | is_jpeg, text, *details):
        size = _declared_size(content, is_png)
    text = f"{name} must have 1 .. {MAX_PIXELS} pixels. Received: size"
    with _assert(_is_small(size), text, size, *details):
        rgb = tf.cond(
            is_png,
            lambda: tf.io.decode_png(content, 3),
            # The method of Pillow; TensorFlow's default is another.
            lambda: upright(
                tf.io.decode_jpeg(content, 3, dct_method="INTEGER_ACCURATE"),
                jpeg_orientation(content),
            ),
        )
    return rgb if channels == 3 else _gray(rgb)


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """An image [H, W, C] set upright.

    Args:
      image: pixels in the order of the file.
      orientation: scalar integer, 1 .. 8 as in EXIF; others are as 1.
    """

    def is_one_of(*values: int) -> tf.Tensor:
        return tf.reduce_any(orientation == tf.constant(values, orientation.dtype))

    image = tf.cond(is_one_of(5, 6, 7, 8), lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    rows, columns = is_one_of(3, 4, 7, 8), is_one_of(2, 3, 6, 7)
    image = tf.cond(rows, lambda: tf.reverse(image, [0]), lambda: image)
    return tf.cond(columns, lambda: tf.reverse(image, [1]), lambda: image)


def jpeg_orientation(content: tf.Tensor) -> tf.Tensor:
    """EXIF orientation of a JPEG, scalar int32; 1 where there is none."""
    # Segments are shorter than 2^16 bytes, and EXIF is the first or the second.
    head = tf.cast(tf.io.decode_raw(tf.strings.substr(content, 0, 2**18), tf.uint8), tf.int32)
    head = tf.reshape(head, [-1])
    size = tf.size(head)

    def byte(place: tf.Tensor) -> tf.Tensor:
        """Byte at a place, 0 beyond the end."""
        inside = (place >= 0) & (place < size)
        return tf.where(inside, tf.gather(head, tf.clip_by_value(place, 0, size - 1)), 0)

    def is_exif(place: tf.Tensor) -> tf.Tensor:
        text = byte(place + 4 + tf.range(len(_EXIF)))
        return (byte(place + 1) == _APP1) & tf.reduce_all(text == list(_EXIF))

    def is_before_exif(place: tf.Tensor) -> tf.Tensor:
        is_marker = (byte(place) == 0xFF) & (place < size)
        is_last = tf.reduce_any(byte(place + 1) == list(_LAST))
        return is_marker & ~is_last & ~is_exif(place)

    def following(place: tf.Tensor) -> tuple[tf.Tensor]:
        length = 256 * byte(place + 2) + byte(place + 3)
        # A marker may be preceded by any number of fill bytes 0xFF.
        return (tf.where(byte(place + 1) == 0xFF, place + 1, place + 2 + tf.maximum(length, 2)),)

    (place,) = tf.while_loop(is_before_exif, following, (tf.constant(2),))
    return tf.where(is_exif(place), _tiff_orientation(byte, place + 4 + len(_EXIF)), 1)


def _tiff_orientation(byte: Any, start: tf.Tensor) -> tf.Tensor:
    """Orientation in the first directory of a TIFF header [TIFF 6.0, 2] at a place; 1 without."""
    is_big_endian = byte(start) == ord("M")

    def number(place: tf.Tensor, length: int) -> tf.Tensor:
        parts = [byte(place + k) for k in range(length)]
        big = sum(part * 256 ** (length - 1 - k) for k, part in enumerate(parts))
        little = sum(part * 256**k for k, part in enumerate(parts))
        return tf.where(is_big_endian, big, little)

    # A directory within the segment: the two low bytes of its offset are enough.
    offset = number(start + 4, 4) % 2**16
    directory = start + offset
    entries = directory + 2 + 12 * tf.range(number(directory, 2))
    values = tf.where(number(entries, 2) == _ORIENTATION, number(entries + 8, 2), 0)
    orientation = tf.reduce_max(tf.concat([[0], values], 0))
    return tf.where((orientation >= 1) & (orientation <= 8), orientation, 1)


def _gray(rgb: tf.Tensor) -> tf.Tensor:
    """Pillow's mode L: (19595 R + 38470 G + 7471 B + 2^15) / 2^16, rounded down."""
    weights = tf.constant([19595, 38470, 7471], tf.int32)
    total = tf.reduce_sum(tf.cast(rgb, tf.int32) * weights, -1, keepdims=True)
    return tf.cast((total + 2**15) // 2**16, tf.uint8)


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
