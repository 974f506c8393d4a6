"""Manifests: CSV files with the columns path, label and, where given, split."""

import csv
import io
import math
import os
import pathlib
import re
from typing import NamedTuple

from rar_tf.datasets.class_order import plain_name
from rar_tf.datasets.image_folder import SPLIT_NAMES

_REQUIRED, _SPLIT = ("path", "label"), "split"
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?|nan|inf)", re.I)
_DELIMITERS = ",;\t"


class Row(NamedTuple):
    """An image of a manifest: its row in the file (the header is row 1), file, label and split."""

    number: int
    name: str
    path: pathlib.Path
    label: str
    split: str


def read_manifest(file: pathlib.Path) -> tuple[list[Row], tuple[str, ...]]:
    """Rows of a manifest, and a phrase on further columns, if any.

    The file is UTF-8 with a header; cells are separated by commas, semicolons or tabs. Paths are
    relative to the file's folder; absolute ones and `..` are followed. Without a column `split`
    all images are of the training split.

    Raises:
      ValueError: another form; a row whose file is not there, whose label is empty or a fraction,
        whose split is unknown, or whose file an earlier row has.
    """
    header, cells = _table(file)
    rows, first_row = [], dict[str, int]()
    for number, values in cells:
        row = _row(file, number, dict(zip(header, values, strict=False)), len(values), len(header))
        real = os.path.normpath(row.path)
        if real in first_row:
            raise _error(file, number, f"name an image once. Received: {row.name}, as in row "
                         f"{first_row[real]}")  # fmt: skip
        first_row[real] = number
        rows.append(row)
    if not rows:
        raise ValueError(f"{file} must have a row for each image. Received: a header alone")
    _check_files(file, rows)
    further = [name for name in header if name not in (*_REQUIRED, _SPLIT)]
    remarks = (f"left out: columns {', '.join(map(repr, further))}",) if further else ()
    return _whole_labels(file, rows), remarks


def _table(file: pathlib.Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Header in lower case, and the other rows that are not empty, with their numbers."""
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} must be UTF-8 text. Received: {error}") from error
    if "\0" in text:
        raise ValueError(f"{file} must be UTF-8 text. Received: a file with NUL characters")
    first_line = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first_line.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    try:
        rows.extend(reader)
    except csv.Error as error:
        raise _error(file, len(rows) + 1, f"be complete, with closed quotes. {error}") from error
    header = [name.strip().lower() for name in rows[0]] if rows else []
    if not set(_REQUIRED) <= set(header) or len(set(header)) < len(header):
        raise ValueError(
            f"{file} must begin with a header of the columns path, label and, for given splits, "
            f"split. Received: {', '.join(map(repr, header)) or 'an empty file'}"
        )
    numbered = enumerate(rows[1:], 2)
    return header, [(n, cells) for n, cells in numbered if any(cell.strip() for cell in cells)]


def _row(file: pathlib.Path, number: int, cells: dict[str, str], width: int, expected: int) -> Row:
    if width != expected:
        raise _error(file, number, f"have {expected} cells, as the header. Received: {width}")
    name, label = cells["path"].strip(), plain_name(cells["label"])
    if not name:
        raise _error(file, number, "have a path. Received: an empty one")
    if not label:
        raise _error(file, number, f"have a label. Received: an empty one, for {name}")
    split = SPLIT_NAMES.get(cells.get(_SPLIT, "train").strip().lower())
    if split is None:
        raise _error(
            file, number, f"be of split train, validation or test. Received: {cells[_SPLIT]!r}"
        )
    path = file.parent / name
    if "\\" in name and not path.exists():  # Written on Windows.
        path = file.parent / name.replace("\\", "/")
    return Row(number, name, path, label, split)


def _check_files(file: pathlib.Path, rows: list[Row]) -> None:
    absent = [row for row in rows if not row.path.is_file()]
    if absent:
        more = f", and {len(absent) - 1:,} more rows" if len(absent) > 1 else ""
        row = absent[0]
        reason = "no file" if row.path.exists() else "not there"
        raise _error(
            file,
            row.number,
            f"name an image file. Received: {row.name}, which is {reason} ({row.path}){more}",
        )


def _whole_labels(file: pathlib.Path, rows: list[Row]) -> list[Row]:
    """Rows whose labels, if all are numbers, are written as integers."""
    numbers = [_number(row.label) for row in rows]
    all_numbers = all(number is not None for number in numbers)
    for row, number in zip(rows, numbers, strict=True):
        is_whole = number is None or (math.isfinite(number) and number == int(number))
        if not is_whole and (all_numbers or math.isfinite(number or 0)):
            raise _error(
                file,
                row.number,
                f"have a class as label, a name or a whole number. Received: {row.label}, for "
                f"{row.name}",
            )
    if not all_numbers:
        return rows
    return [
        row if row.label.isdecimal() else row._replace(label=str(int(number or 0)))
        for row, number in zip(rows, numbers, strict=True)
    ]


def _number(text: str) -> float | None:
    """The number that the text is; None for other text."""
    return float(text) if _NUMBER.fullmatch(text) else None


def _error(file: pathlib.Path, number: int, text: str) -> ValueError:
    return ValueError(f"row {number} of {file} must {text}")
