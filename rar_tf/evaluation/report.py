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
from rar_tf.files import write_atomically

ACCURACIES = (
    "natural_accuracy",
    "pgd_accuracy",
    "strong_pgd_accuracy",
    "natural_accuracy_without_duplicates",
    "pgd_accuracy_without_duplicates",
)
# Columns of `ExampleMetrics` whose ones are counted.
_COUNTED = (
    *("undefined", "constant", "few_pixels"),
    *("no_loss_gradient", "no_logit_gradient", "no_map_gradient", "not_improved"),
)
# Version of the measurement, see `Report.measurement`.
MEASUREMENT = 2
_RESAMPLES = 2000


@dataclasses.dataclass(frozen=True)
class Interval:
    """Statistics of a metric over the images with a figure; None where there is none.

    Attributes:
      mean: mean over the images whose metric is not NaN.
      median: median over the same images.
      low: lower end of the bootstrap 95% interval of the mean, by percentiles; None for fewer than
        two images.
      high: its upper end.
      num_examples: number of images with a figure.
      mean_with_ones: mean in which images without candidate count as unchanged, as the code of
        [RAR] does: 1, or 0 for center_shift; None unless `MapAttack.counts_unchanged`.
    """

    mean: float | None
    median: float | None
    low: float | None
    high: float | None
    num_examples: int
    mean_with_ones: float | None = None


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
      searches: each search of the attack as plain data, with its class as `kind`.
      seed: seed of random starts.
      batch_size: number of images in a batch of the last run.
      nodes_per_pass: nodes of a map in one pass of the last run; None for all.
      natural_accuracy: accuracy on clean images; None where not measured.
      pgd_accuracy: accuracy under the paper's PGD; None where not measured.
      strong_pgd_accuracy: accuracy under the strong attack on predictions; None where not
        measured.
      counts: numbers of images: attacked, misclassified, non_finite (a logit is not finite), and
        those of the columns of `ExampleMetrics`: no_candidate, undefined, constant, few_pixels,
        no_loss_gradient, no_logit_gradient, no_map_gradient, not_improved.
      metrics: `Interval` by name of metric.
      completeness: mean |sum IG - (f(x) - f(0))| and mean |f(x) - f(0)|, in logits.
      seconds: wall time of the attack on maps, of all runs together.
      images_per_second: speed of the attack on maps.
      hardware: facts on the machine of the last run.
      versions: versions of Python and the libraries of the last run.
      worst_of_each_metric: whether each metric is the worst over all searches, see `MapAttack`.
      ranking: the attack's `Ranking` as plain data; None without one.
      refinements: each refinement of the attack as plain data.
      duplicates: numbers of those images of the accuracies that are, pixel by pixel, training
        images too; None where none are or they were not looked for.
      natural_accuracy_without_duplicates: natural accuracy without these images.
      pgd_accuracy_without_duplicates: PGD accuracy without these images.
      pixels: number of pixels of a map; k / pixels is the top-k intersection by chance.
      majority_share: share of the most frequent class among the images of natural accuracy, or
        of the attacked set where that was not measured.
      randomness: largest difference of a logit between two calls on the same images; 0 where it
        is within rounding.
      remarks: each `Remark` as plain data.
      measurement: version of the measurement; figures of different versions are not comparable.
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
    ranking: dict[str, Any] | None = None
    refinements: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    duplicates: list[int] | None = None
    natural_accuracy_without_duplicates: Accuracy | None = None
    pgd_accuracy_without_duplicates: Accuracy | None = None
    pixels: int | None = None
    majority_share: float | None = None
    randomness: float = 0.0
    remarks: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    measurement: int = MEASUREMENT

    @property
    def is_masked(self) -> bool:
        """Whether some remark means that a figure may be better than the truth."""
        return any(remark["masks"] for remark in self.remarks)

    def to_json(self) -> str:
        """The report as JSON text; numbers that are not finite as null."""
        return json.dumps(_finite(dataclasses.asdict(self)), indent=2, allow_nan=False) + "\n"

    def save(self, path: pathlib.Path) -> None:
        """Write the JSON file, whole or not at all."""
        write_atomically(path, self.to_json().encode())


def load_report(path: str | pathlib.Path) -> Report:
    """Read a report.json.

    Raises:
      ValueError: the file is no report, or of another version of the measurement.
    """
    try:
        values = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        metrics, version = values["metrics"], values.get("measurement", 1)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _no_report(path, error) from error
    if version != MEASUREMENT:
        raise ValueError(
            f"{path} must be of measurement version {MEASUREMENT}. Received: version {version}; "
            "evaluate again in a new folder"
        )
    try:
        for name in ACCURACIES:
            values[name] = values.get(name) and Accuracy(**values[name])
        values["metrics"] = {name: Interval(**value) for name, value in metrics.items()}
        return Report(**values)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _no_report(path, error) from error


def _no_report(path: str | pathlib.Path, error: Exception) -> ValueError:
    return ValueError(f"{path} must be a report.json of rar_tf. Received: {error!r}")


def interval(
    values: np.ndarray, values_with_ones: np.ndarray | None = None, seed: int = 0
) -> Interval:
    """Mean, median and seeded bootstrap interval of one metric.

    Args:
      values: [N], the metric of each image; NaN where it has no figure.
      values_with_ones: [N], the same where images without candidate count as unchanged, for
        `mean_with_ones`.
      seed: seed of the resampling.
    """
    values = np.asarray(values, np.float64)
    defined = values[~np.isnan(values)]
    with_ones = None
    if values_with_ones is not None and not np.isnan(values_with_ones).all():
        with_ones = float(np.nanmean(values_with_ones))
    if not len(defined):
        return Interval(None, None, None, None, 0, with_ones)
    low = high = float(defined.mean()) if len(defined) > 1 else None
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
        len(defined),
        with_ones,
    )


def summarize(
    rows: list[ExampleMetrics],
    misclassified: int,
    *,
    non_finite: int = 0,
    counts_unchanged: bool = False,
) -> dict[str, Any]:
    """The fields of a report that follow from the rows of examples.csv.

    Args:
      rows: the attacked images.
      misclassified: number of images that were skipped.
      non_finite: number of images, of those that were skipped, with logits that are not finite.
      counts_unchanged: see `MapAttack.counts_unchanged`.
    """
    columns = {
        field.name: np.array([getattr(row, field.name) for row in rows])
        for field in dataclasses.fields(ExampleMetrics)
    }
    seconds = float(columns["seconds"].sum())
    errors, changes = columns["completeness_error"], np.abs(columns["output_change"])
    # Maps other than integrated gradients have no error of completeness.
    finite = np.isfinite(changes)
    errors, changes = errors[np.isfinite(errors)], changes[finite]
    has_candidate = columns["candidate"] == 1
    # Without candidate although its map and all metrics are defined.
    unchanged = ~(has_candidate | (columns["constant"] == 1) | (columns["undefined"] == 1))

    def with_ones(name: str) -> np.ndarray:
        return np.where(unchanged, METRICS[name].unchanged, columns[name])

    return {
        "counts": {
            "attacked": len(rows),
            "misclassified": misclassified,
            "non_finite": non_finite + int((~finite).sum()),
            "no_candidate": int((~has_candidate).sum()),
            **{name: int(columns[name].sum()) for name in _COUNTED},
        },
        "metrics": {
            name: interval(columns[name], with_ones(name) if counts_unchanged else None)
            for name in METRICS
        },
        "completeness": {
            "mean_error": float(errors.mean()) if len(errors) else None,
            "mean_output_change": float(changes.mean()) if len(changes) else None,
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
