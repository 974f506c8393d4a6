"""Records of data on disk: in the folder of a run, and inside its model.keras."""

import io
import json
import pathlib
import zipfile
from typing import Any

import numpy as np

from rar_tf.datasets import DataRecord
from rar_tf.files import DAMAGE, read_npz, write_atomically

# Entry of a .keras file, a zip archive; Keras ignores entries that it does not know.
_ENTRY = "rar_tf/data.json"


def write_record(record: DataRecord, described: pathlib.Path, arrays: pathlib.Path) -> None:
    """Writes a record as JSON and .npz; both are complete once the JSON file exists."""
    buffer = io.BytesIO()
    arrays_by_name: dict[str, Any] = dict(record.arrays())
    np.savez(buffer, **arrays_by_name)
    write_atomically(arrays, buffer.getvalue())
    write_atomically(described, _text(record).encode())


def read_record(described: pathlib.Path, arrays: pathlib.Path) -> DataRecord:
    """Reads a record; without the .npz file its names and numbers alone.

    Raises:
      ValueError: damaged files, or files of different records.
    """
    try:
        content = json.loads(described.read_text(encoding="utf-8"))
        values = read_npz(arrays) if arrays.exists() else {}
        return DataRecord.from_plain(content, values)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{described} must be the record of a run's data. {error}") from error


def embed_record(record: DataRecord, model: pathlib.Path) -> None:
    """Adds the names and numbers of a record to a `.keras` file."""
    with zipfile.ZipFile(model, "a") as archive:
        archive.writestr(_ENTRY, _text(record))


def record_of_model(model: pathlib.Path) -> DataRecord | None:
    """Record of the data that a `.keras` file was trained on; None if none is known.

    It is that of the file's run if the file lies there, with digests of images; else that inside
    the file, with names alone.

    Raises:
      ValueError: a damaged record.
    """
    embedded = _embedded(model)
    described = model.parent / "data.json"
    if not described.is_file():
        return embedded
    record = read_record(described, model.parent / "data.npz")
    # Another model's file may lie in the folder of a run.
    is_of_run = embedded is None or embedded.class_names == record.class_names
    return record if is_of_run else embedded


def _embedded(model: pathlib.Path) -> DataRecord | None:
    try:
        with zipfile.ZipFile(model) as archive:
            if _ENTRY not in archive.namelist():
                return None
            content = archive.read(_ENTRY)
    except DAMAGE:  # Not a zip archive; loading the model says so.
        return None
    try:
        return DataRecord.from_plain(json.loads(content), {})
    except ValueError as error:
        raise ValueError(f"{model} must hold a complete {_ENTRY}. {error}") from error


def _text(record: DataRecord) -> str:
    return json.dumps(record.describe(), indent=2) + "\n"
