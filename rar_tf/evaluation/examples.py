"""Attacked images: a row of figures each, kept in a file that grows as they come."""

import csv
import dataclasses
import os
import pathlib
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class ExampleMetrics:
    """One attacked image of examples.csv.

    Attributes:
      index: in the split.
      label: its label, which is also the prediction.
      top_k, kendall, spearman: of the clean and the perturbed map; 1 without a candidate.
      center_shift: distance of the maps' centres of mass, in pixels.
      candidate: 1 if any perturbed image of unchanged label counted.
      undefined: 1 if a metric was NaN for some perturbed image of unchanged label.
      constant: 1 if the clean map is constant, so that no metric is defined.
      perturbation: largest change of a pixel in the image of the lowest Kendall.
      completeness_error: |sum of the clean attribution - (f_y(x) - f_y(0))|, in logits.
      output_change: f_y(x) - f_y(0), in logits.
      seconds: of the search, per image of its batch.
    """

    index: int
    label: int
    top_k: float
    kendall: float
    spearman: float
    center_shift: float
    candidate: int
    undefined: int
    constant: int
    perturbation: float
    completeness_error: float
    output_change: float
    seconds: float


@dataclasses.dataclass(frozen=True)
class AttackedExample:
    """What is shown of one image: pixels [H, W, C] and maps [H, W], clean and perturbed."""

    index: int
    x: np.ndarray
    x_adv: np.ndarray
    before: np.ndarray
    after: np.ndarray


class ExamplesFile:
    """examples.csv: rows appended as they come, whole rows only, so that a run can resume."""

    _FIELDS = [field.name for field in dataclasses.fields(ExampleMetrics)]

    def __init__(self, path: pathlib.Path):
        self._path = path

    def rows(self) -> list[ExampleMetrics]:
        """What is there; a last line that was cut off is dropped from the file.

        Raises:
          ValueError: the file is another program's.
        """
        if not self._path.exists():
            return []
        try:
            return self._rows()
        except (TypeError, ValueError, csv.Error) as error:
            raise ValueError(
                f"{self._path} must be a table of evaluated images; remove it to start over. "
                f"Received: {error}"
            ) from error

    def _rows(self):
        text = self._path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self._path.write_text(whole, encoding="utf-8")
        if not whole:
            return []
        reader = csv.DictReader(whole.splitlines())
        if reader.fieldnames != self._FIELDS:
            raise ValueError(
                f"expected the columns {', '.join(self._FIELDS)}, came {reader.fieldnames}"
            )
        return [_row(line) for line in reader]

    def append(self, rows: list[ExampleMetrics]) -> None:
        """Adds rows; they are on the disk when this returns."""
        new = not self._path.exists() or not self._path.stat().st_size
        with open(self._path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._FIELDS, lineterminator="\n")
            if new:
                writer.writeheader()
            writer.writerows(dataclasses.asdict(row) for row in rows)
            file.flush()
            os.fsync(file.fileno())


def _row(line: dict[str, str]) -> ExampleMetrics:
    values: dict[str, Any] = {
        field.name: int(line[field.name]) if field.type is int else float(line[field.name])
        for field in dataclasses.fields(ExampleMetrics)
    }
    return ExampleMetrics(**values)
