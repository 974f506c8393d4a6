"""Keras callbacks of a run: progress, the watch for NaN, checkpoints, validation, stopping."""

import contextlib
import csv
import dataclasses
import errno
import io
import math
import pathlib
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from rar_tf import progress
from rar_tf.files import write_atomically
from rar_tf.runs import checkpoints
from rar_tf.runs.interrupts import StopRequest
from rar_tf.training.averaging import averaged_weights
from rar_tf.training.validation import Validation, Validator

_WINDOW = 50  # steps over which the shown means run


class Divergence(Exception):
    """A loss or gradient is not finite; the last good checkpoint is untouched."""


class GuardFinite(keras.callbacks.Callback):
    """Stops training at the first non-finite loss, term or gradient.

    First in the list: nothing after it sees, or saves, a step that is not finite.
    """

    def __init__(self, checkpoint_folder: pathlib.Path):
        super().__init__()
        self._folder = checkpoint_folder

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        parts = {name: float(value) for name, value in logs.items()}
        bad = [name for name, value in parts.items() if not math.isfinite(value)]
        if not bad:
            return
        good = checkpoints.available(self._folder)
        raise Divergence(
            f"{', '.join(bad)} not finite at step {checkpoints.step(self.model)}: "
            + ", ".join(f"{name}={value:.6g}" for name, value in parts.items())
            + f". Last good checkpoint: {good[-1] if good else 'none'}. A lower --learning_rate, "
            "--weight or --epsilon is the usual remedy, in a new --workdir"
        )


class Progress(keras.callbacks.Callback):
    """Progress of a training; the shown means run over a short window of steps."""

    def __init__(self, name: str, first_step: int, max_steps: int, batch_size: int):
        super().__init__()
        self._name, self._first, self._max = name, first_step, max_steps
        self._batch_size = batch_size
        self._progress: progress.Progress | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        self._progress = progress.Progress(
            self._name, self._max, self._first, unit="step", smoothing=0.1
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any]) -> None:
        def values(rate: float) -> dict[str, str]:
            means = {name: f"{float(logs[name]):.3f}" for name in ("loss", "term", "accuracy")}
            return means | {"examples/s": f"{rate * self._batch_size:.0f}"}

        if self._progress is not None:
            self._progress.advance(1, values)
        if (batch + 1) % _WINDOW == 0:
            self.model.reset_metrics()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        self.close()

    def close(self) -> None:
        """Leave the terminal clean, also after an error."""
        if self._progress is not None:
            self._progress.close()


class Checkpoints(keras.callbacks.Callback):
    """Saves every `every` steps, at the last one, and when asked to stop; then stops."""

    def __init__(
        self, folder: pathlib.Path, every: int, max_steps: int, stop: StopRequest, *, keep: int
    ):
        super().__init__()
        self._folder, self._every, self._max, self._stop = folder, every, max_steps, stop
        self._keep = keep

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = checkpoints.step(self.model)
        stop = self._stop.poll()
        if step % self._every == 0 or step == self._max or stop:
            checkpoints.save(self._folder, self.model, keep=self._keep)
        if stop:
            self.model.stop_training = True


class Validate(keras.callbacks.Callback):
    """Validates what would be saved, every `every` steps and at both ends; writes metrics.csv."""

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
    ):
        super().__init__()
        self._validator, self._batches = validator, batches
        self._every, self._first, self._max = every, first_step, max_steps
        self._path, self._curves = metrics, tensorboard
        self._rows: list[dict] = []
        with _os_errors(tensorboard):
            self._events = tf.summary.create_file_writer(str(tensorboard))

    def on_train_begin(self, logs: Any = None) -> None:
        # A killed run may have validated after its last checkpoint: those rows come again.
        rows = read_metrics(self._path) if self._first else []
        self._rows = [row for row in rows if row["step"] <= self._first]
        if self._first == 0:
            self._validate(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        step = self._first + batch + 1
        if step % self._every == 0 or step == self._max:
            self._validate(step)
        if step % _WINDOW == 0:
            self._write_events(step, {name: float(value) for name, value in logs.items()})

    def on_train_end(self, logs: Any = None) -> None:
        self._events.close()

    def _validate(self, step: int) -> None:
        with averaged_weights(self.model):
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
        writer = csv.DictWriter(text, self._FIELDS)
        writer.writeheader()
        writer.writerows(self._rows)
        write_atomically(self._path, text.getvalue().encode())
        self._write_events(step, {f"validation/{k}": v for k, v in row.items() if k != "step"})

    def _write_events(self, step: int, values: dict[str, float]) -> None:
        with _os_errors(self._curves), self._events.as_default(step=step):
            for name, value in values.items():
                tf.summary.scalar(name, value)
            self._events.flush()


@contextlib.contextmanager
def _os_errors(path: pathlib.Path) -> Iterator[None]:
    """TensorFlow's errors of writing a file as Python's, so that all files fail alike."""
    try:
        yield
    except tf.errors.OpError as error:
        known = {tf.errors.ResourceExhaustedError: errno.ENOSPC}
        known[tf.errors.PermissionDeniedError] = errno.EACCES
        raise OSError(known.get(type(error), errno.EIO), error.message, str(path)) from error


def read_metrics(path: pathlib.Path) -> list[dict]:
    """The rows of a metrics.csv, numbers as numbers; [] where there is none yet.

    Raises:
      ValueError: it holds something else.
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
            f"{path} must be a table of numbers; remove it to go on without its rows. "
            f"Received: {error}"
        ) from error
