"""Checkpoints: files with the weights and optimizer state that a run resumes from.

Writing is atomic: a file is complete or does not exist.
"""

import hashlib
import io
import pathlib
import re
from typing import Any

import numpy as np
from absl import logging

from rar_tf.files import read_npz, remove_unfinished, write_atomically
from rar_tf.training.robust_model import RobustModel

_NAME = re.compile(r"step-(\d{8})\.npz")


class OtherData(ValueError):
    """A checkpoint was made on other data."""


def save(
    folder: pathlib.Path, model: RobustModel, *, keep: int = 2, data: str | None = None
) -> pathlib.Path:
    """Writes weights and optimizer state at the current step; removes all but `keep` files.

    Args:
      folder: folder of the checkpoints.
      model: model to save.
      keep: number of files to keep.
      data: digest of the training data, see `DataRecord.digest`.

    Raises:
      OSError: the file could not be written; earlier checkpoints are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_unfinished(folder, _NAME.pattern)
    path = folder / f"step-{step(model):08d}.npz"
    arrays: dict[str, Any] = {
        key: np.asarray(variable) for key, variable in _variables(model).items()
    }
    if data is not None:
        arrays["data"] = np.asarray(data)
    arrays["digest"] = _digest(arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getvalue())
    for old in available(folder)[:-keep]:
        old.unlink()
    return path


def restore_latest(folder: pathlib.Path, model: RobustModel, *, data: str | None = None) -> int:
    """Restores the newest complete checkpoint; logs a warning for each damaged one.

    Args:
      folder: folder of the checkpoints.
      model: model to restore.
      data: digest of the data that training goes on with; None to take any.

    Returns:
      The step restored, 0 without a checkpoint.

    Raises:
      ValueError: checkpoints exist, but all are damaged or of another model.
      OtherData: the newest complete one was made on other data.
    """
    problems = []
    for path in reversed(available(folder)):
        try:
            _restore(path, model, data)
        except OtherData:
            raise
        except ValueError as error:
            logging.warning("checkpoint %s is damaged (%s); trying the one before", path, error)
            problems.append(f"{path}: {error}")
            continue
        return step(model)
    if problems:
        raise ValueError(
            "no checkpoint could be read; restore a complete one, or start again in a new "
            "--workdir:" + "".join(f"\n  {problem}" for problem in problems)
        )
    return 0


def available(folder: pathlib.Path) -> list[pathlib.Path]:
    """Checkpoint files, oldest first."""
    return sorted(path for path in folder.glob("step-*.npz") if _NAME.fullmatch(path.name))


def step(model: RobustModel) -> int:
    """Number of optimizer steps taken."""
    return int(model.optimizer.iterations.numpy())


def _variables(model: RobustModel) -> dict[str, Any]:
    groups = {"classifier": model.classifier.variables, "optimizer": model.optimizer.variables}
    return {
        f"{group}/{index:04d}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }


def _digest(arrays: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    for key in sorted(arrays):
        digest.update(f"{key} {arrays[key].dtype} {arrays[key].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[key]).tobytes())
    return digest.hexdigest()


def _restore(path: pathlib.Path, model: RobustModel, data: str | None) -> None:
    arrays = read_npz(path)
    if str(arrays.pop("digest", "")) != _digest(arrays):
        raise ValueError("its content does not match its digest")
    trained_on = str(arrays.pop("data", "")) or data  # Older files do not name their data.
    if data is not None and trained_on != data:
        raise OtherData(
            f"checkpoint {path} must be of the data of this run, digest {data}; restore them, or "
            f"choose another --workdir. Received: one of data with digest {trained_on}"
        )
    variables = _variables(model)
    if arrays.keys() != variables.keys():
        raise ValueError(f"variables must be {len(variables)}. Received: {len(arrays)}")
    for key, variable in variables.items():
        if arrays[key].shape != tuple(variable.shape):
            raise ValueError(
                f"{key} must have shape {tuple(variable.shape)}. Received: {arrays[key].shape}"
            )
    for key, variable in variables.items():
        variable.assign(arrays[key])
