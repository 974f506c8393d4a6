"""Does the training hold on modern networks? NA, AA, IN, CO before and after, a row a training.

    python -m benchmarks.architectures --minutes=10
    python -m benchmarks.architectures --minutes=10 --split=test --attack=worst_case

Trains one natural model of each architecture, and from it each objective for --minutes of this
machine: the number of steps is chosen by the time of a few of them, and kept in ROOT, so that the
same command goes on where a stopped one ended. Before and after, a model is measured on the same
images. A row is appended to --output as soon as it is there, and is not measured again; settings
are chosen on validation images (the default), test images are for the final figures.
"""

import csv
import io
import json
import math
import pathlib

import numpy as np
from absl import app, flags, logging

from benchmarks import timing
from rar_tf import datasets, evaluation
from rar_tf.cli.settings import parse_settings
from rar_tf.environment import hardware
from rar_tf.files import write_atomically
from rar_tf.presets import Preset, natural_start, resolve
from rar_tf.reporting import measurements
from rar_tf.runs import train_in, workdir_of

FLAGS = flags.FLAGS
flags.DEFINE_list(
    "architectures", ["small_cnn", "batch_norm_cnn", "mobile_net", "small_vit"], "Which."
)
flags.DEFINE_list("objectives", ["ig_norm", "ig_sum_norm", "aat"], "Which.")
flags.DEFINE_multi_string("set", [], "NAME=VALUE of a setting of every objective.")
flags.DEFINE_float("minutes", 10.0, "Minutes of a training, without the natural one.")
flags.DEFINE_integer("max_steps", None, "Steps of a training, in place of --minutes.")
flags.DEFINE_string("root", "runs/architectures", "Folder of the runs.")
flags.DEFINE_string("output", "results/architectures.csv", "Table that rows are appended to.")
flags.DEFINE_string("dataset", "fashion_mnist", "Name of a data set.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_string("split", "validation", "Images that are measured: validation or test.")
flags.DEFINE_string("attack", "quick", "Attack on the maps.")
flags.DEFINE_integer("num_examples", 200, "Images whose maps are attacked.")
flags.DEFINE_integer("accuracy_examples", 2000, "Images of the accuracies.")
flags.DEFINE_integer("seed", 0, "Of trainings and attacks.")

# Smaller balls than the presets': at most three points of natural accuracy are to be given.
_BY_OBJECTIVE = {
    "ig_norm": {"epsilon": 0.064, "attack_step_size": 0.128},
    "ig_sum_norm": {"epsilon": 0.05, "attack_step_size": 0.1, "attack_steps": 4},
    "aat": {"weight": 8.0},
}
_BY_ARCHITECTURE = {
    "batch_norm_cnn": {"learning_rate": 1e-3, "natural_steps": 1500},
    "mobile_net": {"learning_rate": 1e-3, "natural_steps": 2000, "precision": "float32"},
    "small_vit": {"learning_rate": 1e-3, "natural_steps": 3000, "precision": "float32"},
}
# Share of the minutes that validation and tracing leave to the steps.
_SHARE_OF_STEPS = 0.85
_FIELDS = (
    *("architecture", "objective", "seed", "split", "attack", "images", "accuracy_images"),
    *(f"{name}_{when}" for name in ("NA", "AA", "IN", "CO") for when in ("before", "after")),
    *("steps", "minutes", "natural_minutes", "settings", "machine"),
)


def preset_of(architecture: str, objective: str, steps: int) -> Preset:
    """The preset of a training, without the settings of another architecture."""
    settings = {"max_steps": steps, "architecture": architecture, "seed": FLAGS.seed}
    settings |= _BY_OBJECTIVE.get(objective, {}) | _BY_ARCHITECTURE.get(architecture, {})
    return resolve(FLAGS.dataset, objective, **settings | parse_settings("--set", FLAGS.set))


def steps_of(architecture: str, objective: str, root: pathlib.Path, shape: tuple, classes: int):
    """Steps that fit the minutes; those of an earlier start of the same row, where it has some."""
    if FLAGS.max_steps:
        return FLAGS.max_steps
    plan = root / "plans" / f"{architecture}-{objective}-{FLAGS.seed}-{FLAGS.minutes:g}.json"
    if plan.exists():
        return json.loads(plan.read_text())["steps"]
    step = timing.step_call(preset_of(architecture, objective, 1000), shape, classes)
    seconds = float(np.median([timing.seconds(step) for _ in range(8)][3:]))
    steps = max(1, int(_SHARE_OF_STEPS * 60 * FLAGS.minutes / seconds))
    plan.parent.mkdir(parents=True, exist_ok=True)
    content = {"steps": steps, "seconds": seconds, "machine": hardware()}
    write_atomically(plan, json.dumps(content).encode())
    return steps


def train(preset: Preset, data: datasets.ImageData, root: pathlib.Path):
    """(classifier, minutes of its training)."""
    folder = workdir_of(preset, root).root
    minutes = timing.timed(lambda: train_in(root, preset, data), folder.with_suffix(".json"))
    return train_in(root, preset, data)[1], minutes  # already trained: read from its file


def measure(classifier, data: datasets.ImageData, store: pathlib.Path) -> dict[str, float]:
    """{"NA", "AA", "IN", "CO", "images"}, the first three in percent; kept in a file."""
    if store.exists():
        return json.loads(store.read_text())
    report = evaluation.evaluate(
        classifier,
        data,
        protocol="rar",
        attack=FLAGS.attack,
        split=FLAGS.split,
        num_examples=FLAGS.num_examples,
        accuracy_examples=FLAGS.accuracy_examples,
        strong_pgd=False,
        nodes_per_pass=25,
        seed=FLAGS.seed,
    )
    # No mean where no image has the right label.
    top_k, kendall = (report.metrics[name].mean for name in ("top_k", "kendall"))
    figures = {
        "NA": 100 * report.natural_accuracy.value,
        "AA": 100 * report.pgd_accuracy.value,
        "IN": math.nan if top_k is None else 100 * top_k,
        "CO": math.nan if kendall is None else kendall,
        "images": report.counts["attacked"],
    }
    write_atomically(store, json.dumps(figures).encode())
    return figures


def row_of(architecture: str, objective: str, data: datasets.ImageData) -> dict[str, str]:
    """Trains and measures one row."""
    root = pathlib.Path(FLAGS.root)
    root.mkdir(parents=True, exist_ok=True)
    steps = steps_of(architecture, objective, root, data.image_shape, data.num_classes)
    preset = preset_of(architecture, objective, steps)
    start = natural_start(preset)
    suffix = f".{FLAGS.split}-{FLAGS.attack}-{FLAGS.num_examples}-{FLAGS.accuracy_examples}.json"
    natural, natural_minutes = train(start, data, root)
    before = measure(natural, data, workdir_of(start, root).root.with_suffix(suffix))
    classifier, minutes = train(preset, data, root)
    after = measure(classifier, data, workdir_of(preset, root).root.with_suffix(suffix))
    figures = {
        f"{name}_{when}": f"{values[name]:.{4 if name == 'CO' else 2}f}"
        for when, values in (("before", before), ("after", after))
        for name in ("NA", "AA", "IN", "CO")
    }
    objective_settings = preset.to_flat()
    shown = ("epsilon", "attack_steps", "weight", "learning_rate", "batch_size", "precision")
    return {
        **dict.fromkeys(_FIELDS, ""),
        "architecture": architecture,
        "objective": objective,
        "seed": str(FLAGS.seed),
        "split": FLAGS.split,
        "attack": FLAGS.attack,
        "images": str(after["images"]),
        "accuracy_images": str(FLAGS.accuracy_examples),
        **figures,
        "steps": str(steps),
        "minutes": f"{minutes:.1f}",
        "natural_minutes": f"{natural_minutes:.1f}",
        "settings": " ".join(f"{name}={objective_settings[name]}" for name in shown),
        "machine": str(hardware().get("processor", "")),
    }


def read(path: pathlib.Path) -> list[dict[str, str]]:
    """Rows so far."""
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(path: pathlib.Path, rows: list[dict[str, str]]) -> None:
    """Writes the whole table atomically."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, _FIELDS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomically(path, text.getvalue().encode())


def main(argv):
    """Trains and measures the missing rows, then prints the table."""
    del argv
    logging.set_verbosity(logging.INFO)
    path = pathlib.Path(FLAGS.output)
    key = ("architecture", "objective", "seed", "split", "attack")
    data = None
    for architecture in FLAGS.architectures:
        for objective in FLAGS.objectives:
            rows = read(path)
            wanted = (architecture, objective, str(FLAGS.seed), FLAGS.split, FLAGS.attack)
            if wanted in [tuple(row[name] for name in key) for row in rows]:
                continue
            data = data or datasets.load(FLAGS.dataset, manual_dir=FLAGS.manual_dir)
            logging.info("%s, %s", architecture, objective)
            write(path, [*rows, row_of(architecture, objective, data)])
    print(measurements.architectures(read(path)))


if __name__ == "__main__":
    app.run(main)
