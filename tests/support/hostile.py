"""Hostile files: ways to damage one of each format, and files made to do harm.

A reader must load a file or refuse it with a complete message, within bounds of memory and time,
execute nothing of it and write nothing anywhere else.
"""

import contextlib
import gzip
import io
import json
import pathlib
import random
import re
import struct
import tarfile
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from tests.support.file_formats import (
    SENTENCE,
    Format,
    cifar,
    encoded,
    images,
    labels,
    npz,
    ppm,
    report,
    tarred,
    zipped,
)
from tests.support.paths import TESTDATA


def damaged(content: bytes, generator: random.Random) -> bytes:
    """The content after one of the accidents, and malices, that files meet."""
    data = bytearray(content)
    place = generator.randrange(len(data))
    length = generator.randint(1, max(1, len(data) // 4))
    kind = generator.choice(("flip", "flip", "cut", "zero", "noise", "twice", "insert", "ones"))
    if kind == "flip":
        for _ in range(generator.choice((1, 1, 4, 64))):
            data[generator.randrange(len(data))] ^= 1 << generator.randrange(8)
    elif kind == "cut":
        del data[place:]
    elif kind == "zero":
        data[place : place + length] = bytes(length)
    elif kind == "noise":
        data[place : place + length] = generator.randbytes(length)
    elif kind == "twice":
        data[place:place] = data[place : place + length]
    elif kind == "insert":
        data[place:place] = generator.randbytes(generator.randint(1, 64))
    else:  # sizes and offsets become as large as they can
        data[place : place + 4] = generator.choice((b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f"))
    return bytes(data)


def damaged_inside(content: bytes, generator: random.Random) -> bytes:
    """An archive with a damaged member under a checksum that is right again."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = generator.choice(sorted(members))
    members[name] = damaged(members[name], generator)
    return zipped(members, zipfile.ZIP_STORED)


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, sentinel: pathlib.Path):
        self._sentinel = str(sentinel)

    def __reduce__(self) -> tuple:
        return open, (self._sentinel, "w")


def _header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    buffer = io.BytesIO()
    fields = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, fields)
    return buffer.getvalue()


def _pickled(sentinel: pathlib.Path) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([Payload(sentinel)] * 30, object), allow_pickle=True)
    return buffer.getvalue()


def _outside(folder: pathlib.Path) -> dict[str, bytes]:
    return {"../../escaped": b"x", str(folder / "escaped"): b"x", "a/../../escaped": b"x"}


def _with_config(config: dict | None, **extra: bytes) -> bytes:
    tiny = (TESTDATA / "tiny.keras").read_bytes()
    with zipfile.ZipFile(io.BytesIO(tiny)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    if config is not None:
        members["config.json"] = json.dumps(config).encode()
    return zipped(members | extra, zipfile.ZIP_STORED)


def _lambda_model(sentinel: pathlib.Path) -> bytes:
    import keras

    function = eval(f"lambda x: (open({str(sentinel)!r}, 'w'), x)[1]")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Lambda(function, output_shape=(4,))])
    config = keras.saving.serialize_keras_object(model)
    return _with_config(config)


def _call(module: str, name: str) -> bytes:
    """A model that loads, but for an activation that is any function of any module."""
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Activation("relu")])
    config = keras.saving.serialize_keras_object(model)
    wanted = {"module": module, "class_name": "function", "config": name, "registered_name": name}
    config["config"]["layers"][1]["config"]["activation"] = wanted
    return _with_config(config)


def _wide_model() -> bytes:
    import keras

    config = keras.saving.serialize_keras_object(
        keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    )
    config["config"]["layers"][1]["config"]["units"] = 2**40
    return _with_config(config)


def _linked_weights(folder: pathlib.Path) -> bytes:
    """Weights that are links to another file."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["layers"] = h5py.ExternalLink(str(folder / "other.h5"), "/")
    return _with_config(None, **{"model.weights.h5": buffer.getvalue()})


def _huge_png(side: int, content: bytes = b"") -> bytes:
    size = struct.pack(">II5B", side, side, 8, 2, 0, 0, 0)

    def part(name: bytes, data: bytes) -> bytes:
        check = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)

    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", size) + part(b"IDAT", content) + part(b"IEND", b"")


def _encrypted(content: bytes) -> bytes:
    """The zip archive with the flag of encryption set on its members."""
    data = bytearray(content)
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = data.find(magic)
        while place >= 0:
            data[place + offset] |= 1
            place = data.find(magic, place + 4)
    return bytes(data)


def _special(kind: bytes, name: str, target: str = "/etc/hostname") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def crafted(folder: pathlib.Path) -> dict[tuple[str, str], Callable[[], bytes]]:
    """(format, what it tries) -> maker of a file that tries it.

    Args:
      folder: above the file's own; nothing may appear there, least of all `executed`, which
        whatever is executed writes.
    """
    sentinel = folder / "executed"
    zeros = bytes(300_000_000)
    arrays = {"images": images(), "labels": labels()}
    batch = "cifar-10-batches-bin/data_batch_1.bin"
    return {
        ("keras", "Lambda layer"): lambda: _lambda_model(sentinel),
        ("keras", "os.system as activation"): lambda: _call("os", "system"),
        ("keras", "eval as activation"): lambda: _call("builtins", "eval"),
        ("keras", "zip bomb in config"): lambda: zipped({"config.json": zeros}),
        ("keras", "zip bomb in weights"): lambda: zipped(
            {"config.json": b"{}", "model.weights.h5": zeros}
        ),
        ("keras", "names outside"): lambda: _with_config(None, **_outside(folder)),
        ("keras", "layer of 2^40 units"): _wide_model,
        ("keras", "weights linked to another file"): lambda: _linked_weights(folder),
        ("keras", "encrypted"): lambda: _encrypted(_with_config(None)),
        ("npz", "pickled objects"): lambda: zipped(
            {"images.npy": _pickled(sentinel), "labels.npy": _pickled(sentinel)}
        ),
        ("npz", "zip bomb"): lambda: zipped(
            {"images.npy": _header((300_000_000,)) + zeros, "labels.npy": b""}
        ),
        ("npz", "header of 2^50 bytes"): lambda: zipped(
            {"images.npy": _header((2**50,)), "labels.npy": b""}
        ),
        ("npz", "header of code"): lambda: zipped(
            {"images.npy": _header(()).replace(b"'shape': ()", b"open('executed')")}
        ),
        ("npz", "names outside"): lambda: zipped(_outside(folder)),
        ("npz", "label of 2^31 - 1"): lambda: npz(**arrays | {"labels": labels() + 2**31 - 3}),
        ("npz", "label of 2^62"): lambda: npz(**arrays | {"labels": labels() + 2**62}),
        ("npz", "structured dtype"): lambda: npz(
            images=np.zeros((30, 8, 8), [("a", "f4")]), labels=labels()
        ),
        ("npz", "encrypted"): lambda: _encrypted(npz(**arrays)),
        ("checkpoint", "pickled objects"): lambda: zipped({"digest.npy": _pickled(sentinel)}),
        ("checkpoint", "zip bomb"): lambda: zipped({"digest.npy": _header((3 * 10**8,)) + zeros}),
        ("zoo", "pickled objects"): lambda: zipped({"000.npy": _pickled(sentinel)}),
        ("idx.gz", "gzip bomb"): lambda: gzip.compress(zeros, 1),
        ("idx", "sizes of 2^32"): lambda: struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3),
        ("tar", "names outside"): lambda: tarred(_outside(folder) | cifar()),
        ("tar", "link to another file"): lambda: tarred(
            {}, [_special(tarfile.SYMTYPE, batch), _special(tarfile.LNKTYPE, batch)]
        ),
        ("tar", "device"): lambda: tarred(cifar(), [_special(tarfile.CHRTYPE, batch)]),
        ("tar", "gzip bomb"): lambda: tarred({batch: zeros}),
        ("zip", "names outside"): lambda: zipped(_outside(folder)),
        ("zip", "zip bomb"): lambda: zipped({"a/b.ppm": zeros}),
        ("zip", "header of 10^12 pixels"): lambda: zipped({"a/b.ppm": b"P6 1000000 1000000 255\n"}),
        ("zip", "encrypted"): lambda: _encrypted(zipped({"a/b.ppm": ppm()})),
        ("png", "65535 x 65535 pixels"): lambda: _huge_png(65535),
        ("png", "2^31 x 2^31 pixels"): lambda: _huge_png(2**31 - 1),
        ("png", "bomb of 12000 x 12000 pixels"): lambda: _encoded_zeros(12_000),
        ("jpeg", "65500 x 65500 pixels"): lambda: re.sub(
            rb"(?<=\xff\xc0\x00\x11\x08)....", b"\xff\xdc\xff\xdc", encoded("JPEG"), flags=re.S
        ),
        ("preset", "deep nesting"): lambda: b"[" * 200_000,
        ("preset", "a number"): lambda: b"3",
        ("report", "a list"): lambda: b"[]",
        ("report", "deep nesting"): lambda: b"[" * 200_000,
        ("report", "metrics as a list"): lambda: re.sub(
            rb'"metrics": \{.*?\},\n  "comp', b'"metrics": [],\n  "comp', report(), flags=re.S
        ),
        ("examples", "another table"): lambda: b"a,b\n1,x\n",
        ("metrics", "another table"): lambda: b"a,b\n1,x\n",
        ("metrics", "bytes that are no text"): lambda: b"\xff\xfe\x00step\n",
    }


def _encoded_zeros(side: int) -> bytes:
    compressor = zlib.compressobj(1)
    row = bytes(1 + 3 * side)
    content = b"".join(compressor.compress(row) for _ in range(side)) + compressor.flush()
    return _huge_png(side, content)


class Outcome(NamedTuple):
    """How reading went: "loaded", "refused" by a complete message, or else what went wrong."""

    verdict: str
    message: str
    seconds: float


def read(kind: Format, content: bytes, folder: pathlib.Path) -> Outcome:
    """Read the content as a file in a new folder two below `folder`, and see what it did."""
    path = folder / "a" / "b" / kind.name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    scratch = folder / "a" / "tmp"
    scratch.mkdir()
    started = time.monotonic()
    verdict, message = "loaded", ""
    with _temporary(scratch), contextlib.redirect_stderr(io.StringIO()):
        try:
            kind.read(path)
        except kind.errors as error:
            message = f"{type(error).__name__}: {error}".replace(f"{path.parent}/", "")
            verdict = (
                "refused" if SENTENCE.search(message) else "refused with an incomplete message"
            )
        except Exception as error:
            verdict, message = "raised another error", f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - started
    ours = {path, path.parent / "card.json"}
    if leftover := [str(p) for p in folder.rglob("*") if p.is_file() and p not in ours]:
        verdict, message = "wrote a file", ", ".join(leftover)
    return Outcome(verdict, message[:500], seconds)


@contextlib.contextmanager
def _temporary(folder: pathlib.Path) -> Iterator[None]:
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
