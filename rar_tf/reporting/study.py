"""Table and figure of a study, from the reports of its finished cases."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from rar_tf import markdown
from rar_tf.evaluation import Report
from rar_tf.presets.studies import Case, Study
from rar_tf.reporting.tables import accuracy_cell, interval_cell

# Name -> label, colour: those of [FAR Figure 3].
_CURVES = {
    "natural_accuracy": ("NA", "tab:green"),
    "pgd_accuracy": ("AA", "tab:red"),
    "top_k": ("IN", "tab:blue"),
    "kendall": ("CO", "tab:orange"),
}
_COLORS = {"natural": "tab:green", "madry": "tab:red", "aat": "tab:blue"}


def table(study: Study, reports: Mapping[Case, Report]) -> str:
    """Markdown table with a line for each case, blank cells where nothing was run."""
    accuracies = ("natural_accuracy", "pgd_accuracy") if study.accuracies else ()
    ours = (*("NA", "AA")[: len(accuracies)], "IN", "CO", "images")
    header = (*study.keys, *ours, *study.published)
    lines = []
    for case in study.lines():
        report = reports.get(case)
        cells = ("",) * len(ours)
        if report is not None:
            cells = (
                *(accuracy_cell(report, name) for name in accuracies),
                interval_cell(report.metrics["top_k"], 100, 2),
                interval_cell(report.metrics["kendall"], 1, 4),
                str(report.metrics["kendall"].num_examples),
            )
        published = case.published or ("",) * len(study.published)
        lines.append((*case.keys, *cells, *published))
    return f"{markdown.table(header, lines)}\n\n{_caption(study, reports)}\n"


def _caption(study: Study, reports: Mapping[Case, Report]) -> str:
    missing = len(study.cases) - len(reports)
    steps = sorted({report.model["preset"]["max_steps"] for report in reports.values()})
    trained = f"{', '.join(map(str, steps))} steps" if steps else "nothing yet"
    accuracies = "NA, AA: natural and PGD accuracy in percent. " if study.accuracies else ""
    return (
        f"{study.source}. {accuracies}IN: top-k intersection in percent, CO: Kendall's tau, of the "
        "maps of the correctly classified images before and after the attack, mean [bootstrap 95% "
        f"interval]; [FAR] prints IN as a fraction. Trained for {trained}. "
        f"{missing} of {len(study.cases)} lines are missing."
    )


def figure(name: str, reports: Mapping[Case, Report]) -> Figure:
    """The paper's figure of the study, from the finished cases.

    Raises:
      ValueError: there is no report.
    """
    if not reports:
        raise ValueError("a figure needs at least one finished case. Received: none")
    return {"lambda": _curves, "init": _bars, "beta": _beta}[name](reports)


def _curves(reports: Mapping[Case, Report]) -> Figure:
    drawn = Figure(figsize=(8.4, 3.6), layout="constrained")
    axes = drawn.subplots(1, 2, sharey=True)
    for axis, objective, title in zip(axes, ("aat", "adv_aat"), ("AAT", "AdvAAT"), strict=True):
        cases = sorted(
            (case for case in reports if case.objective == objective), key=lambda case: case.place
        )
        x = [case.place[1] for case in cases]
        for column, curve in enumerate(_CURVES):
            _line(axis, x, [_value(reports[case], curve) for case in cases], curve)
            for case in cases:
                if case.published:
                    value = float(case.published[column])
                    percent = curve.endswith("accuracy")
                    color = _CURVES[curve][1]
                    _mark(axis, case.place[1], value / 100 if percent else value, color)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("λ")
        axis.set_xlim(-0.05, 1.55)
        axis.set_ylim(0, 1)
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    _legend(drawn, handles, labels, reports)
    return drawn


def _bars(reports: Mapping[Case, Report]) -> Figure:
    drawn = Figure(figsize=(8.4, 3.6), layout="constrained")
    handles = [Patch(color=color) for color in _COLORS.values()]
    names = list(dict.fromkeys(case.keys[0] for case in sorted(reports, key=lambda c: c.place)))
    for column, (axis, metric) in enumerate(
        zip(drawn.subplots(1, 2), ("top_k", "kendall"), strict=True)
    ):
        for number, (approach, color) in enumerate(_COLORS.items()):
            cases = [case for case in reports if case.keys[1] == approach]
            x = [names.index(case.keys[0]) + 0.27 * (number - 1) for case in cases]
            values = [_value(reports[case], metric) for case in cases]
            bars = [mean for mean, _, _ in values]
            errors = np.array([(mean - low, high - mean) for mean, low, high in values]).T
            if cases:
                axis.bar(x, bars, 0.25, yerr=errors, color=color, capsize=2, zorder=2)
            for place, case in zip(x, cases, strict=True):
                if case.published:
                    _mark(axis, place, float(case.published[column]), "black")
        axis.set_xticks(range(len(names)), names, fontsize=8)
        axis.set_title(_CURVES[metric][0], fontsize=10)
        axis.axhline(0, color="black", linewidth=0.6)
        axis.grid(axis="y", alpha=0.3)
    _legend(drawn, handles, list(_COLORS), reports)
    return drawn


def _beta(reports: Mapping[Case, Report]) -> Figure:
    drawn = Figure(figsize=(5.2, 3.6), layout="constrained")
    axis = drawn.subplots()
    cases = sorted(reports, key=lambda case: case.place)
    values = [_value(reports[case], "top_k") for case in cases]
    _line(axis, [case.place[0] for case in cases], values, "top_k")
    axis.set_xscale("log")
    axis.set_xlabel("β of the attack's second derivatives")
    axis.set_ylabel("IN of the input gradient")
    axis.set_ylim(0, 1)
    axis.grid(alpha=0.3)
    return drawn


def _line(axis: Axes, x: list[float], values: list[tuple[float, float, float]], curve: str) -> None:
    label, color = _CURVES[curve]
    mean, low, high = np.array(values, float).reshape(-1, 3).T
    axis.plot(x, mean, marker="o", markersize=4, color=color, label=label)
    axis.fill_between(x, low, high, color=color, alpha=0.15, linewidth=0)


def _mark(axis: Axes, x: float, value: float, color: str) -> None:
    axis.scatter([x], [value], marker="x", s=36, color=color, zorder=3)


def _legend(
    drawn: Figure, handles: Sequence[Artist], labels: list[str], reports: Mapping[Case, Report]
) -> None:
    if any(case.published for case in reports):
        handles = [*handles, Line2D([], [], marker="x", color="gray", linestyle="none")]
        labels = [*labels, "published"]
    drawn.legend(handles, labels, loc="outside lower center", ncols=len(labels), fontsize=8)


def _value(report: Report, curve: str) -> tuple[float, float, float]:
    """(mean, low, high), NaN where it was not measured."""
    if curve.endswith("accuracy"):
        accuracy = getattr(report, curve)
        value = np.nan if accuracy is None or accuracy.value is None else accuracy.value
        return (value, value, value)
    metric = report.metrics[curve]
    mean, low, high = (
        np.nan if value is None else value for value in (metric.mean, metric.low, metric.high)
    )
    return mean, low, high
