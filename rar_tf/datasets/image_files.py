"""Image files: formats, decoding by Pillow, orientation."""

import contextlib
import io
import struct
import warnings
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import PIL.Image

# A limit, because a few bytes can expand to any size.
MAX_PIXELS = 2**27
# Formats of Pillow that are read, with the endings of their files. Others of Pillow are left out:
# they hold no photographs, or need another program (EPS).
_ENDINGS = {
    "JPEG": ("jpg", "jpeg", "jpe", "jfif", "jif"),
    "MPO": ("mpo",),
    "PNG": ("png", "apng"),
    "BMP": ("bmp",),
    "DIB": ("dib",),
    "GIF": ("gif",),
    "WEBP": ("webp",),
    "TIFF": ("tif", "tiff"),
    "PPM": ("ppm", "pgm", "pbm", "pnm"),
    "JPEG2000": ("jp2", "j2k", "jpf", "jpx"),
    "AVIF": ("avif", "avifs"),
}
PIL.Image.init()
_FORMATS = [name for name in _ENDINGS if name in PIL.Image.OPEN]
SUFFIXES = frozenset(f".{ending}" for name in _FORMATS for ending in _ENDINGS[name])
_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
_MODES = {1: "L", 3: "RGB"}
_ORIENTATION = 0x0112
# Transpositions that set an image upright, by the EXIF orientation [Exif 2.3, 4.6.4 A].
_UPRIGHT = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_270,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_90,
}
# What Pillow's readers raise for damaged content, beside OSError and ValueError.
_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    MemoryError,
    struct.error,
)


class Decoded(NamedTuple):
    """A decoded image.

    Attributes:
      pixels: uint8 [H, W, channels], upright.
      conversions: what was done to the file's pixels, in words; empty for 8-bit gray or colour.
    """

    pixels: np.ndarray
    conversions: tuple[str, ...]


def decode_file(content: bytes, origin: str, channels: int = 3) -> Decoded:
    """Decode an image file as Pillow does, and set it upright by its EXIF orientation.

    Of several frames or pages the first is read. Transparency is dropped, CMYK and palettes are
    converted by Pillow, of 16-bit values the high byte is taken; colour profiles are not applied.

    Args:
      content: content of the file; its format is found by content.
      origin: name of the file in errors.
      channels: 1 for gray (L = .299 R + .587 G + .114 B), 3 for RGB.

    Raises:
      ValueError: no image of a format in `SUFFIXES`, damaged or truncated, larger than
        `MAX_PIXELS`, or of 32-bit or floating pixels.
    """
    try:
        with PIL.Image.open(io.BytesIO(content), formats=_FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise PIL.Image.DecompressionBombError(f"{image.width}x{image.height}")
            image.load()
            converted = _eight_bits(image, origin, _MODES[channels])
            if (transposition := _UPRIGHT.get(_orientation(image))) is not None:
                converted = converted.transpose(transposition)
            pixels = np.array(converted, np.uint8)
            conversions = tuple(_conversions(image))
    except PIL.Image.DecompressionBombError as error:
        raise _refused(content, origin, f"more than {MAX_PIXELS} pixels ({error})") from error
    except PIL.UnidentifiedImageError as error:
        raise _refused(content, origin, _unknown(content)) from error
    except UnsupportedPixels:
        raise
    except _DAMAGE as error:
        raise _refused(content, origin, f"truncated or corrupted ({error})") from error
    return Decoded(pixels.reshape(*pixels.shape[:2], channels), conversions)


@contextlib.contextmanager
def without_warnings() -> Iterator[None]:
    """Context without Pillow's warnings: of its limit of pixels, and of damaged EXIF.

    It changes the filters of the process: threads that decode run inside it, not with their own.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


class UnsupportedPixels(ValueError):
    """A complete image whose pixels have no plain 8-bit meaning."""


def _refused(content: bytes, origin: str, reason: str) -> ValueError:
    return ValueError(
        f"{origin} must be a complete image (JPEG, PNG, WebP, BMP, GIF, TIFF or another of "
        f"docs/own_data.md). Received: {len(content)} bytes, starting with {content[:8]!r}, "
        f"{reason}"
    )


def _unknown(content: bytes) -> str:
    if not content:
        return "an empty file"
    if content[4:8] == b"ftyp" and content[8:12] in _HEIF:
        return "HEIC, which Pillow does not read; convert it to JPEG"
    return "another kind of file, or damaged"


def _conversions(image: PIL.Image.Image) -> list[str]:
    """What `_eight_bits` changes of an image that is neither 8-bit gray nor RGB."""
    remarks = []
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        remarks.append("with an alpha channel, which is dropped")
    if image.mode == "CMYK":
        remarks.append("of CMYK, converted by Pillow without a colour profile")
    if _is_16_bit(image):
        remarks.append("of 16-bit gray, of which the high byte is taken")
    return remarks


def _is_16_bit(image: PIL.Image.Image) -> bool:
    # Earlier versions of Pillow read a 16-bit PNG as 32-bit integers.
    return image.mode.startswith("I;16") or (image.mode == "I" and image.format == "PNG")


def _eight_bits(image: PIL.Image.Image, origin: str, mode: str) -> PIL.Image.Image:
    if _is_16_bit(image):
        # Pillow's conversion clips to 255.
        high = np.asarray(image).astype(np.int64) >> 8
        return PIL.Image.fromarray(high.astype(np.uint8)).convert(mode)
    if image.mode in ("I", "F"):
        kind = "32-bit integer" if image.mode == "I" else "floating"
        raise UnsupportedPixels(
            f"{origin} must have 8 bits a channel. Received: {kind} pixels; convert it with the "
            "range that you mean"
        )
    try:
        return image.convert(mode)
    except ValueError as error:
        raise UnsupportedPixels(
            f"{origin} must be gray, RGB, CMYK or of a palette. Received: mode {image.mode}"
        ) from error


def _orientation(image: PIL.Image.Image) -> int:
    """EXIF orientation; 1 where there is none."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Damaged EXIF, of which Pillow may raise anything.
        return 1
