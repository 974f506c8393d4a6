"""Model cards: origin, measured figures, intended use and limits of a classifier."""

import dataclasses
import json
import pathlib
from typing import Any

import keras
import scipy.stats

from rar_tf import markdown
from rar_tf.attribution import Explainer
from rar_tf.datasets import DataRecord
from rar_tf.environment import versions
from rar_tf.evaluation import Remark, Report, load_report
from rar_tf.models import Conversions
from rar_tf.runs import Workdir, record_of_model
from rar_tf.runs.outcome import below_chance, summary

_INTENDED_USE = (
    "Images like those of the data set, prepared as there; the map shows people who "
    "inspect single predictions which pixels contribute to the class.",
    "Not as the only basis of a decision about a person.",
)
_LIMITS = (
    "Robustness of maps and predictions was trained and measured only for small changes inside the "
    "threat of the preset or the protocol, by attacks that may miss the worst case.",
    "A map shows what the model uses, not what is true of the image.",
    "The endpoints answer for any image; images unlike the data set are not detected.",
    "With a black baseline, black pixels have no attribution.",
)
_DATASET_LIMITS = {
    "gtsrb": "Images must be equalized channel by channel first (`rar_tf.datasets.equalize`); "
    "`serve_bytes` does not do so.",
}


@dataclasses.dataclass(frozen=True)
class Provenance:
    """Known facts about a classifier besides its weights; None where unknown.

    Attributes:
      preset: settings of the run, as in preset.json.
      validation: last row of the run's metrics.csv.
      report: evaluation of the classifier.
      training: further facts about the run, such as its command and minutes.
      data: record of the training data.

    Raises:
      ValueError: the report is of other classes than the record.
    """

    preset: dict[str, Any] | None = None
    validation: dict[str, float] | None = None
    report: Report | None = None
    training: dict[str, Any] | None = None
    data: DataRecord | None = None

    def __post_init__(self) -> None:
        names = self.report and self.report.dataset.get("class_names")
        if self.data is not None and names and tuple(names) != self.data.class_names:
            raise ValueError(
                f"report must be of the classes of the model: {', '.join(self.data.class_names)}. "
                f"Received: a report of {', '.join(names)}"
            )

    @property
    def class_names(self) -> list[str] | None:
        """Names of the classes in their order; None where unknown."""
        if self.data is not None:
            return list(self.data.class_names)
        return None if self.report is None else self.report.dataset.get("class_names")

    @classmethod
    def of(cls, model: pathlib.Path, report: str | pathlib.Path | None = None) -> "Provenance":
        """Provenance from the files beside a run's model.keras, and a report.json.

        Raises:
          ValueError: a damaged file.
        """
        run = Workdir(pathlib.Path(model).parent)
        evaluation = None if report is None else load_report(report)
        data = record_of_model(pathlib.Path(model))
        if not run.preset.is_file():
            return cls(report=evaluation, data=data)
        try:
            preset = json.loads(run.preset.read_text(encoding="utf-8"))
            validation = summary(run).get("end")
        except (ValueError, TypeError) as error:
            raise ValueError(f"{run.root} must be the workdir of a run. {error}") from error
        return cls(preset, validation, evaluation, data=data)


def model_card(
    network: keras.Model,
    conversions: Conversions | None = None,
    provenance: Provenance | None = None,
) -> dict[str, Any]:
    """Model card as plain data.

    Args:
      network: classifier, images in [0, 1] -> logits.
      conversions: how it was made of the classifier of a file, see `models.adapt`; None for as is.
      provenance: known facts about the classifier.
    """
    facts = provenance or Provenance()
    conversions = conversions or Conversions()
    preset = facts.preset or {}
    dataset = preset.get("dataset") or (facts.report and facts.report.dataset["name"])
    limits = [*_LIMITS, *([_DATASET_LIMITS[dataset]] if dataset in _DATASET_LIMITS else [])]
    return {
        "name": network.name,
        "dataset": dataset,
        "objective": preset.get("objective"),
        "architecture": preset.get("architecture"),
        "image_shape": list(network.input_shape[1:]),
        "num_classes": network.output_shape[-1],
        "parameters": network.count_params(),
        "outputs": conversions.outputs,
        "input_convention": conversions.to_plain(),
        "class_names": facts.class_names,
        "data": facts.data and facts.data.describe(),
        "metrics": [*_validated(facts.validation), *_evaluated(facts.report)],
        "remarks": _remarks(facts),
        "training": facts.training,
        "preset": facts.preset,
        "intended_use": list(_INTENDED_USE),
        "limits": limits,
        "versions": versions(),
    }


def endpoint_facts(
    explainer: Explainer, nodes_per_pass: int, images_per_pass: int
) -> dict[str, Any]:
    """Entries of a card that the export determines."""
    facts = {"method": explainer.method, "steps": explainer.steps, "rule": explainer.rule}
    facts |= {"nodes_per_pass": nodes_per_pass, "images_per_pass": images_per_pass}
    return {"attribution": facts | {"baseline": explainer.baseline}}


