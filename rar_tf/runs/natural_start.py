"""Natural starts that several runs share, each trained once."""

import hashlib
import pathlib

import keras

from rar_tf.datasets import ImageData
from rar_tf.files import write_atomically
from rar_tf.presets import Preset, natural_start
from rar_tf.runs.run import train
from rar_tf.runs.workdir import Workdir


def workdir_of(preset: Preset, folder: pathlib.Path) -> Workdir:
    """The workdir of this preset in `folder`, named by its objective and a digest."""
    digest = hashlib.sha256(preset.to_json().encode()).hexdigest()[:8]
    return Workdir(folder / f"{preset.objective.name}-{digest}")


def train_in(folder: pathlib.Path, preset: Preset, data: ImageData) -> tuple[Workdir, keras.Model]:
    """Trains in `workdir_of(preset, folder)`; presets with the same natural start share it.

    Returns:
      The workdir of the run, and its classifier.

    Raises:
      The errors of `train`.
    """
    workdir = workdir_of(preset, folder)
    if preset.model.init_from == "natural" and not workdir.natural.model.exists():
        shared, _ = train_in(folder, natural_start(preset), data)
        workdir.natural.root.mkdir(parents=True, exist_ok=True)
        for source, target in (
            (shared.preset, workdir.natural.preset),
            (shared.metrics, workdir.natural.metrics),
            (shared.model, workdir.natural.model),  # last: it marks the copy as complete
        ):
            write_atomically(target, source.read_bytes())
    return workdir, train(preset, workdir, data)
