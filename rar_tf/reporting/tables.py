"""Tables of reports, beside the values that the papers published."""

import dataclasses
import glob
import pathlib
from typing import Any

import numpy as np

from rar_tf.evaluation.examples import ExampleMetrics, ExamplesFile
from rar_tf.evaluation.report import Interval, Report, load_report
from rar_tf.markdown import table
from rar_tf.papers import PUBLISHED
from rar_tf.reporting import footnotes
from rar_tf.reporting.setting import Setting, differences, setting_of, settings_by_images

_MEASURED = ("Approach", "Images", "NA", "AA", "AA strong", "IN", "CO")
_PUBLISHED = ("published NA", "AA", "IN", "CO")
_OTHER_ATTACKS = ("original IN", "CO", "quick IN", "CO")
# Attack of the figures that stand without a name.
_HEADLINE = "worst_case"
_BLANK = ("", "")


@dataclasses.dataclass(frozen=True)
class Result:
    """A finished evaluation.

    Attributes:
      report: figures of the evaluation.
      folder: folder with report.json, examples.csv and pictures/.
      approach: name of the model: the objective of its training, else the name of its file.
      setting: results with the same setting share a table.
    """

    report: Report
    folder: pathlib.Path
    approach: str
    setting: Setting

    def rows(self) -> list[ExampleMetrics]:
        """Rows of the result's examples.csv."""
        return ExamplesFile(self.folder / "examples.csv").rows()


def find_results(pattern: str) -> list[Result]:
    """Find results whose report.json, or its folder, matches a glob pattern; sorted by path.

    Raises:
      ValueError: nothing matches, a file is no report, two results are of one measurement, or a
        line of a table would be of two models.
    """
    paths = {pathlib.Path(path) for path in glob.glob(pattern, recursive=True)}
    paths = {path / "report.json" if path.is_dir() else path for path in paths}
    files = sorted(path for path in paths if path.name == "report.json" and path.is_file())
    if not files:
        raise ValueError(
            f"results must match the report.json of finished evaluations. Received: {pattern}"
        )
    reports = [_load(path) for path in files]
    results = [
        Result(report, path.parent, _approach(report), setting)
        for path, report, setting in zip(files, reports, settings_by_images(reports), strict=True)
    ]
    _check_one_model_a_line(results)
    return results


def _load(path: pathlib.Path) -> Report:
    report = load_report(path)
    try:
        setting_of(report)
    except ValueError as error:
        raise ValueError(f"{path} cannot stand in a table: {error}") from error
    return report


def _check_one_model_a_line(results: list[Result]) -> None:
    """Raise ValueError for two results of one attack, or of different models, in one line."""
    seen: dict[tuple[Setting, str], list[Result]] = {}
    for result in results:
        line = seen.setdefault((result.setting, result.approach), [])
        for other in line:
            folders = f"{other.folder} and {result.folder}"
            if _model(other) != _model(result):
                raise ValueError(
                    f"results of {result.approach} must be of one model in {result.setting.title}. "
                    f"Received: {folders}, whose weights or architectures differ"
                )
            if other.report.attack == result.report.attack:
                raise ValueError(
                    f"results must hold one evaluation of {result.approach} by attack "
                    f"{result.report.attack} in {result.setting.title}. Received: {folders}"
                )
        line.append(result)


def _model(result: Result) -> tuple[Any, ...]:
    names = ("architecture_sha256", "weights_sha256", "outputs")
    return tuple(result.report.model.get(name) for name in names)


def _approach(report: Report) -> str:
    preset = report.model.get("preset") or {}
    file = pathlib.Path(report.model.get("file") or report.model["name"])
    return preset.get("objective") or (file.parent.name if file.stem == "model" else file.stem)


def settings(results: list[Result]) -> list[Setting]:
    """The settings of the results, each once, in order."""
    return list(dict.fromkeys(result.setting for result in results))


def published(setting: Setting) -> dict[str, tuple[str, ...]]:
    """Published NA, AA, IN and CO by approach; {} where the setting is not the paper's."""
    if not setting.is_published:
        return {}
    key = (setting.protocol, setting.dataset)
    return {approach: row for (*other, approach), row in PUBLISHED.items() if tuple(other) == key}


def header(setting: Setting) -> tuple[str, ...]:
    """Names of the columns of a setting's table."""
    foreground = ("CO fg",) if setting.protocol == "far" else ()
    return (*_MEASURED, *foreground, *(_PUBLISHED if published(setting) else ()), *_OTHER_ATTACKS)


