"""The folder of a run: where each file lies, and that one folder means one preset."""

import contextlib
import dataclasses
import errno
import fcntl
import json
import logging as std_logging
import os
import pathlib
import socket
from collections.abc import Iterator
from typing import Any

from absl import logging

from rar_tf.files import remove_unfinished, write_atomically
from rar_tf.presets import Preset, differences

_FULL = (errno.ENOSPC, errno.EDQUOT)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)


class WorkdirError(Exception):
    """The folder cannot hold this run; the message says why and what to do."""


@dataclasses.dataclass(frozen=True)
class Workdir:
    """Paths of a run.

    preset.json, train.log, metrics.csv, checkpoints/, tensorboard/, model.keras,
    export/1/, and natural/ (the workdir of the natural start).
    """

    root: pathlib.Path

    @property
    def preset(self) -> pathlib.Path:
        """The resolved preset, JSON."""
        return self.root / "preset.json"

    @property
    def log(self) -> pathlib.Path:
        """What the run said."""
        return self.root / "train.log"

    @property
    def metrics(self) -> pathlib.Path:
        """One row a validation."""
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
    def lock(self) -> pathlib.Path:
        """Held, as long as it runs, by the one process that uses the folder."""
        return self.root / ".lock"

    @property
    def natural(self) -> "Workdir":
        """The natural start's own run."""
        return Workdir(self.root / "natural")

    def state(self) -> list[pathlib.Path]:
        """The files that decide how the run goes on, the natural start's among them."""
        files = [self.preset, self.metrics, self.model, *sorted(self.checkpoints.glob("*.npz"))]
        found = [path for path in files if path.exists()]
        return found + (self.natural.state() if self.natural.root.exists() else [])

    def claim(self, preset: Preset) -> None:
        """Creates the folder for this preset, or checks that it is this preset's.

        Raises:
          WorkdirError: it holds a run with another preset, or cannot be written.
        """
        try:
            with self.writing():
                self.root.mkdir(parents=True, exist_ok=True)
                if not self.preset.exists():
                    write_atomically(self.preset, preset.to_json().encode())
                    return
            found = json.loads(self.preset.read_text(encoding="utf-8"))
            if not isinstance(found, dict):
                raise ValueError(f"expected settings by name, came {type(found).__name__}")
        except OSError as error:
            raise WorkdirError(f"workdir {self.root} cannot be used: {error}") from error
        except (ValueError, RecursionError) as error:
            raise WorkdirError(f"{self.preset} is not a preset: {error}") from error
        if differing := differences(_completed(found), json.loads(preset.to_json())):
            lines = "\n  ".join(differing)
            raise WorkdirError(
                f"workdir {self.root} holds a run with another preset; choose another --workdir, "
                f"or repeat its settings to go on with it. It has -> you asked for:\n  {lines}"
            )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Within it no other process uses the folder. However this one ends, the lock ends too.

        Raises:
          WorkdirError: another process uses the folder, or it cannot be written.
        """
        try:
            with self.writing():
                self.root.mkdir(parents=True, exist_ok=True)
                file = open(self.lock, "a+")
        except OSError as error:
            raise WorkdirError(f"workdir {self.root} cannot be used: {error}") from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise WorkdirError(
                    f"workdir {self.root} is in use by {self.lock.read_text() or 'another process'}"
                    "; wait for it to end, stop it, or choose another --workdir"
                ) from error
            except OSError as error:
                logging.warning(
                    "%s cannot be locked (%s): start no second run there", self.root, error
                )
            else:
                with contextlib.suppress(OSError):  # Litter is no reason to stop.
                    remove_unfinished(self.root)
            with contextlib.suppress(OSError):  # Whose it is, is a courtesy.
                self.lock.write_text(f"process {os.getpid()} on {socket.gethostname()}")
            yield

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Within it, a full or read-only disk is a WorkdirError that says what to do."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                remedy = "make space there"
            elif error.errno in _READ_ONLY:
                remedy = "make it writable, or choose another --workdir"
            else:
                raise
            raise WorkdirError(
                f"workdir {self.root} cannot be written: {error}. What was saved before is whole: "
                f"{remedy}, and the same command goes on"
            ) from error

    @contextlib.contextmanager
    def logging(self) -> Iterator[None]:
        """Within it, what absl logs is appended to train.log as well."""
        handler = std_logging.FileHandler(self.log)
        # A full disk must not turn each line into a traceback; the terminal has them too.
        handler.handleError = lambda record: None  # type: ignore[method-assign]
        handler.setFormatter(logging.PythonFormatter())
        logging.get_absl_logger().addHandler(handler)
        try:
            yield
        finally:
            logging.get_absl_logger().removeHandler(handler)
            handler.close()


def _completed(found: dict[str, Any]) -> dict[str, Any]:
    """Flat preset read from disk, completed by the defaults of settings added since."""
    try:
        return dict(json.loads(Preset.from_flat(found).to_json()))
    except (ValueError, TypeError):
        return found
