"""An entry of the zoo from a finished run: its weights in float16, measured as they are then.

    python -m scripts.make_zoo --run=runs/time_to_quality/ig_norm-0/run

Writes ZOO/DATASET/OBJECTIVE: weights.npz, card.json, MODEL_CARD.md. The card has the run's
command, seed and time, and what the rounded weights reach on the test images: both accuracies on
all, IN and CO by --protocol and the default attack on --num_examples. The evaluation lies beside
the run, in eval/zoo-PROTOCOL, and a stopped one goes on with the same command.
"""

import dataclasses
import json
import pathlib
from typing import Any

from absl import app, flags, logging

from rar_tf import datasets, evaluation
from rar_tf.evaluation.report import hardware
from rar_tf.models import load_classifier
from rar_tf.serving import Provenance, model_card, zoo
from rar_tf.training import Workdir, resolve

FLAGS = flags.FLAGS
flags.DEFINE_string("run", None, "The workdir of a finished run.", required=True)
flags.DEFINE_string("output", "zoo", "The zoo's folder.")
flags.DEFINE_string("seconds", None, "JSON with the run's time; default seconds.json beside it.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_string("protocol", "rar", "rar or far.")
flags.DEFINE_integer("num_examples", 1200, "Test images whose maps are attacked.")
flags.DEFINE_integer("accuracy_examples", None, "Test images of the accuracies; default all.")


def command(preset: dict[str, Any]) -> str:
    """What trains a preset: `train.main` with the flags in which it differs from its schedule's."""
    names = ("dataset", "objective", "schedule", "seed")
    plain = resolve(preset["dataset"], preset["objective"], preset["schedule"], seed=preset["seed"])
    given = {name: preset[name] for name in names}
    own = json.loads(json.dumps(dataclasses.asdict(plain)))
    given |= {name: value for name, value in preset.items() if value != own[name]}
    if {"initializer", "init_scale"} & set(given):
        given["initializer"] = preset["initializer"] or "own"
    if given.get("init_scale", 1) is None:
        del given["init_scale"]
    flat = {n: ",".join(map(str, v)) if isinstance(v, list) else v for n, v in given.items()}
    return " ".join(
        ["python -m train.main", *(f"--{name}={value}" for name, value in flat.items())]
    )


def main(argv):
    """Rounds, measures, writes the card."""
    del argv
    logging.set_verbosity(logging.INFO)
    run, root = Workdir(pathlib.Path(FLAGS.run)), pathlib.Path(FLAGS.output)
    known = Provenance.of(run.model)
    preset = known.preset
    if not run.model.is_file() or preset is None:
        raise SystemExit(f"--run must be the workdir of a finished run. Received: {run.root}")
    training = {"command": command(preset), "machine": str(hardware())}
    seconds = pathlib.Path(FLAGS.seconds or run.root.with_name("seconds.json"))
    if seconds.is_file():
        minutes = json.loads(seconds.read_text())["seconds"] / 60
        training["minutes"] = f"{minutes:.1f}, natural start and validations included"
    # The run's validation was of weights that were not rounded.
    known = dataclasses.replace(known, training=training, validation=None)
    classifier, name = load_classifier(run.model), f"{preset['dataset']}/{preset['objective']}"
    zoo.save(classifier, root / name, model_card(classifier, provenance=known))
    rounded = zoo.load(name, root=root)
    report = evaluation.evaluate(
        rounded,
        datasets.load(preset["dataset"], manual_dir=FLAGS.manual_dir, seed=preset["seed"]),
        protocol=FLAGS.protocol,
        num_examples=FLAGS.num_examples,
        accuracy_examples=FLAGS.accuracy_examples,
        output=run.root / "eval" / f"zoo-{FLAGS.protocol}",
        model_info={"file": f"{name} of the zoo", "preset": preset},
    )
    known = dataclasses.replace(known, report=report)
    zoo.save(rounded, root / name, model_card(rounded, provenance=known))
    print(f"zoo: {root / name}; {(root / name / 'weights.npz').stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    app.run(main)
