"""Workdir: the folder of a run, the paths of its files, and its lock."""

import contextlib
import dataclasses
import errno
import json
import logging as std_logging
import pathlib
from collections.abc import Iterator
from typing import Any

from absl import logging

from rar_tf import folder_lock
from rar_tf.datasets import DataRecord
from rar_tf.datasets.record import changes
from rar_tf.files import write_atomically
from rar_tf.presets import Preset, differences
from rar_tf.runs.data_files import read_record, write_record

_UNFINISHED = r"preset\.json|data\.json|data\.npz|metrics\.csv|model\.keras"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class WorkdirError(Exception):
    """The folder cannot hold this run; the message gives the cause and a remedy."""


@dataclasses.dataclass(frozen=True)
class Workdir:
    """Paths of a run.

    preset.json, data.json, data.npz, train.log, metrics.csv, checkpoints/, tensorboard/,
    model.keras, export/1/, and natural/ (the workdir of the natural start).
    """

    root: pathlib.Path

    @property
    def preset(self) -> pathlib.Path:
        """The resolved preset, JSON."""
        return self.root / "preset.json"

    @property
    def data(self) -> pathlib.Path:
        """Class names and digest of the data, JSON."""
        return self.root / "data.json"

    @property
    def data_digests(self) -> pathlib.Path:
        """Digests of the data's images, .npz."""
        return self.root / "data.npz"

    @property
    def log(self) -> pathlib.Path:
        """Log of the run."""
        return self.root / "train.log"

    @property
    def metrics(self) -> pathlib.Path:
        """Table of the validations, CSV."""
        return self.root / "metrics.csv"

    @property
    def checkpoints(self) -> pathlib.Path:
        """Folder of checkpoints."""
        return self.root / "checkpoints"

    @property
    def tensorboard(self) -> pathlib.Path:
        """Folder of TensorBoard events."""
        return self.root / "tensorboard"

    @property
    def model(self) -> pathlib.Path:
        """The trained classifier, a plain Keras file; exists once training is complete."""
        return self.root / "model.keras"

    @property
    def export(self) -> pathlib.Path:
        """SavedModel, version 1."""
        return self.root / "export" / "1"

    @property
    def natural(self) -> "Workdir":
        """Workdir of the natural start."""
        return Workdir(self.root / "natural")

    def state(self) -> list[pathlib.Path]:
        """Existing files that determine how the run continues, also those of the natural start."""
        records = [self.data, self.data_digests]
        files = [
            self.preset,
            *records,
            self.metrics,
            self.model,
            *sorted(self.checkpoints.glob("*.npz")),
        ]
        existing = [path for path in files if path.exists()]
        return existing + (self.natural.state() if self.natural.root.exists() else [])

    def precision(self) -> str | None:
        """Precision that the run in this folder was begun with; None without a run."""
        try:
            content = json.loads(self.preset.read_text(encoding="utf-8"))
            return Preset.from_flat(content).optimizer.precision
        except (OSError, ValueError, TypeError, AttributeError, RecursionError):
            return None  # `claim` names what is wrong with the file.

    def claim(self, preset: Preset) -> None:
        """Creates the folder with this preset, or checks that it has this preset.

        Raises:
          WorkdirError: the folder holds a run with another preset, or cannot be written.
        """
        try:
            with self.writing():
                self.root.mkdir(parents=True, exist_ok=True)
                if not self.preset.exists():
                    write_atomically(self.preset, preset.to_json().encode())
                    return
            content = json.loads(self.preset.read_text(encoding="utf-8"))
            if not isinstance(content, dict):
                raise ValueError(f"it must be an object. Received: {type(content).__name__}")
        except OSError as error:
            raise WorkdirError(f"workdir {self.root} cannot be used: {error}") from error
        except (ValueError, RecursionError) as error:
            raise WorkdirError(f"{self.preset} is not a preset: {error}") from error
        if differing := differences(_completed(content), json.loads(preset.to_json())):
            lines = "\n  ".join(differing)
            raise WorkdirError(
                f"workdir {self.root} holds a run with another preset; choose another --workdir, "
                f"or repeat its settings to resume it. In the folder -> requested:\n  {lines}"
            )

    def claim_data(self, record: DataRecord) -> None:
        """Keeps the record of the run's data, or checks that the data are still those.

        Raises:
          WorkdirError: the run has other data, with what differs.
        """
        if self.data.exists():
            try:
                kept = read_record(self.data, self.data_digests)
            except ValueError as error:
                raise WorkdirError(str(error)) from error
            if differing := changes(kept, record):
                raise WorkdirError(
                    f"workdir {self.root} holds a run on other data; restore them to resume it, or "
                    f"choose another --workdir. Changed: {'; '.join(differing)}"
                )
        elif self.model.exists() or any(self.checkpoints.glob("*.npz")):
            logging.warning(
                "%s is of a version that kept no record of its data: whether they are still the "
                "same is not checked",
                self.root,
            )
        else:
            write_record(record, self.data, self.data_digests)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Context in which no other process uses the folder; the lock ends with this process.

        Raises:
          WorkdirError: another process uses the folder, or the folder cannot be written.
        """
        with contextlib.ExitStack() as stack:
            try:
                with self.writing():
                    self.root.mkdir(parents=True, exist_ok=True)
                    stack.enter_context(folder_lock.locked(self.root, _UNFINISHED))
            except folder_lock.FolderInUse as error:
                raise WorkdirError(
                    f"workdir {self.root} is in use by {error}; wait for it to end, stop it, or "
                    "choose another --workdir"
                ) from error
            except OSError as error:
                raise WorkdirError(f"workdir {self.root} cannot be used: {error}") from error
            yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Context that converts a full or read-only disk to a WorkdirError with a remedy."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                remedy = "free space there"
            elif error.errno in _READ_ONLY:
                remedy = "make it writable, or choose another --workdir"
            else:
                raise
            raise WorkdirError(
                f"workdir {self.root} cannot be written: {error}. Files saved before are complete: "
                f"{remedy}, and the same command resumes"
            ) from error

    @contextlib.contextmanager
    def logging(self) -> Iterator[None]:
        """Context in which absl's log is also appended to train.log."""
        handler = std_logging.FileHandler(self.log)
        # A full disk must not print a traceback for each line; the terminal shows the lines too.
        handler.handleError = lambda record: None  # type: ignore[method-assign]
        handler.setFormatter(logging.PythonFormatter())
        logging.get_absl_logger().addHandler(handler)
        try:
            yield
        finally:
            logging.get_absl_logger().removeHandler(handler)
            handler.close()


def _completed(settings: dict[str, Any]) -> dict[str, Any]:
    """Flat preset read from disk, completed by the defaults of settings added since."""
    try:
        return dict(json.loads(Preset.from_flat(settings).to_json()))
    except (ValueError, TypeError):
        return settings
