"""Is the economical attack as strong as the paper's, and how much faster?

    python -m benchmarks.ifia_economy --models=natural=fashion_mnist/natural,mine=mine.keras

Attacks the maps of the same validation images with `original` and with `default`, and appends a
row an image to the CSV as batches finish: stop it at any time, the same command goes on. Then, and
with --table alone, prints per model the paired difference default - original of IN (points) and
CO: its mean and its one-sided 95% upper bound; and the images a second of each attack and batch
size, the first batch, which traces, left out. The default may stay if each mean is <= 0 and each
bound is <= 1 point of IN and <= 0.01 of CO. For the cost of one image at a time:

    python -m benchmarks.ifia_economy --models=... --attacks=original --batch_size=1 \\
        --num_examples=3 --output=results/ifia_speed.csv

The full setting (`original`, 100 nodes and 100 steps on Fashion-MNIST) takes tens of seconds
an image on two CPU cores: 200 images of three models take hours.
"""

import csv
import pathlib
import sys
import time

import numpy as np
from absl import app, flags, logging

from rar_tf import datasets, evaluation
from rar_tf.models import load_classifier
from rar_tf.reporting import measurements
from rar_tf.serving import zoo

FLAGS = flags.FLAGS

flags.DEFINE_list("models", [], "NAME=FILE.keras or NAME=ENTRY of the zoo, of each.")
flags.DEFINE_string("dataset", "fashion_mnist", "Whose validation images.")
flags.DEFINE_string("data_dir", None, "Where tensorflow-datasets keeps prepared data.")
flags.DEFINE_string("protocol", "rar", "rar or far.")
flags.DEFINE_integer("num_examples", 200, "Correctly classified images a model.")
flags.DEFINE_integer("batch_size", 25, "Images at once; 1 for the cost of one at a time.")
flags.DEFINE_integer("nodes_per_pass", 10, "Nodes at once.")
flags.DEFINE_list("attacks", ["default", "original"], "Which to run.")
flags.DEFINE_string("output", "results/ifia_economy.csv", "CSV that grows.")
flags.DEFINE_bool("table", False, "Only print the table.")

_FIELDS = ("model", "index", "attack", "batch_size", "top_k", "kendall", "spearman", "seconds")


def read(path):
    """Rows of the CSV; [] where there is none."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def append(path, rows):
    """Adds rows, on the disk when this returns."""
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, _FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def measure(models, output):
    """Runs what is missing: batch by batch, so that the models and attacks grow together."""
    data = datasets.load(FLAGS.dataset, data_dir=FLAGS.data_dir)
    selection = evaluation.EvaluationSet(
        data, split="validation", num_examples=4 * FLAGS.num_examples
    )
    protocol = evaluation.protocol(FLAGS.protocol, FLAGS.dataset, data.image_shape)
    work = []
    for name, file in models.items():
        classifier = load_classifier(file) if file.endswith(".keras") else zoo.load(file)
        classifier, _ = evaluation.logits_of(classifier, selection)
        hits = evaluation.correct(classifier, selection).hits
        indices = np.flatnonzero(hits)[: FLAGS.num_examples]
        for attack in FLAGS.attacks:
            earlier = [
                row
                for row in read(output)
                if (row["model"], row["attack"]) == (name, attack)
                and int(row["batch_size"]) == FLAGS.batch_size
            ]
            runs = evaluation.attack_maps(
                classifier,
                selection,
                indices,
                protocol,
                protocol.attack(attack),
                done=len(earlier),
                batch_size=FLAGS.batch_size,
                nodes_per_pass=FLAGS.nodes_per_pass,
            )
            work.append((name, attack, runs))
    while work:
        for item in list(work):
            name, attack, runs = item
            started = time.monotonic()
            batch = next(runs, None)
            if batch is None:
                work.remove(item)
                continue
            shared = {"model": name, "attack": attack, "batch_size": FLAGS.batch_size}
            names = ("index", "top_k", "kendall", "spearman", "seconds")
            append(output, [{k: getattr(r, k) for k in names} | shared for r in batch[0]])
            logging.info("%s %s: a batch in %.0f s", name, attack, time.monotonic() - started)


def main(argv):
    """Exit status 0 only on success."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.INFO)
    output = pathlib.Path(FLAGS.output)
    try:
        if not FLAGS.table:
            measure(dict(model.split("=", 1) for model in FLAGS.models), output)
        rows = read(output)
        print(measurements.economy(rows), measurements.attack_speed(rows), sep="\n\n")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
