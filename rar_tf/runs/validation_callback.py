"""Keras callback that validates a run, and metrics.csv, the table that it writes."""

import contextlib
import csv
import dataclasses
import errno
import io
import pathlib
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from rar_tf.datasets import ImageData, Split, ordered_batches
from rar_tf.files import write_atomically
from rar_tf.presets import Preset, build
from rar_tf.runs.callbacks import WINDOW
from rar_tf.runs.workdir import Workdir
from rar_tf.training.averaging import averaged_weights
from rar_tf.training.population import PopulationStatistics
from rar_tf.training.robust_model import RobustModel
from rar_tf.training.validation import Validation, Validator

_MOST_IMAGES = 512


class Validate(keras.callbacks.Callback):
    """Validates the weights that would be saved, at both ends and every `every` steps.

    Writes metrics.csv and TensorBoard events.
    """

    _FIELDS = ["step", *(field.name for field in dataclasses.fields(Validation))]

    def __init__(
        self,
        validator: Validator,
        batches: tf.data.Dataset,
        *,
        every: int,
        first_step: int,
        max_steps: int,
        metrics: pathlib.Path,
        tensorboard: pathlib.Path,
        statistics: PopulationStatistics | None = None,
    ) -> None:
        super().__init__()
        self._validator, self._batches, self._statistics = validator, batches, statistics
        self._every, self._first, self._max = every, first_step, max_steps
        self._path, self._tensorboard = metrics, tensorboard
        self._rows: list[dict[str, Any]] = []
        with _os_errors(tensorboard):
            self._events = tf.summary.create_file_writer(str(tensorboard))

    def on_train_begin(self, logs: Any = None) -> None:
        # A killed run may have validated after its last checkpoint: those rows are written again.
        rows = read_metrics(self._path) if self._first else []
        self._rows = [row for row in rows if row["step"] <= self._first]
        if self._first == 0:
            self._validate(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = self._first + batch + 1
        if step % self._every == 0 or step == self._max:
            self._validate(step)
        if step % WINDOW == 0:
            self._write_events(step, {name: float(value) for name, value in logs.items()})

    def on_train_end(self, logs: Any = None) -> None:
        self._events.close()

    def _validate(self, step: int) -> None:
        # Weights that no step has changed have their own statistics.
        belonging = (
            self._statistics.applied() if self._statistics and step else contextlib.nullcontext()
        )
        with averaged_weights(self.model), belonging:
            row = {"step": step, **dataclasses.asdict(self._validator(self._batches))}
        logging.info(
            "step %d, validation on %d images: natural accuracy %.4f, PGD accuracy %.4f, "
            "mean ||IG||_1 %.4f nats",
            step,
            row["num_examples"],
            row["natural_accuracy"],
            row["pgd_accuracy"],
            row["ig_norm"],
        )
        self._rows.append(row)
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._FIELDS, restval="nan")
        writer.writeheader()
        writer.writerows(self._rows)
        write_atomically(self._path, text.getvalue().encode())
        self._write_events(step, {f"validation/{k}": v for k, v in row.items() if k != "step"})

    def _write_events(self, step: int, values: dict[str, float]) -> None:
        with _os_errors(self._tensorboard), self._events.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
            self._events.flush()


@contextlib.contextmanager
def _os_errors(path: pathlib.Path) -> Iterator[None]:
    """Context that converts TensorFlow's errors of writing a file to OSError."""
    try:
        yield
    except tf.errors.OpError as error:
        numbers = {tf.errors.ResourceExhaustedError: errno.ENOSPC}
        numbers[tf.errors.PermissionDeniedError] = errno.EACCES
        raise OSError(numbers.get(type(error), errno.EIO), error.message, str(path)) from error


def read_metrics(path: pathlib.Path) -> list[dict[str, Any]]:
    """The rows of a metrics.csv, values as numbers; [] if the file does not exist.

    Raises:
      ValueError: the file is not a table of numbers.
    """
    if not path.exists():
        return []
    try:
        with open(path, newline="") as file:
            return [
                {
                    name: int(value) if name in ("step", "num_examples") else float(value)
                    for name, value in row.items()
                }
                for row in csv.DictReader(file)
            ]
    except (TypeError, ValueError, csv.Error) as error:
        raise ValueError(
            f"{path} must be a table of numbers; remove it to resume without its rows. "
            f"Received: {error}"
        ) from error


def validation_images(data: ImageData) -> Split:
    """The images of each validation: the first of the validation split."""
    validation = data.require("validation")
    return Split(*validation.read(np.arange(min(_MOST_IMAGES, len(validation)))))


def validation_of(
    model: RobustModel,
    preset: Preset,
    workdir: Workdir,
    data: ImageData,
    statistics: PopulationStatistics | None,
    first_step: int,
    batch: int,
) -> Validate:
    """The validations of a run.

    Args:
      model: model that is trained.
      preset: preset of the run.
      workdir: folder of the run.
      data: data set with validation images.
      statistics: statistics for the validated weights; None to take them as they are.
      first_step: step that the run begins or resumes at.
      batch: number of images of a batch.
    """
    return Validate(
        Validator(model.adapted.model, build.ball(preset)),
        ordered_batches(validation_images(data), batch),
        every=preset.validation.validate_every,
        first_step=first_step,
        max_steps=preset.optimizer.max_steps,
        metrics=workdir.metrics,
        tensorboard=workdir.tensorboard,
        statistics=statistics,
    )
