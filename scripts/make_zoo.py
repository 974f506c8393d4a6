"""Makes an entry of the zoo: the float16 weights of a finished run, and their card.

    python -m scripts.make_zoo --run=runs/time_to_quality/ig_norm-0/run
    python -m eval.main --zoo=fashion_mnist/ig_norm
    python -m scripts.make_zoo --entry=fashion_mnist/ig_norm \\
        --report=runs/zoo/fashion_mnist/ig_norm/eval/rar-worst_case/report.json

The first command writes ZOO/DATASET/OBJECTIVE: weights.npz, card.json, MODEL_CARD.md, with the
command, seed and time of the run. The second measures the rounded weights; the third adds the
measured figures to the card.
"""

import dataclasses
import json
import pathlib
from typing import Any

from absl import app, flags

from rar_tf import evaluation
from rar_tf.environment import hardware
from rar_tf.models import load_classifier
from rar_tf.presets import Preset, resolve
from rar_tf.runs import Workdir
from rar_tf.serving import Provenance, model_card, zoo

FLAGS = flags.FLAGS
flags.DEFINE_string("run", None, "Workdir of the finished run to make an entry of.")
flags.DEFINE_string(
    "seconds",
    None,
    "JSON file with the run's seconds. Default: seconds.json beside the workdir.",
)
flags.DEFINE_string("entry", None, "Existing entry whose card to write again.")
flags.DEFINE_string("report", None, "Evaluation of the entry, a report.json.")
flags.DEFINE_string("output", "zoo", "Folder of the zoo.")
flags.mark_flags_as_mutual_exclusive(["run", "entry"], required=True)
flags.mark_flags_as_mutual_exclusive(["run", "report"])


def command(preset: dict[str, Any]) -> str:
    """Command that trains a preset: `train.main` with the flags that differ from its schedule."""
    names = ("dataset", "objective", "schedule", "seed")
    preset = json.loads(Preset.from_flat(preset).to_json())
    plain = resolve(*(preset[name] for name in names[:3]), seed=preset["seed"])
    given = {name: preset[name] for name in names}
    values = json.loads(plain.to_json())
    given |= {name: value for name, value in preset.items() if value != values.get(name)}
    given |= {name: None for name in values if name not in preset}
    scales = ("init_scale", "first_init_scale")
    if {"initializer", *scales} & set(given):
        given |= {"initializer": preset.get("initializer") or "own"}
        given |= {name: preset.get(name) for name in scales}
    given = {name: value for name, value in given.items() if value is not None}
    flat = {n: ",".join(map(str, v)) if isinstance(v, list) else v for n, v in given.items()}
    return " ".join(
        ["python -m train.main", *(f"--{name}={value}" for name, value in flat.items())]
    )


def from_run(run: Workdir) -> tuple[str, Provenance]:
    """Name and provenance of a finished run, without its validation, which was in float32."""
    provenance = Provenance.of(run.model)
    preset = provenance.preset
    if not run.model.is_file() or preset is None:
        raise SystemExit(f"--run must be the workdir of a finished run. Received: {run.root}")
    training = {"command": command(preset), "machine": str(hardware())}
    seconds = pathlib.Path(FLAGS.seconds or run.root.with_name("seconds.json"))
    if seconds.is_file():
        minutes = json.loads(seconds.read_text())["seconds"] / 60
        training["minutes"] = f"{minutes:.1f}, natural start and validations included"
    name = f"{preset['dataset']}/{preset['objective']}"
    return name, dataclasses.replace(provenance, training=training, validation=None)


def main(argv: list[str]) -> None:
    """Write the entry."""
    del argv
    root = pathlib.Path(FLAGS.output)
    if FLAGS.run:
        run = Workdir(pathlib.Path(FLAGS.run))
        name, provenance = from_run(run)
        classifier = load_classifier(run.model)
        note = f"next: python -m eval.main --zoo={name}"
    else:
        name, classifier = FLAGS.entry, zoo.load(FLAGS.entry, root=root)
        card = zoo.card(name, root=root)
        provenance = Provenance(preset=card["preset"], training=card["training"])
        note = f"with {FLAGS.report}" if FLAGS.report else "without an evaluation"
    if FLAGS.report:
        report = evaluation.load_report(FLAGS.report)
        if report.model.get("file") != f"{name} of the zoo":
            raise SystemExit(
                f"--report must be of {name} of the zoo. Received: one of {report.model['file']}"
            )
        provenance = dataclasses.replace(provenance, report=report)
    zoo.save(classifier, root / name, model_card(classifier, provenance=provenance))
    print(f"zoo: {root / name}, {note}")


if __name__ == "__main__":
    app.run(main)
