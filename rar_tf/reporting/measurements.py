"""Tables of what the benchmarks measured, from the rows that they write."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.stats

from rar_tf.markdown import table
from rar_tf.papers import PUBLISHED

Rows = Sequence[Mapping[str, Any]]

_ACCURACIES = ("natural_accuracy", "pgd_accuracy", "strong_pgd_accuracy")
_PUBLISHED_HEADER = ("published NA", "AA", "IN", "CO")


def time_to_quality(rows: Rows, objectives: Sequence[str], dataset: str = "fashion_mnist") -> str:
    """Minutes of training and the four figures: mean and spread (max - min) over seeds.

    Args:
      rows: of `benchmarks.time_to_quality`, one for each objective and seed.
      objectives: a line each, blank where no row is of it.
      dataset: name of the data set, for the published figures.
    """
    header = (
        *("objective", "seeds", "machine", "minutes", "paper's schedule: times as long"),
        *("NA", "AA", "AA strong", "IN", "CO", *_PUBLISHED_HEADER),
    )
    lines = []
    for objective in objectives:
        selected = [row for row in rows if row["objective"] == objective]
        if not selected:
            lines.append((f"`{objective}`", *[""] * (len(header) - 1)))
            continue
        values = np.array([_quality(row) for row in selected])
        processors = " and ".join(sorted({row["machine"]["processor"] for row in selected}))
        cells = [
            "" if np.isnan(mean) else f"{mean:,.{digits}f} ({spread:,.{digits}f})"
            for mean, spread, digits in zip(
                values.mean(0), np.ptp(values, 0), (1, 0, 2, 2, 2, 2, 4), strict=True
            )
        ]
        published = PUBLISHED["rar", dataset, objective]
        lines.append((f"`{objective}`", str(len(selected)), processors, *cells, *published))
    return table(header, lines)


def summary_of_quality(
    rows: Rows, objectives: Sequence[str], dataset: str = "fashion_mnist"
) -> str:
    """Minutes and the four figures, means over seeds, beside the published ones."""
    header = ("objective", "minutes", "NA", "AA", "IN", "CO", *_PUBLISHED_HEADER)
    lines = []
    for objective in objectives:
        values = np.array([_quality(row) for row in rows if row["objective"] == objective])
        minutes, _, natural, pgd, _, top_k, kendall = values.mean(0)
        cells = (f"{minutes:.0f}", f"{natural:.2f}", f"{pgd:.2f}", f"{top_k:.2f}", f"{kendall:.4f}")
        lines.append((f"`{objective}`", *cells, *PUBLISHED["rar", dataset, objective]))
    return table(header, lines)


def _quality(row: Mapping[str, Any]) -> list[float]:
    """[minutes, paper's time / minutes, NA, AA, AA strong, IN (all four in percent), CO]."""
    report = row["report"]
    percents = [report[name]["value"] for name in _ACCURACIES]
    percents.append(report["metrics"]["top_k"]["mean"])
    kendall = report["metrics"]["kendall"]["mean"]
    step = row["paper_step"]
    paper = step["preset"]["max_steps"] * step["seconds"] / 60 if step else np.nan
    return [row["minutes"], paper / row["minutes"], *(100 * value for value in percents), kendall]


def economy(rows: Rows) -> str:
    """Paired differences of the attacks `default` and `original`, a line for each model.

    Args:
      rows: of the CSV file that `benchmarks.ifia_economy` writes, one for each image and attack.
    """
    header = (
        *("model", "images", "IN default", "IN original", "IN difference (95% bound)"),
        *("CO default", "CO original", "CO difference (95% bound)"),
    )
    lines = []
    for model in dict.fromkeys(row["model"] for row in rows):
        by_attack = {
            attack: {r["index"]: r for r in rows if (r["model"], r["attack"]) == (model, attack)}
            for attack in ("default", "original")
        }
        both = [index for index in by_attack["original"] if index in by_attack["default"]]
        if len(both) < 2:
            continue
        cells = [model, str(len(both))]
        for metric, scale, digits in (("top_k", 100, 2), ("kendall", 1, 4)):
            values = {
                attack: scale * np.array([float(examples[index][metric]) for index in both])
                for attack, examples in by_attack.items()
            }
            mean, bound = paired(values["default"] - values["original"])
            cells += [f"{values[attack].mean():.{digits}f}" for attack in ("default", "original")]
            cells.append(f"{mean:+.{digits}f} ({bound:+.{digits}f})")
        lines.append(cells)
    return table(header, lines)


def paired(differences: np.ndarray) -> tuple[float, float]:
    """Mean and its one-sided 95% upper bound, by Student's t."""
    count = len(differences)
    error = differences.std(ddof=1) / np.sqrt(count)
    mean = differences.mean()
    return mean, mean + scipy.stats.t.ppf(0.95, count - 1) * error


def attack_speed(rows: Rows) -> str:
    """Images a second of each attack and batch size, relative to the first of the same model.

    The first batch, which includes the tracing of the graph, is left out.

    Args:
      rows: of the CSV file that `benchmarks.ifia_economy` writes.
    """
    header = ("model", "attack", "images at once", "images timed", "images/s", "relative")
    seconds: dict[tuple[str, str, int], list[float]] = {}
    for row in rows:
        key = (row["model"], row["attack"], int(row["batch_size"]))
        seconds.setdefault(key, []).append(float(row["seconds"]))
    lines = []
    first: dict[str, float] = {}
    for (model, attack, batch_size), values in seconds.items():
        timed = values[batch_size:]
        if not timed:
            continue
        rate = 1 / float(np.mean(timed))
        relative = rate / first.setdefault(model, rate)
        counts = (str(batch_size), str(len(timed)))
        lines.append((model, attack, *counts, f"{rate:.3g}", f"{relative:.1f}"))
    return table(header, lines)


def ablation(rows: Rows) -> str:
    """Settings of presets and the four figures on validation images, a line for each model.

    Args:
      rows: of the JSON file that `benchmarks.ablation` writes.
    """
    header = ("", "setting", "seconds", "NA", "AA", "of", "IN [95%]", "CO [95%]", "of")
    lines = []
    for number, row in enumerate(rows, 1):
        natural, pgd = (100 * value for value in row["accuracies"])
        model = (str(number), f"`{row['model']}`", f"{60 * row['minutes']:.0f}")
        accuracies = (f"{natural:.2f}", f"{pgd:.2f}", str(row["accuracy_examples"]))
        lines.append((*model, *accuracies, *_metric_cells(row), str(row["attacked"])))
    return table(header, lines)


def _metric_cells(row: Mapping[str, Any]) -> list[str]:
    """IN in percent and CO of one row, each with its interval."""
    return [
        "{} [{}, {}]".format(
            *(f"{scale * metric[key]:.{digits}f}" for key in ("mean", "low", "high"))
        )
        for metric, scale, digits in (
            (row["metrics"]["top_k"], 100, 1),
            (row["metrics"]["kendall"], 1, 3),
        )
    ]


# Sweep, then value and row number in the ablation; row 1 is the setting that all share.
_SWEEPS = (
    ("weight (lambda)", (("0.3", 2), ("1", 1), ("3", 3))),
    ("epsilon in training", (("0.05", 4), ("0.1", 1), ("0.2", 5))),
    ("steps", (("300", 6), ("1,000", 1), ("3,000", 9), ("9,000", 8))),
    ("nodes (`--ig_steps`)", (("1", 1), ("3", 7))),
)


def sweeps(rows: Rows) -> str:
    """One setting of `ig_norm` changed at a time, from the rows of the ablation."""
    header = ("sweep of `ig_norm`, Fashion-MNIST", "value", "NA", "AA", "IN", "CO")
    lines = []
    for name, values in _SWEEPS:
        for place, (value, number) in enumerate(values):
            row = rows[number - 1]
            accuracies = [f"{100 * accuracy:.1f}" for accuracy in row["accuracies"]]
            lines.append(("" if place else name, value, *accuracies, *_metric_cells(row)))
    return table(header, lines)


def step_time(rows: Rows) -> str:
    """Cost of a training step, a line for each objective and precision.

    Args:
      rows: of the JSON file that `benchmarks.step_time` writes.
    """
    header = (
        *("objective", "schedule", "precision", "batch", "ms a step", "images/s"),
        *("relative to natural", "GFLOP/s", "of peak", "peak memory"),
    )
    lines = []
    for row in rows:
        if "sweep" in row["settings"]:
            continue
        preset, rate = row["preset"], row["flops"] / row["seconds"]
        lines.append(
            (
                f"`{preset['objective']}`",
                *(preset["schedule"], preset["precision"], str(preset["batch_size"])),
                f"{1e3 * row['seconds']:.0f}",
                f"{preset['batch_size'] / row['seconds']:.0f}",
                f"{row['relative']:.1f}",
                *(f"{rate / 1e9:.0f}", f"{rate / row['peak_flops']:.0%}"),
                f"{row['memory_bytes'] / 2**30:.2f} GiB",
            )
        )
    return table(header, lines)


def growth(points: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> str:
    """How the seconds of a step grow with a setting.

    Args:
      points: {setting: (its values, seconds of a step)}.
    """
    lines = []
    for name, (counts, times) in points.items():
        slope, start = np.polyfit(counts, times, 1)
        power = np.polyfit(np.log(counts), np.log(times), 1)[0]
        lines.append((name, f"{start:.3f} + {slope:.4f} n", f"{power:.2f}"))
    return table(("`ig_norm`, fast", "seconds = a + b n", "exponent of n"), lines)
