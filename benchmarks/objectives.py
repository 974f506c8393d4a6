"""Every objective from one natural model: does its term fall, and what does a step cost?

    python -m benchmarks.objectives --root=runs/objectives --steps=300

Trains each objective of the catalogue by its fast preset from the same natural model, which the
first one trains, and measures the objective's own term by its own attack on validation images
before and after. Rows are kept in ROOT/rows/NAME.json as they come; the same command goes on
where a stopped one ended, and prints the table so far (--table prints it alone).
"""

import json
import pathlib

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from benchmarks import timing
from rar_tf import datasets, markdown
from rar_tf.files import write_atomically
from rar_tf.models import load_classifier
from rar_tf.objective import OBJECTIVES, Batch
from rar_tf.presets import resolve
from rar_tf.runs import train_in
from rar_tf.training import RobustModel

FLAGS = flags.FLAGS
flags.DEFINE_string("root", "runs/objectives", "Folder of the runs and of their rows.")
flags.DEFINE_string("dataset", "fashion_mnist", "Name of a data set.")
flags.DEFINE_list("objectives", [name for name in OBJECTIVES if name != "natural"], "Which.")
flags.DEFINE_integer("steps", 300, "Optimizer steps of each.")
flags.DEFINE_integer("num_examples", 256, "Validation images that the term is measured on.")
flags.DEFINE_integer("seed", 0, "Of the runs.")
flags.DEFINE_bool("table", False, "Only print the table.")

_BATCH = 64


def measure(classifier, preset, validation):
    """(mean term by the objective's own attack, natural accuracy)."""
    model = RobustModel(classifier, preset.objective.build(), preset.build_attack(), seed=1)
    model.compile("sgd")  # never stepped: its count of 0 is part of the starts' key

    @tf.function(reduce_retracing=True)
    def parts(x, y):
        batch = Batch(x, y)
        found = model.objective(classifier, batch, model.find_adversary(batch))
        hits = tf.argmax(classifier(x, training=False), -1, tf.int32) == y
        # Madry's objective has no term: what it wants small is the adversarial loss.
        return found.loss if model.objective.term is None else found.term, hits

    columns = zip(*(parts(x, y) for x, y in validation), strict=True)
    term, hits = (np.concatenate(column) for column in columns)
    return float(term.mean()), float(hits.mean())


def run(name, data, root):
    """Trains one objective and writes its row."""
    preset = resolve(FLAGS.dataset, name, seed=FLAGS.seed, max_steps=FLAGS.steps)
    held_out = data.require("validation")
    images = datasets.Split(*held_out.read(np.arange(min(FLAGS.num_examples, len(held_out)))))
    validation = datasets.ordered_batches(images, _BATCH)
    workdir, trained = train_in(root / "models", preset, data)
    natural = load_classifier(workdir.natural.model)
    before, after = measure(natural, preset, validation), measure(trained, preset, validation)
    step = timing.step_call(preset, data.image_shape, data.num_classes)
    row = {
        "objective": name,
        "steps": FLAGS.steps,
        "term_at_start": before[0],
        "term_at_end": after[0],
        "natural_accuracy_at_start": before[1],
        "natural_accuracy_at_end": after[1],
        "num_examples": len(images),
        "step_seconds": float(np.median([timing.seconds(step) for _ in range(12)][2:])),
        "preset": preset.to_flat(),
    }
    (root / "rows").mkdir(exist_ok=True)
    write_atomically(root / "rows" / f"{name}.json", json.dumps(row, indent=2).encode())


def table(root):
    """The rows so far, as Markdown."""
    header = (
        *("objective", "steps", "term at start", "at end"),
        *("validation accuracy at start", "at end", "s a step"),
    )
    lines = []
    for name in FLAGS.objectives:
        path = root / "rows" / f"{name}.json"
        if not path.exists():
            lines.append((f"`{name}`", *[""] * (len(header) - 1)))
            continue
        row = json.loads(path.read_text())
        terms = (f"{row['term_at_start']:.4g}", f"{row['term_at_end']:.4g}")
        accuracies = (row["natural_accuracy_at_start"], row["natural_accuracy_at_end"])
        seconds = f"{row['step_seconds']:.3f}"
        shown = (f"{accuracy:.1%}" for accuracy in accuracies)
        lines.append((f"`{name}`", str(row["steps"]), *terms, *shown, seconds))
    return markdown.table(header, lines)


def main(argv):
    """Runs what is missing, then prints the table."""
    del argv
    logging.set_verbosity(logging.INFO)
    root = pathlib.Path(FLAGS.root)
    if not FLAGS.table:
        root.mkdir(parents=True, exist_ok=True)
        data = datasets.load(FLAGS.dataset)
        for name in FLAGS.objectives:
            if not (root / "rows" / f"{name}.json").exists():
                run(name, data, root)
    print(table(root))


if __name__ == "__main__":
    app.run(main)
