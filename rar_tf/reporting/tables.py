"""Tables of reports, beside the values that the papers published."""

import dataclasses
import glob
import pathlib

import numpy as np

from rar_tf.evaluation.examples import ExampleMetrics, ExamplesFile
from rar_tf.evaluation.report import Accuracy, Interval, Report, load_report
from rar_tf.markdown import table
from rar_tf.papers import PUBLISHED

HEADER = (
    *("Approach", "Images", "NA", "AA", "AA strong", "IN", "CO"),
    *("published NA", "AA", "IN", "CO"),
    *("original IN", "CO", "strongest IN", "CO"),
)
_BLANK = ("", "")


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished evaluation.

    Attributes:
      report: figures of the evaluation.
      folder: folder with report.json, examples.csv and pictures/.
      approach: name of the model: the objective of its training, else the name of its file.
    """

    report: Report
    folder: pathlib.Path
    approach: str

    @property
    def setting(self) -> tuple[str, str]:
        """(protocol, data set): results with the same setting share a table."""
        return self.report.protocol["name"], self.report.dataset["name"]

    def rows(self) -> list[ExampleMetrics]:
        """Rows of the result's examples.csv."""
        return ExamplesFile(self.folder / "examples.csv").rows()


def find_results(pattern: str) -> list[Result]:
    """Find results whose report.json, or its folder, matches a glob pattern; sorted by path.

    Raises:
      ValueError: nothing matches, a file is no report, or two results are of one measurement.
    """
    paths = {pathlib.Path(path) for path in glob.glob(pattern, recursive=True)}
    paths = {path / "report.json" if path.is_dir() else path for path in paths}
    files = sorted(path for path in paths if path.name == "report.json" and path.is_file())
    if not files:
        raise ValueError(
            f"results must match the report.json of finished evaluations. Received: {pattern}"
        )
    results = [_result(path) for path in files]
    seen: dict[tuple, Result] = {}
    for result in results:
        key = (result.setting, result.approach, result.report.attack)
        if key in seen:
            raise ValueError(
                f"results must hold one evaluation of {result.approach} by attack "
                f"{result.report.attack} on {result.setting[1]}. "
                f"Received: {seen[key].folder} and {result.folder}"
            )
        seen[key] = result
    return results


def _result(path: pathlib.Path) -> Result:
    report = load_report(path)
    preset = report.model.get("preset") or {}
    file = pathlib.Path(report.model.get("file") or report.model["name"])
    file_name = file.parent.name if file.stem == "model" else file.stem
    return Result(report, path.parent, preset.get("objective") or file_name)


def settings(results: list[Result]) -> list[tuple[str, str]]:
    """The (protocol, data set) pairs of the results, each once, in order."""
    return list(dict.fromkeys(result.setting for result in results))


def cells(results: list[Result], setting: tuple[str, str]) -> list[tuple[str, ...]]:
    """The table of one setting: rows of `HEADER`'s cells, blank where nothing was run.

    NA, AA, IN in percent, with the bootstrap 95% interval of IN's and CO's means. Figures of
    the attack "original" are shown with the number of its images, and with those of the attack
    "default" on the same images.
    """
    shown = [result for result in results if result.setting == setting]
    published = [key[2] for key in PUBLISHED if key[:2] == setting]
    rows = []
    for approach in dict.fromkeys([*published, *(result.approach for result in shown)]):
        by_attack = {
            result.report.attack: result for result in shown if result.approach == approach
        }
        runs = {attack: result.report for attack, result in by_attack.items()}
        default = runs.get("default")
        any_run = default or runs.get("strongest") or next(iter(runs.values()), None)
        original = by_attack.get("original")
        accuracies = ("natural_accuracy", "pgd_accuracy", "strong_pgd_accuracy")
        rows.append(
            (
                approach,
                str(default.counts["attacked"]) if default else "",
                *(accuracy_cell(any_run, name) for name in accuracies),
                *_pair(default),
                *PUBLISHED.get((*setting, approach), ("",) * 4),
                *(_original(original, by_attack.get("default")) if original else _BLANK),
                *_pair(runs.get("strongest")),
            )
        )
    return rows


