"""Hostile files: whole ones of each format, ways to damage them, and ones made to do harm.

A reader must load a file or refuse it with a sentence of ours, within bounds of memory and time,
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import PIL.Image

from tests.support.paths import TESTDATA

if TYPE_CHECKING:
    from rar_tf.training import RobustModel

Members = Mapping[str, bytes]

_URL = "https://example.org/archive"
# What each of our errors has: what was expected, and what came or what to do.
SENTENCE = re.compile(r"Received: |could be read|is not a preset|cannot be used|holds a run with")


class Format(NamedTuple):
    """A kind of file that we read.

    Attributes:
      name: of a file, which decides how it is read.
      whole: makes the content of an undamaged one.
      read: reads a path; returns or raises one of `errors`.
      errors: what it may raise; their text must match `SENTENCE`.
      intact: whether the undamaged file is accepted (an IDX file that is not the published one
        never is).
    """

    name: str
    whole: Callable[[], bytes]
    read: Callable[[pathlib.Path], object]
    errors: tuple[type[Exception], ...] = (ValueError,)
    intact: bool = True


def _npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def _images(count: int = 30) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)


def _labels(count: int = 30) -> np.ndarray:
    return np.arange(count) % 3


def _encoded(kind: str, shape: tuple[int, ...] = (9, 7, 3)) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def _zip(members: Members, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def _ppm() -> bytes:
    return b"P6 7 9 255\n" + _images(1).tobytes()[: 7 * 9 * 3]


def _tar(members: Members, extra: Sequence[tarfile.TarInfo] = ()) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for member in extra:
            archive.addfile(member)
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _cifar(count: int = 2) -> dict[str, bytes]:
    record = bytes([3]) + bytes(3072)
    names = [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)]
    return {name: record * count for name in [*names, "cifar-10-batches-bin/test_batch.bin"]}


def _idx() -> bytes:
    from rar_tf.datasets import idx

    return idx.encode(_labels().astype(np.uint8))


def _checkpoint_model() -> "RobustModel":
    import keras

    from rar_tf.objective import natural
    from rar_tf.training import RobustModel

    image = keras.Input((3, 3, 1))
    logits = keras.layers.Dense(4)(keras.layers.Flatten()(image))
    model = RobustModel(keras.Model(image, logits), natural())
    model.compile(keras.optimizers.Adam(0.1))
    model.optimizer.build(model.trainable_variables)
    return model


def _checkpoint() -> bytes:
    from rar_tf.runs import checkpoints

    with tempfile.TemporaryDirectory() as folder:
        return checkpoints.save(pathlib.Path(folder), _checkpoint_model()).read_bytes()


def _preset() -> bytes:
    from rar_tf.presets import resolve

    return resolve("fashion_mnist", "ig_norm").to_json().encode()


def _read_model(path: pathlib.Path) -> object:
    from rar_tf.models import load_classifier

    return load_classifier(path)


def _read_data(path: pathlib.Path) -> object:
    from rar_tf.datasets import load

    return load(f"npz:{path}")


def _read_checkpoint(path: pathlib.Path) -> object:
    from rar_tf.runs import checkpoints

    return checkpoints.restore_latest(path.parent, _checkpoint_model())


def _read_zoo(path: pathlib.Path) -> object:
    from rar_tf.serving import zoo

    card = {"architecture": "small_cnn", "num_classes": 3, "image_shape": [4, 4, 1]}
    (path.parent / "card.json").write_text(json.dumps(card))
    return zoo.load("entry", root=path.parents[1])


def _zoo() -> bytes:
    shapes = [(5, 5, 1, 32), (32,), (5, 5, 32, 64), (64,), (64, 1024), (1024,), (1024, 3), (3,)]
    return _npz(**{f"{k:03d}": np.ones(shape, np.float16) for k, shape in enumerate(shapes)})


def _read_idx(path: pathlib.Path) -> object:
    from rar_tf.datasets import idx

    return idx.read(path, "test_labels", "mnist")


def _read_tar(path: pathlib.Path) -> object:
    from rar_tf.datasets import cifar10, load

    cifar10.IMAGES_PER_MEMBER, cifar10.VALIDATION = 2, 2
    return load("cifar10", manual_dir=path.parent)


def _read_zip(path: pathlib.Path) -> object:
    from rar_tf.datasets import archives, pixels

    with archives.refuse_damaged(path, _URL), zipfile.ZipFile(path) as archive:
        return pixels.decode_ppm(archives.zip_member(archive, "a/b.ppm", _URL), "a/b.ppm")


def _read_image(path: pathlib.Path) -> object:
    from rar_tf.datasets import pixels

    return pixels.decode(path.read_bytes(), str(path))


def _read_preset(path: pathlib.Path) -> None:
    from rar_tf.presets import resolve
    from rar_tf.runs import Workdir

    Workdir(path.parent).claim(resolve("fashion_mnist", "ig_norm"))


def _read_metrics(path: pathlib.Path) -> object:
    from rar_tf.runs.callbacks import read_metrics

    return read_metrics(path)


def _report() -> bytes:
    from tests.support.tiny_evaluation import report

    return report("mine").to_json().encode()


def _read_report(path: pathlib.Path) -> object:
    from rar_tf.evaluation import load_report

    return load_report(path)


def _examples() -> bytes:
    from rar_tf.evaluation import ExamplesFile
    from tests.support.tiny_evaluation import row

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "examples.csv"
        ExamplesFile(path).append([row(0, 0.5), row(1, 0.25)])
        return path.read_bytes()


def _read_examples(path: pathlib.Path) -> object:
    from rar_tf.evaluation import ExamplesFile

    return ExamplesFile(path).rows()


def _workdir_errors() -> tuple[type[Exception], ...]:
    from rar_tf.runs import WorkdirError

    return (ValueError, WorkdirError)


def formats() -> dict[str, Format]:
    """Every kind of file that we read, by name."""
    tiny = TESTDATA / "tiny.keras"
    rows = b"step,natural_accuracy,num_examples\n0,0.5,8\n4,0.75,8\n"
    return {
        "keras": Format("model.keras", tiny.read_bytes, _read_model),
        "npz": Format("mine.npz", lambda: _npz(images=_images(), labels=_labels()), _read_data),
        "checkpoint": Format("step-00000000.npz", _checkpoint, _read_checkpoint),
        "zoo": Format("entry/weights.npz", _zoo, _read_zoo),
        "idx": Format("labels-ubyte", _idx, _read_idx, intact=False),
        "idx.gz": Format("labels.gz", lambda: gzip.compress(_idx()), _read_idx, intact=False),
        "tar": Format("cifar-10-binary.tar.gz", lambda: _tar(_cifar()), _read_tar),
        "zip": Format("images.zip", lambda: _zip({"a/b.ppm": _ppm()}), _read_zip),
        "png": Format("image.png", lambda: _encoded("PNG"), _read_image),
        "jpeg": Format("image.jpg", lambda: _encoded("JPEG"), _read_image),
        "preset": Format("preset.json", _preset, _read_preset, _workdir_errors()),
        "metrics": Format("metrics.csv", lambda: rows, _read_metrics),
        "report": Format("report.json", _report, _read_report),
        "examples": Format("examples.csv", _examples, _read_examples),
    }


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
    return _zip(members, zipfile.ZIP_STORED)


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
    return _zip(members | extra, zipfile.ZIP_STORED)


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
    arrays = {"images": _images(), "labels": _labels()}
    batch = "cifar-10-batches-bin/data_batch_1.bin"
    return {
        ("keras", "Lambda layer"): lambda: _lambda_model(sentinel),
        ("keras", "os.system as activation"): lambda: _call("os", "system"),
        ("keras", "eval as activation"): lambda: _call("builtins", "eval"),
        ("keras", "zip bomb in config"): lambda: _zip({"config.json": zeros}),
        ("keras", "zip bomb in weights"): lambda: _zip(
            {"config.json": b"{}", "model.weights.h5": zeros}
        ),
        ("keras", "names outside"): lambda: _with_config(None, **_outside(folder)),
        ("keras", "layer of 2^40 units"): _wide_model,
        ("keras", "weights linked to another file"): lambda: _linked_weights(folder),
        ("keras", "encrypted"): lambda: _encrypted(_with_config(None)),
        ("npz", "pickled objects"): lambda: _zip(
            {"images.npy": _pickled(sentinel), "labels.npy": _pickled(sentinel)}
        ),
        ("npz", "zip bomb"): lambda: _zip(
            {"images.npy": _header((300_000_000,)) + zeros, "labels.npy": b""}
        ),
        ("npz", "header of 2^50 bytes"): lambda: _zip(
            {"images.npy": _header((2**50,)), "labels.npy": b""}
        ),
        ("npz", "header of code"): lambda: _zip(
            {"images.npy": _header(()).replace(b"'shape': ()", b"open('executed')")}
        ),
        ("npz", "names outside"): lambda: _zip(_outside(folder)),
        ("npz", "label of 2^31 - 1"): lambda: _npz(**arrays | {"labels": _labels() + 2**31 - 3}),
        ("npz", "label of 2^62"): lambda: _npz(**arrays | {"labels": _labels() + 2**62}),
        ("npz", "structured dtype"): lambda: _npz(
            images=np.zeros((30, 8, 8), [("a", "f4")]), labels=_labels()
        ),
        ("npz", "encrypted"): lambda: _encrypted(_npz(**arrays)),
        ("checkpoint", "pickled objects"): lambda: _zip({"digest.npy": _pickled(sentinel)}),
        ("checkpoint", "zip bomb"): lambda: _zip({"digest.npy": _header((3 * 10**8,)) + zeros}),
        ("zoo", "pickled objects"): lambda: _zip({"000.npy": _pickled(sentinel)}),
        ("idx.gz", "gzip bomb"): lambda: gzip.compress(zeros, 1),
        ("idx", "sizes of 2^32"): lambda: struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3),
        ("tar", "names outside"): lambda: _tar(_outside(folder) | _cifar()),
        ("tar", "link to another file"): lambda: _tar(
            {}, [_special(tarfile.SYMTYPE, batch), _special(tarfile.LNKTYPE, batch)]
        ),
        ("tar", "device"): lambda: _tar(_cifar(), [_special(tarfile.CHRTYPE, batch)]),
        ("tar", "gzip bomb"): lambda: _tar({batch: zeros}),
        ("zip", "names outside"): lambda: _zip(_outside(folder)),
        ("zip", "zip bomb"): lambda: _zip({"a/b.ppm": zeros}),
        ("zip", "header of 10^12 pixels"): lambda: _zip({"a/b.ppm": b"P6 1000000 1000000 255\n"}),
        ("zip", "encrypted"): lambda: _encrypted(_zip({"a/b.ppm": _ppm()})),
        ("png", "65535 x 65535 pixels"): lambda: _huge_png(65535),
        ("png", "2^31 x 2^31 pixels"): lambda: _huge_png(2**31 - 1),
        ("png", "bomb of 12000 x 12000 pixels"): lambda: _encoded_zeros(12_000),
        ("jpeg", "65500 x 65500 pixels"): lambda: re.sub(
            rb"(?<=\xff\xc0\x00\x11\x08)....", b"\xff\xdc\xff\xdc", _encoded("JPEG"), flags=re.S
        ),
        ("preset", "deep nesting"): lambda: b"[" * 200_000,
        ("preset", "a number"): lambda: b"3",
        ("report", "a list"): lambda: b"[]",
        ("report", "deep nesting"): lambda: b"[" * 200_000,
        ("report", "metrics as a list"): lambda: re.sub(
            rb'"metrics": \{.*?\},\n  "comp', b'"metrics": [],\n  "comp', _report(), flags=re.S
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
    """How reading went: "loaded", "refused" by a sentence of ours, or else what went wrong."""

    verdict: str
    said: str
    seconds: float


def read(kind: Format, content: bytes, folder: pathlib.Path) -> Outcome:
    """Read the content as a file in a new folder two below `folder`, and see what it did."""
    path = folder / "a" / "b" / kind.name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    scratch = folder / "a" / "tmp"
    scratch.mkdir()
    started = time.monotonic()
    verdict, said = "loaded", ""
    with _temporary(scratch), contextlib.redirect_stderr(io.StringIO()):
        try:
            kind.read(path)
        except kind.errors as error:
            said = f"{type(error).__name__}: {error}".replace(f"{path.parent}/", "")
            verdict = "refused" if SENTENCE.search(said) else "refused without a sentence of ours"
        except Exception as error:
            verdict, said = "raised another error", f"{type(error).__name__}: {error}"
    seconds = time.monotonic() - started
    ours = {path, path.parent / "card.json"}
    if litter := [str(p) for p in folder.rglob("*") if p.is_file() and p not in ours]:
        verdict, said = "wrote a file", ", ".join(litter)
    return Outcome(verdict, said[:500], seconds)


@contextlib.contextmanager
def _temporary(folder: pathlib.Path) -> Iterator[None]:
    before = tempfile.tempdir
    tempfile.tempdir = str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
