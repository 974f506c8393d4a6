"""Every kind of file that this project reads, with an undamaged one of each."""

import gzip
import io
import json
import pathlib
import re
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
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


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def images(count: int = 30) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8, 3)).astype(np.uint8)


def labels(count: int = 30) -> np.ndarray:
    return np.arange(count) % 3


def encoded(kind: str, shape: tuple[int, ...] = (9, 7, 3)) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def zipped(members: Members, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression, compresslevel=1) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def ppm() -> bytes:
    return b"P6 7 9 255\n" + images(1).tobytes()[: 7 * 9 * 3]


def tarred(members: Members, extra: Sequence[tarfile.TarInfo] = ()) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for member in extra:
            archive.addfile(member)
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def cifar(count: int = 2) -> dict[str, bytes]:
    record = bytes([3]) + bytes(3072)
    names = [f"cifar-10-batches-bin/data_batch_{i}.bin" for i in range(1, 6)]
    return {name: record * count for name in [*names, "cifar-10-batches-bin/test_batch.bin"]}


def _idx() -> bytes:
    from rar_tf.datasets import idx

    return idx.encode(labels().astype(np.uint8))


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
    return npz(**{f"{k:03d}": np.ones(shape, np.float16) for k, shape in enumerate(shapes)})


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
    from rar_tf.datasets.image_files import decode_file

    return decode_file(path.read_bytes(), str(path))


def _read_preset(path: pathlib.Path) -> None:
    from rar_tf.presets import resolve
    from rar_tf.runs import Workdir

    Workdir(path.parent).claim(resolve("fashion_mnist", "ig_norm"))


def _read_metrics(path: pathlib.Path) -> object:
    from rar_tf.runs.validation_callback import read_metrics

    return read_metrics(path)


def report() -> bytes:
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
        "npz": Format("mine.npz", lambda: npz(images=images(), labels=labels()), _read_data),
        "checkpoint": Format("step-00000000.npz", _checkpoint, _read_checkpoint),
        "zoo": Format("entry/weights.npz", _zoo, _read_zoo),
        "idx": Format("labels-ubyte", _idx, _read_idx, intact=False),
        "idx.gz": Format("labels.gz", lambda: gzip.compress(_idx()), _read_idx, intact=False),
        "tar": Format("cifar-10-binary.tar.gz", lambda: tarred(cifar()), _read_tar),
        "zip": Format("images.zip", lambda: zipped({"a/b.ppm": ppm()}), _read_zip),
        "png": Format("image.png", lambda: encoded("PNG"), _read_image),
        "jpeg": Format("image.jpg", lambda: encoded("JPEG"), _read_image),
        "preset": Format("preset.json", _preset, _read_preset, _workdir_errors()),
        "metrics": Format("metrics.csv", lambda: rows, _read_metrics),
        "report": Format("report.json", report, _read_report),
        "examples": Format("examples.csv", _examples, _read_examples),
    }
