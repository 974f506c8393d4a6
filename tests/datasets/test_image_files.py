"""Image files: the pixels of Pillow, upright, from files and in a graph."""

import functools
import io
import warnings
import zlib

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
import tensorflow as tf

from rar_tf.datasets.encoded import decode_tensor, jpeg_orientation
from rar_tf.datasets.image_files import decode_file
from rar_tf.datasets.read_files import Form, read_files

pytestmark = pytest.mark.filterwarnings("ignore:Corrupt EXIF", "ignore:Image size")
RNG = np.random.default_rng(0)
# Smooth, with an edge: both methods of decoding a JPEG differ on it.
LEVELS = np.clip(
    RNG.integers(-40, 40, (37, 45, 3)) + np.linspace(0, 255, 45)[:, None], 0, 255
).astype(np.uint8)
LEVELS[:8, :8] = RNG.integers(0, 256, (8, 8, 3))
COLOR = PIL.Image.fromarray(LEVELS)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation):
    data = PIL.Image.Exif()
    data[0x010F], data[0x0112], data[0x0131] = "a camera", orientation, "its program"
    return data


def by_pillow(content, mode="RGB"):
    return np.asarray(
        PIL.ImageOps.exif_transpose(PIL.Image.open(io.BytesIO(content))).convert(mode)
    )


def in_graph(content, channels=3):
    return graph(channels)(tf.constant(content)).numpy()


@functools.cache
def graph(channels):
    return tf.function(lambda text: decode_tensor(text, channels, "image_bytes"), autograph=False)


@pytest.mark.parametrize("quality", [30, 95])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:2", "4:2:0"])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_has_the_pixels_of_pillow_from_a_file_and_in_a_graph(
    quality, subsampling, progressive
):
    content = encoded(
        COLOR, "JPEG", quality=quality, subsampling=subsampling, progressive=progressive
    )
    np.testing.assert_array_equal(decode_file(content, "a.jpg").pixels, by_pillow(content))
    np.testing.assert_array_equal(in_graph(content), by_pillow(content))
    np.testing.assert_array_equal(in_graph(content, 1)[..., 0], by_pillow(content, "L"))


@pytest.mark.parametrize("orientation", range(10))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_an_image_is_set_upright_by_its_exif_orientation(kind, orientation):
    content = encoded(COLOR, kind, exif=exif(orientation))
    pixels = decode_file(content, "a").pixels
    np.testing.assert_array_equal(pixels, by_pillow(content))
    if orientation == 6:  # The camera was held on its side: the first column is the last row.
        plain = np.asarray(PIL.Image.open(io.BytesIO(encoded(COLOR, kind))).convert("RGB"))
        np.testing.assert_array_equal(pixels, np.rot90(plain, -1))
    if kind == "JPEG":
        np.testing.assert_array_equal(in_graph(content), pixels)


def segment(marker, body):
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def test_the_orientation_in_a_graph_of_either_byte_order_behind_other_segments():
    little = b"II*\0\x08\0\0\0" + b"\x01\0" + b"\x12\x01\x03\0\x01\0\0\0\x08\0\0\0" + bytes(4)
    big = b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01\0\x08\0\0" + bytes(4)
    plain = encoded(COLOR, "JPEG")
    for tiff in (little, big):
        part = segment(0xE1, b"Exif\0\0" + tiff)
        for before in (b"", segment(0xE0, bytes(14)), segment(0xE1, b"http://ns" + bytes(70))):
            content = plain[:2] + before + part + plain[2:]
            assert int(jpeg_orientation(tf.constant(content))) == 8
            np.testing.assert_array_equal(in_graph(content), by_pillow(content))
    for broken in (b"", b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"Exif\0\0" + little[:12]):
        content = plain[:2] + segment(0xE1, broken) + plain[2:]
        assert int(jpeg_orientation(tf.constant(content))) == 1
        np.testing.assert_array_equal(decode_file(content, "a.jpg").pixels, by_pillow(plain))
    assert int(jpeg_orientation(tf.constant(plain[:2]))) == 1


def test_alpha_is_dropped_and_cmyk_and_palettes_are_converted_as_by_pillow():
    clear = COLOR.copy()
    clear.putalpha(PIL.Image.fromarray(LEVELS[..., 0]))
    png = encoded(clear, "PNG")
    np.testing.assert_array_equal(decode_file(png, "a.png").pixels, LEVELS)
    assert decode_file(png, "a.png").conversions == ("with an alpha channel, which is dropped",)
    for content in (encoded(COLOR.convert("CMYK"), "JPEG"), encoded(COLOR.quantize(16), "PNG")):
        np.testing.assert_array_equal(decode_file(content, "a").pixels, by_pillow(content))
        np.testing.assert_array_equal(in_graph(content), by_pillow(content))
    (conversion,) = decode_file(encoded(COLOR.convert("CMYK"), "TIFF"), "a.tif").conversions
    assert conversion.startswith("of CMYK")
    assert decode_file(encoded(COLOR, "PNG"), "a.png").conversions == ()