def write(card: dict[str, Any], data: pathlib.Path, text: pathlib.Path) -> None:
    """Writes the card as JSON and as Markdown."""
    data.write_text(json.dumps(card, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    text.write_text(to_markdown(card), encoding="utf-8")


def to_markdown(card: dict[str, Any]) -> str:
    """Model card as Markdown."""
    trained = f"trained on {card['dataset']}" if card["dataset"] else "data set unknown"
    objective = f"objective {card['objective']}" if card["objective"] else "objective unknown"
    height, width, channels = card["image_shape"]
    lines = [
        f"# {card['name']}: {trained}, {objective}",
        "",
        f"Images {height}x{width}x{channels}, float32 in [0, 1] -> {card['num_classes']} classes; "
        f"{card['parameters']:,} parameters. Outputs of the model: {card['outputs']}.",
    ]
    if descriptions := (card.get("input_convention") or {}).get("descriptions"):
        lines += ["", f"Conversions for the classifier in the file: {'; '.join(descriptions)}."]
    if names := card["class_names"]:
        lines += ["", "Classes: " + ", ".join(f"{k} {name}" for k, name in enumerate(names)) + "."]
    if data := card.get("data"):
        images = ", ".join(f"{count:,} {name}" for name, count in data["images"].items())
        lines += ["", f"Data of the training: {images} images; digest {data['digest']}."]
    if facts := card.get("attribution"):
        lines += [
            "",
            f"Attribution: integrated gradients of a logit, baseline {facts['baseline']:g} (0 is "
            f"black), {facts['steps']} steps, rule {facts['rule']}; {facts['nodes_per_pass']} "
            f"nodes of {facts['images_per_pass']} images in one pass.",
        ]
    lines += ["", "## Metrics", "", _table(card["metrics"])]
    if remarks := card.get("remarks"):
        lines += ["", "## Remarks", "", *(f"- {text}" for text in remarks)]
    lines += ["", "## Intended use", "", *(f"- {text}" for text in card["intended_use"])]
    lines += ["", "## Limits", "", *(f"- {text}" for text in card["limits"])]
    if card["training"]:
        lines += ["", "## Training", "", *_settings(card["training"])]
    lines += ["", "## Preset", "", *_settings(card["preset"])]
    lines += ["", "## Versions", "", *_settings(card["versions"])]
    return "\n".join(lines) + "\n"


def _table(metrics: list[dict[str, Any]]) -> str:
    if not metrics:
        return "None measured."
    rows = []
    for row in metrics:
        bounds = "" if row["low"] is None else f"{row['low']:.4g} .. {row['high']:.4g}"
        count = str(row["num_examples"])
        rows.append((row["name"], f"{row['value']:.4g}", bounds, count, row["protocol"]))
    return markdown.table(("metric", "value", "95% interval", "images", "protocol"), rows)


def _settings(values: dict[str, Any] | None) -> list[str]:
    given = {name: value for name, value in (values or {}).items() if value is not None}
    return [f"- {name}: {value}" for name, value in given.items()] or ["Unknown."]


def _validated(row: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Metrics of the last validation in training."""
    if not row:
        return []
    count, protocol = int(row["num_examples"]), "held-out training images, at the end of training"
    shares = [
        _share("natural_accuracy", row["natural_accuracy"], count, protocol),
        _share("pgd_accuracy", row["pgd_accuracy"], count, f"{protocol}; 20 steps of epsilon / 10"),
    ]
    size = {"name": "ig_norm", "value": row["ig_norm"], "low": None, "high": None}
    return [*shares, size | {"num_examples": count, "protocol": f"{protocol}; nats"}]


def _evaluated(report: Report | None) -> list[dict[str, Any]]:
    """Metrics of an evaluation."""
    if report is None:
        return []
    protocol = (
        f"{report.dataset['name']}, {report.dataset['split']}, protocol {report.protocol['name']}"
    )
    result = [
        _share(name, accuracy.value, accuracy.num_examples, protocol)
        for name in ("natural_accuracy", "pgd_accuracy", "strong_pgd_accuracy")
        if (accuracy := getattr(report, name)) is not None and accuracy.value is not None
    ]
    for name, interval in report.metrics.items():
        if interval.mean is not None:
            row = {"name": name, "value": interval.mean, "low": interval.low, "high": interval.high}
            row |= {"num_examples": interval.num_examples}
            row |= {"protocol": f"{protocol}, attack {report.attack}"}
            result.append(row)
    return result


def _remarks(facts: Provenance) -> list[str]:
    """What makes the figures doubtful, a line each."""
    chance = below_chance(facts.validation or {})
    remarks = [Remark(**remark).line for remark in facts.report.remarks] if facts.report else []
    return [*([f"warning: {chance}"] if chance else []), *remarks]


def _share(name: str, value: float, count: int, protocol: str) -> dict[str, Any]:
    """Metric that is a share of images, with its Wilson interval."""
    test = scipy.stats.binomtest(round(value * count), count)
    low, high = test.proportion_ci(0.95, method="wilson")
    bounds = {"low": float(low), "high": float(high)}
    return {"name": name, "value": value, **bounds, "num_examples": count, "protocol": protocol}