def markdown(results: list[Result]) -> str:
    """All tables as Markdown."""
    parts = []
    for setting in settings(results):
        text = table(HEADER, cells(results, setting))
        parts.append(f"### {setting[1]}, protocol {setting[0]}\n\n{text}\n")
    return "\n".join(parts) + "\n" + EXPLANATION + "\n"


EXPLANATION = (
    "NA, AA: natural and PGD accuracy in percent; IN: top-k intersection in percent; CO: Kendall's "
    "tau; over the correctly classified of the first images of the split, mean [bootstrap 95% "
    "interval]. Figures that stand alone are of the attack `default`; `original` is the paper's "
    "own attack (n images, and what `default` found on them), `strongest` the worst that a "
    "portfolio of attacks finds. * quoted by [FAR] from other papers. [FAR] prints IN as a "
    "fraction."
)


def summary(report: Report) -> str:
    """Summary of one report as text for a terminal."""
    lines = []
    for name, words in (
        ("natural_accuracy", "natural accuracy"),
        ("pgd_accuracy", "PGD accuracy"),
        ("strong_pgd_accuracy", "accuracy under the strong attack"),
    ):
        accuracy = getattr(report, name)
        if accuracy:
            lines.append(f"{words}: {_accuracy_words(accuracy)}")
    natural = report.natural_accuracy_without_duplicates
    if report.duplicates and natural and natural.value is not None:
        lines.append(
            f"natural accuracy without the {len(report.duplicates)} that are training images too: "
            f"{natural.value:.4f} ({natural.num_examples} images)"
        )
    for name in ("top_k", "kendall", "spearman"):
        metric = report.metrics[name]
        if metric.mean is not None:
            lines.append(
                f"{name}: {metric.mean:.4f} [{metric.low:.4f}, {metric.high:.4f}], "
                f"median {metric.median:.4f}"
            )
    lines.append(", ".join(f"{name} {count}" for name, count in report.counts.items()))
    if report.images_per_second:
        lines.append(f"attack {report.attack}: {report.images_per_second:.3f} images/s")
    return "\n".join(lines)


def _accuracy_words(accuracy: Accuracy) -> str:
    """The share, the number of images behind it, and those that are left out or not finite."""
    counts = [f"{accuracy.num_examples} images"]
    if accuracy.unattacked:
        counts.append(f"{accuracy.unattacked} without loss gradient not attacked")
    if accuracy.non_finite:
        counts.append(f"{accuracy.non_finite} with logits that are not finite")
    value = "-" if accuracy.value is None else f"{accuracy.value:.4f}"
    return f"{value} ({'; '.join(counts)})"


def accuracy_cell(report: Report | None, name: str) -> str:
    """Percent of the named accuracy; blank where it was not measured, "-" without a figure."""
    accuracy = getattr(report, name) if report else None
    if accuracy is None:
        return ""
    return "-" if accuracy.value is None else f"{100 * accuracy.value:.2f}"


def _pair(report: Report | None) -> tuple[str, str]:
    if report is None:
        return _BLANK
    top_k, kendall = report.metrics["top_k"], report.metrics["kendall"]
    return interval_cell(top_k, 100, 2), interval_cell(kendall, 1, 4)


def _original(original: Result, default: Result | None) -> tuple[str, str]:
    """Cells IN and CO of "original", with those of "default" on the same images if it has all."""
    top_k_cell, kendall_cell = _pair(original.report)
    count = f"n={original.report.counts['attacked']}"
    indices = [row.index for row in original.rows()]
    default_rows = {row.index: row for row in default.rows()} if default else {}
    if not indices or not set(indices) <= set(default_rows):
        return f"{top_k_cell} ({count})", kendall_cell
    top_k, kendall = (
        np.nanmean([getattr(default_rows[i], name) for i in indices])
        for name in ("top_k", "kendall")
    )
    return (
        f"{top_k_cell} ({count}, default {100 * top_k:.2f})",
        f"{kendall_cell} (default {kendall:.4f})",
    )


def interval_cell(metric: Interval, scale: float, digits: int) -> str:
    """Mean [bootstrap 95% interval], times `scale`; blank where it is not defined."""
    if metric.mean is None or metric.low is None or metric.high is None:
        return ""
    mean, low, high = (f"{scale * v:.{digits}f}" for v in (metric.mean, metric.low, metric.high))
    return f"{mean} [{low}, {high}]"