def notes(results: list[Result], setting: Setting) -> list[str]:
    """Lines under a setting's table: conversions of models, differences, then its footnotes."""
    reports: dict[str, list[Report]] = {}
    for result in results:
        if result.setting == setting:
            reports.setdefault(result.approach, []).append(result.report)
    conversions = [
        f"{approach}: {'; '.join(descriptions)}."
        for approach, (first, *_) in reports.items()
        if (descriptions := (first.model.get("input_convention") or {}).get("descriptions"))
    ]
    return [*conversions, *differences(reports), *footnotes.lines(results, setting)]


def cells(results: list[Result], setting: Setting) -> list[tuple[str, ...]]:
    """The table of one setting: rows of `header`'s cells, blank where nothing was run.

    An approach with remarks has the numbers of its footnotes, see `footnotes.lines`.

    NA, AA, IN in percent, with the bootstrap 95% interval of IN's and CO's means. Figures of
    the attack "original" are shown with the number of its images, and with those of the attack
    "worst_case" on the same images.
    """
    shown = [result for result in results if result.setting == setting]
    rows_of_paper = published(setting)
    rows = []
    for approach in dict.fromkeys([*rows_of_paper, *(result.approach for result in shown)]):
        by_attack = {
            result.report.attack: result for result in shown if result.approach == approach
        }
        runs = {attack: result.report for attack, result in by_attack.items()}
        headline = runs.get(_HEADLINE)
        any_run = headline or next(iter(runs.values()), None)
        original = by_attack.get("original")
        accuracies = ("natural_accuracy", "pgd_accuracy", "strong_pgd_accuracy")
        foreground = headline.metrics.get("kendall_foreground") if headline else None
        foreground_cell = interval_cell(foreground, 1, 4) if foreground else ""
        rows.append(
            (
                approach + footnotes.marks(results, setting, approach),
                str(headline.metrics["kendall"].num_examples) if headline else "",
                *(accuracy_cell(any_run, name) for name in accuracies),
                *_pair(headline),
                *((foreground_cell,) if setting.protocol == "far" else ()),
                *(rows_of_paper.get(approach, ("",) * 4) if rows_of_paper else ()),
                *(_original(original, by_attack.get(_HEADLINE)) if original else _BLANK),
                *_pair(runs.get("quick")),
            )
        )
    return rows


def markdown(results: list[Result]) -> str:
    """All tables as Markdown."""
    parts = []
    for setting in settings(results):
        text = table(header(setting), cells(results, setting))
        lines = "".join(f"\n{line}\n" for line in notes(results, setting))
        parts.append(f"### {setting.title}\n\n{text}\n{lines}")
    return "\n".join(parts) + "\n" + EXPLANATION + "\n"


EXPLANATION = (
    "NA, AA: natural and PGD accuracy in percent; IN: top-k intersection in percent; CO: Kendall's "
    "tau; over the correctly classified of the first images of the split, mean [bootstrap 95% "
    "interval]. IN and CO without a name are of the attack `worst_case`: for each metric the worst "
    "of gradient and gradient-free searches. `original` is the paper's own attack (n images, and "
    "what `worst_case` found on them), `quick` a cheap one. * quoted by [FAR] from other papers. "
    "[FAR] prints IN as a fraction. CO fg: CO over the pixels where the clean map is not 0, the "
    "nearest to the CO that [FAR] prints; which one [FAR] computes is not known."
)


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


def _original(original: Result, headline: Result | None) -> tuple[str, str]:
    """Cells IN and CO of "original", with those of the headline on the same images if complete."""
    top_k_cell, kendall_cell = _pair(original.report)
    count = f"n={original.report.metrics['kendall'].num_examples}"
    indices = [row.index for row in original.rows()]
    rows = {row.index: row for row in headline.rows()} if headline else {}
    if not indices or not set(indices) <= set(rows):
        return f"{top_k_cell} ({count})", kendall_cell
    top_k, kendall = (
        np.array([getattr(rows[i], name) for i in indices]) for name in ("top_k", "kendall")
    )
    if np.isnan(kendall).all():
        return f"{top_k_cell} ({count}, {_HEADLINE} -)", f"{kendall_cell} ({_HEADLINE} -)"
    return (
        f"{top_k_cell} ({count}, {_HEADLINE} {100 * np.nanmean(top_k):.2f})",
        f"{kendall_cell} ({_HEADLINE} {np.nanmean(kendall):.4f})",
    )


def interval_cell(metric: Interval, scale: float, digits: int) -> str:
    """Mean [bootstrap 95% interval], times `scale`; "-" where no image has a figure."""
    if metric.mean is None:
        return "-"
    if metric.low is None or metric.high is None:
        return f"{scale * metric.mean:.{digits}f}"
    mean, low, high = (f"{scale * v:.{digits}f}" for v in (metric.mean, metric.low, metric.high))
    return f"{mean} [{low}, {high}]"
