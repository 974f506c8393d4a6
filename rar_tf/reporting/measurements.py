"""Tables of what the benchmarks measured, from the rows that they write."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rar_tf.markdown import table
from rar_tf.papers import PUBLISHED

Rows = Sequence[Mapping[str, Any]]

_ACCURACIES = ("natural_accuracy", "pgd_accuracy", "strong_pgd_accuracy")
_PUBLISHED_HEADER = ("published NA", "AA", "IN", "CO")


def time_to_quality(rows: Rows, objectives: Sequence[str], dataset: str = "fashion_mnist") -> str:
    """Minutes of training and the four figures: mean and spread (max - min) over seeds.

    IN and CO are of the attack `quick`.

    Args:
      rows: of `benchmarks.time_to_quality`, one for each objective and seed.
      objectives: a line each, blank where no row is of it.
      dataset: name of the data set, for the published figures.
    """
    header = (
        *("objective", "seeds", "machine", "minutes", "paper's schedule: times as long"),
        *("NA", "AA", "AA strong", "IN quick", "CO quick", *_PUBLISHED_HEADER),
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


def _quality(row: Mapping[str, Any]) -> list[float]:
    """[minutes, paper's time / minutes, NA, AA, AA strong, IN (all four in percent), CO]."""
    report = row["report"]
    percents = [report[name]["value"] for name in _ACCURACIES]
    percents.append(report["metrics"]["top_k"]["mean"])
    kendall = report["metrics"]["kendall"]["mean"]
    step = row["paper_step"]
    paper = step["preset"]["max_steps"] * step["seconds"] / 60 if step else np.nan
    return [row["minutes"], paper / row["minutes"], *(100 * value for value in percents), kendall]


_METRICS = (("top_k", "IN", 100, 2), ("kendall", "CO", 1, 4))


def _by_attack(rows: Rows, model: str) -> dict[str, dict[str, Mapping[str, Any]]]:
    """Rows of a model by attack and number of the image."""
    attacks: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in rows:
        if row["model"] == model:
            attacks.setdefault(row["attack"], {})[row["index"]] = row
    return attacks


def _values(images: Mapping[str, Mapping[str, Any]], indices: list[str], name: str) -> np.ndarray:
    return np.array([float(images[index][name]) for index in indices])


def random_wins(rows: Rows) -> str:
    """The headline attack beside a random search of at least its cost, a line for each model.

    Args:
      rows: of the CSV file that `benchmarks.worst_case` writes, one for each image and attack.
    """
    header = ["model", "images"]
    for _, word, _, _ in _METRICS:
        header += [f"{word} `worst_case`", f"{word} random search", "random wins", "by at most"]
    lines = []
    for model in dict.fromkeys(row["model"] for row in rows):
        attacks = _by_attack(rows, model)
        headline, random = attacks.get("worst_case", {}), attacks.get("random", {})
        both = [index for index in headline if index in random]
        if not both:
            continue
        cells = [f"`{model}`", str(len(both))]
        for name, _, scale, digits in _METRICS:
            ours, others = (_values(images, both, name) for images in (headline, random))
            # A random search wins where the headline has no figure at all.
            advantage = np.nan_to_num(ours, nan=1.0) - np.nan_to_num(others, nan=1.0)
            wins = advantage > 1e-9
            cells += [f"{scale * np.nanmean(part):.{digits}f}" for part in (ours, others)]
            cells.append(f"{100 * wins.mean():.1f}%")
            largest = scale * float(advantage[wins].max()) if wins.any() else 0.0
            cells.append(f"{largest:.{digits}f}" if wins.any() else "-")
        lines.append(cells)
    return table(header, lines)


def margins(rows: Rows) -> str:
    """Mean IN and CO of every attack, a line for each attack and a pair of columns for each model.

    Args:
      rows: of the CSV file that `benchmarks.worst_case` writes.
    """
    models = list(dict.fromkeys(row["model"] for row in rows))
    attacks = dict.fromkeys(row["attack"] for row in rows)
    lines = []
    for attack in attacks:
        cells = [attack]
        for model in models:
            images = _by_attack(rows, model).get(attack, {})
            for name, _, scale, digits in _METRICS:
                values = _values(images, list(images), name)
                cells.append(f"{scale * np.nanmean(values):.{digits}f}" if len(values) else "")
        lines.append(cells)
    header = ["attack", *(f"`{model}` {word}" for model in models for _, word, _, _ in _METRICS)]
    return table(header, lines)


def attack_speed(rows: Rows) -> str:
    """Images a second of each attack, and relative to `strongest`, over all models.

    The first batch of each model, which includes the tracing of the graph, is left out.

    Args:
      rows: of the CSV file that `benchmarks.worst_case` writes.
    """
    seconds: dict[str, list[float]] = {}
    for model in dict.fromkeys(row["model"] for row in rows):
        for attack, images in _by_attack(rows, model).items():
            values = [float(row["seconds"]) for row in images.values()]
            # Rows of one batch share its time.
            later = [value for value in values if value != values[0]]
            seconds.setdefault(attack, []).extend(later)
    rates = {attack: 1 / float(np.mean(values)) for attack, values in seconds.items() if values}
    base = rates.get("strongest")
    lines = [
        (attack, str(len(seconds[attack])), f"{rate:.2f}", f"{rate / base:.2f}" if base else "")
        for attack, rate in rates.items()
    ]
    return table(("attack", "images timed", "images/s", "relative to `strongest`"), lines)


def accuracy_attacks(rows: Rows) -> str:
    """Accuracy under each attack on predictions, in percent, a line for each model.

    Args:
      rows: of the CSV file that `benchmarks.accuracy_attacks` writes, one a model and attack.
    """
    attacks = list(dict.fromkeys(row["attack"] for row in rows))
    lines = []
    for model in dict.fromkeys(row["model"] for row in rows):
        by_attack = {row["attack"]: row for row in rows if row["model"] == model}
        accuracies = (by_attack[attack]["AA"] for attack in attacks)
        lines.append((f"`{model}`", by_attack[attacks[0]]["images"], *accuracies))
    return table(("model", "images", *attacks), lines)


def architectures(rows: Rows) -> str:
    """NA, AA, IN and CO before and after the training of each architecture and objective.

    Args:
      rows: of the CSV file that `benchmarks.architectures` writes, one for each training.
    """
    header = ("architecture", "objective", "images", "seed", "steps", "minutes")
    lines = []
    for row in rows:
        cells = [f"`{row['architecture']}`", f"`{row['objective']}`"]
        cells += [f"{row['split']}, {row['images']}", row["seed"], row["steps"], row["minutes"]]
        for name, digits in (("NA", 1), ("AA", 1), ("IN", 1), ("CO", 3)):
            before, after = (float(row[f"{name}_{when}"]) for when in ("before", "after"))
            cells.append(
                f"{before:.{digits}f} -> {after:.{digits}f} ({after - before:+.{digits}f})"
            )
        lines.append(cells)
    return table((*header, "NA", "AA", "IN", "CO"), lines)


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