def test_warnings_of_pillow_are_not_the_users_and_its_filters_stay(tmp_path):
    palette = COLOR.quantize(8)
    palette.info["transparency"] = bytes(8)
    for i in range(40):
        (tmp_path / f"{i}.png").write_bytes(encoded(palette, "PNG"))
    paths = sorted(tmp_path.iterdir())
    filters = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        read_files(paths, [path.name for path in paths], Form())
    assert not caught and warnings.filters == filters


def test_gray_is_the_luma_of_rgb():
    content = encoded(
        PIL.Image.fromarray(np.array([[[255, 0, 0], [10, 200, 30]]], np.uint8)), "PNG"
    )
    # .299 * 255 = 76.2; .299 * 10 + .587 * 200 + .114 * 30 = 123.8
    assert decode_file(content, "a.png", 1).pixels.tolist() == [[[76], [124]]]
    assert in_graph(content, 1).tolist() == [[[76], [124]]]
    gray = encoded(PIL.Image.fromarray(LEVELS[..., 0]), "PNG")
    np.testing.assert_array_equal(decode_file(gray, "a").pixels, np.repeat(LEVELS[..., :1], 3, 2))


def test_of_16_bits_the_high_byte_is_taken_and_floats_are_refused():
    deep = PIL.Image.fromarray(np.array([[0, 255, 256, 51_200, 65_535]], np.uint16))
    for kind in ("PNG", "TIFF"):
        image = decode_file(encoded(deep, kind), "a", 1)
        assert image.pixels[..., 0].tolist() == [[0, 0, 1, 200, 255]]
        assert image.conversions == ("of 16-bit gray, of which the high byte is taken",)
    assert in_graph(encoded(deep, "PNG"), 1)[..., 0].tolist() == [[0, 0, 1, 200, 255]]
    for values, words in ((np.float32([[0.5]]), "floating"), (np.int32([[70_000]]), "32-bit")):
        content = encoded(PIL.Image.fromarray(values), "TIFF")
        with pytest.raises(ValueError, match=rf"deep\.tif must have 8 bits.*Received: {words}"):
            decode_file(content, "deep.tif")


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_read(kind):
    frames = [PIL.Image.new("RGB", (4, 3), (color, 0, 0)) for color in (0, 255)]
    options = {} if kind != "WEBP" else {"lossless": True}
    content = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    np.testing.assert_array_equal(decode_file(content, "a").pixels, np.zeros((3, 4, 3)))


@pytest.mark.parametrize("kind", ["BMP", "PPM", "JPEG2000", "MPO", "DIB"])
def test_further_formats(kind):
    content = encoded(COLOR, kind)
    np.testing.assert_array_equal(decode_file(content, "a").pixels, by_pillow(content))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP"])
def test_a_truncated_file_is_named(kind):
    content = encoded(COLOR, kind)
    for length in (0, 3, 10, len(content) // 3, len(content) - 40):
        with pytest.raises(ValueError, match=r"^cat/7\.jpg must be a complete image .*Received: "):
            decode_file(content[:length], "cat/7.jpg")


def test_what_is_no_image_is_called_by_its_kind():
    for content, words in (
        (b"", "an empty file"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC, which Pillow does not read"),
        (b"<svg/>", "another kind of file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "another kind of file"),
    ):
        with pytest.raises(ValueError, match=words):
            decode_file(content, "x.jpg")


def test_images_that_declare_too_many_pixels_are_refused_before_they_are_decoded():
    png = encoded(COLOR, "PNG")
    for side in (12_000, 20_000, 2**31 - 1):
        header = png[12:16] + 2 * side.to_bytes(4, "big") + png[24:29]
        huge = png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]
        with pytest.raises(ValueError, match=r"x\.png .*more than 134217728 pixels"):
            decode_file(huge, "x.png")
        with pytest.raises(tf.errors.InvalidArgumentError, match=r"1 \.\. 134217728 pixels"):
            in_graph(huge)
    jpeg = encoded(COLOR, "JPEG")
    place = jpeg.index(b"\xff\xc0\x00\x11\x08") + 5
    huge = jpeg[:place] + 2 * (60_000).to_bytes(2, "big") + jpeg[place + 4 :]
    with pytest.raises(ValueError, match=r"more than 134217728 pixels"):
        decode_file(huge, "x.jpg")
