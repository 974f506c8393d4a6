"""Report: the figures of an evaluation as plain data, in report.json."""

import dataclasses
import json
import math
import pathlib
from typing import Any

import numpy as np
import scipy.stats

from rar_tf.attribution import METRICS
from rar_tf.evaluation.examples import ExampleMetrics
from rar_tf.evaluation.former_names import upgrade
from rar_tf.files import write_atomically

ACCURACIES = (
    "natural_accuracy",
    "pgd_accuracy",
    "strong_pgd_accuracy",
    "natural_accuracy_without_duplicates",
    "pgd_accuracy_without_duplicates",
)
_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Interval:
    """Statistics of a metric over images; NaN is left out, and counted in `Report.counts`.

    Attributes:
      mean: mean over all attacked images; 1 (0 for center_shift) for images without a candidate.
      median: median over the same images.
      low: lower end of the bootstrap 95% interval of the mean, by percentiles.
      high: its upper end.
      mean_with_candidate: mean over the images with a candidate alone; None if there is none.
    """

    mean: float | None
    median: float | None
    low: float | None
    high: float | None
    mean_with_candidate: float | None


@dataclasses.dataclass(frozen=True)
class Accuracy:
    """Share of images with the right prediction, of the first of the split.

    Attributes:
      value: the share, in [0, 1]; None if the attack had a loss gradient at no image with the
        right prediction: the figure would be of the other images alone.
      num_examples: number of images behind the share.
      unattacked: number of images left out, since the loss gradient is zero or not finite there:
        see `Predictions.unattacked`.
      non_finite: number of images whose logits, clean or attacked, are not all finite; they count
        as wrong.
    """

    value: float | None
    num_examples: int
    unattacked: int = 0
    non_finite: int = 0


@dataclasses.dataclass(frozen=True)
class Report:
    """One evaluation of one model.

    Attributes:
      model: facts on the model: file, preset, how logits were obtained, number of ReLUs.
      dataset: name, source and split of the data, and which of its images.
      protocol: `Protocol` as plain data.
      attack: name of the attack on maps.
      searches: each `Ifia` of the attack as plain data.
      seed: seed of random starts.
      batch_size: number of images in a batch of the last run.
      nodes_per_pass: nodes of a map in one pass of the last run; None for all.
      natural_accuracy: accuracy on clean images; None where not measured.
      pgd_accuracy: accuracy under the paper's PGD; None where not measured.
      strong_pgd_accuracy: accuracy under the strong attack on predictions; None where not
        measured.
      counts: numbers of images: attacked, misclassified, no_candidate, undefined (a metric was
        NaN), constant (a constant clean map).
      metrics: `Interval` by name of metric.
      completeness: mean |sum IG - (f(x) - f(0))| and mean |f(x) - f(0)|, in logits.
      seconds: wall time of the attack on maps, of all runs together.
      images_per_second: speed of the attack on maps.
      hardware: facts on the machine of the last run.
      versions: versions of Python and the libraries of the last run.
      worst_of_each_metric: whether each metric is the worst over all searches, see `MapAttack`.
      reference: number of reference searches, see `MapAttack`.
      duplicates: numbers of those images of the accuracies that are, pixel by pixel, training
        images too; None where none are or they were not looked for.
      natural_accuracy_without_duplicates: natural accuracy without these images.
      pgd_accuracy_without_duplicates: PGD accuracy without these images.
    """

    model: dict[str, Any]
    dataset: dict[str, Any]
    protocol: dict[str, Any]
    attack: str
    searches: list[dict[str, Any]]
    seed: int
    batch_size: int
    nodes_per_pass: int | None
    natural_accuracy: Accuracy | None
    pgd_accuracy: Accuracy | None
    strong_pgd_accuracy: Accuracy | None
    counts: dict[str, int]
    metrics: dict[str, Interval]
    completeness: dict[str, float | None]
    seconds: float
    images_per_second: float | None
    hardware: dict[str, Any]
    versions: dict[str, str]
    worst_of_each_metric: bool = False
    reference: int = 0
    duplicates: list[int] | None = None
    natural_accuracy_without_duplicates: Accuracy | None = None
    pgd_accuracy_without_duplicates: Accuracy | None = None

    def to_json(self) -> str:
        """The report as JSON text; numbers that are not finite as null."""
        return json.dumps(_finite(dataclasses.asdict(self)), indent=2, allow_nan=False) + "\n"

    def save(self, path: pathlib.Path) -> None:
        """Write the JSON file, whole or not at all."""
        write_atomically(path, self.to_json().encode())


def load_report(path: str | pathlib.Path) -> Report:
    """Read a report.json, of this version or an earlier one.

    Raises:
      ValueError: the file is no report.
    """
    try:
        values = upgrade(json.loads(pathlib.Path(path).read_text(encoding="utf-8")))
        for name in ACCURACIES:
            values[name] = values.get(name) and Accuracy(**values[name])
        values["metrics"] = {name: Interval(**value) for name, value in values["metrics"].items()}
        return Report(**values)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} must be a report.json of rar_tf. Received: {error!r}") from error


def interval(values: np.ndarray, candidate: np.ndarray, seed: int = 0) -> Interval:
    """Mean, median and seeded bootstrap interval of one metric.

    Args:
      values: [N], the metric of each image.
      candidate: [N] bool, whether the image had a candidate.
      seed: seed of the resampling.
    """
    values, candidate = np.asarray(values, np.float64), np.asarray(candidate, bool)
    defined = values[~np.isnan(values)]
    with_candidate = values[candidate & ~np.isnan(values)]
    if not len(defined):
        return Interval(None, None, None, None, None)
    low = high = float(defined.mean())
    if len(defined) > 1 and defined.std() > 0:
        bounds = scipy.stats.bootstrap(
            (defined,),
            np.mean,
            n_resamples=_RESAMPLES,
            batch=100,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        low, high = float(bounds.low), float(bounds.high)
    return Interval(
        float(defined.mean()),
        float(np.median(defined)),
        low,
        high,
        float(with_candidate.mean()) if len(with_candidate) else None,
    )


def summarize(rows: list[ExampleMetrics], misclassified: int) -> dict[str, Any]:
    """The fields of a report that follow from the rows of examples.csv."""
    columns = {
        field.name: np.array([getattr(row, field.name) for row in rows])
        for field in dataclasses.fields(ExampleMetrics)
    }
    seconds = float(columns["seconds"].sum())
    errors, changes = columns["completeness_error"], np.abs(columns["output_change"])
    return {
        "counts": {
            "attacked": len(rows),
            "misclassified": misclassified,
            "no_candidate": int((columns["candidate"] == 0).sum()),
            "undefined": int(columns["undefined"].sum()),
            "constant": int(columns["constant"].sum()),
        },
        "metrics": {name: interval(columns[name], columns["candidate"] == 1) for name in METRICS},
        "completeness": {
            "mean_error": float(errors.mean()) if len(rows) else None,
            "mean_output_change": float(changes.mean()) if len(rows) else None,
        },
        "seconds": seconds,
        "images_per_second": len(rows) / seconds if seconds else None,
    }


def _finite(value: Any) -> Any:
    """Plain data with None for numbers that are not finite."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(part) for part in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
