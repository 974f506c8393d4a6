"""Attacked images: their metrics, kept in a file that grows, and their pictures."""

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
      index: number of the image in the split.
      label: label of the image, which is also the prediction.
      top_k: top-k intersection of the clean and the perturbed map. This and the other metrics are
        NaN without a candidate, and where the clean map is constant or not finite.
      kendall: Kendall's tau of the two maps.
      kendall_foreground: Kendall's tau over the pixels where the clean map is > 0.
      spearman: Spearman's correlation of the two maps.
      center_shift: distance of the maps' centres of mass, in pixels.
      candidate: 1 if any perturbed image of unchanged label counted.
      undefined: 1 if the clean map is not finite, or a metric was NaN for some perturbed image of
        unchanged label.
      constant: 1 if the clean map is constant, so that no metric is defined.
      perturbation: largest change of a pixel in the image of the lowest Kendall.
      completeness_error: |sum of the clean attribution - output_change|, in logits; NaN for another
        map than integrated gradients.
      output_change: f_y(x) - f_y(b), b the baseline, in logits.
      seconds: wall time of the attack on its batch, divided by the number of images.
      few_pixels: 1 if the clean map has fewer than k pixels that are not zero.
      no_loss_gradient: 1 if the loss's gradient by the pixels is zero or not finite.
      no_logit_gradient: 1 if the gradient of the label's logit by the pixels is.
      no_map_gradient: 1 if the attack lacks the gradient of the map's score, see
        `GradientCheck`.
      not_improved: 1 if no search that follows a gradient returned a candidate.
    """

    index: int
    label: int
    top_k: float
    kendall: float
    kendall_foreground: float
    spearman: float
    center_shift: float
    candidate: int
    undefined: int
    constant: int
    perturbation: float
    completeness_error: float
    output_change: float
    seconds: float
    few_pixels: int = 0
    no_loss_gradient: int = 0
    no_logit_gradient: int = 0
    no_map_gradient: int = 0
    not_improved: int = 0


@dataclasses.dataclass(frozen=True)
class AttackedExample:
    """Picture of one attacked image.

    Attributes:
      index: number of the image in the split.
      x: [H, W, C], pixels in [0, 1].
      x_adv: [H, W, C], the perturbed image.
      before: [H, W], the map of x.
      after: [H, W], the map of x_adv.
    """

    index: int
    x: np.ndarray
    x_adv: np.ndarray
    before: np.ndarray
    after: np.ndarray


class ExamplesFile:
    """examples.csv: a table that grows by whole rows, so that a stopped run can be continued."""

    _FIELDS = [field.name for field in dataclasses.fields(ExampleMetrics)]

    def __init__(self, path: pathlib.Path):
        self._path = path

    def rows(self) -> list[ExampleMetrics]:
        """Rows of the file; an incomplete last line is removed from it.

        Raises:
          ValueError: the file has other columns or values.
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

    def _rows(self) -> list[ExampleMetrics]:
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
        """Append rows; they are on the disk when this returns."""
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
