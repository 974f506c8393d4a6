"""Accuracy under attack: the paper's PGD, the strong attack, and AutoAttack's idea.

    python -m benchmarks.accuracy_attacks --num_examples=200 --seed=0

Attacks the predictions of the zoo's models on the same validation images with: the paper's PGD; PGD
on the cross entropy, 100 steps of epsilon / 10, 5 restarts; the strong attack of `eval.main`; and
the idea of AutoAttack (Croce, Hein, "Reliable evaluation of adversarial robustness with an ensemble
of diverse parameter-free attacks", ICML 2020, https://arxiv.org/abs/2003.01690): APGD on the cross
entropy and on the difference-of-logits ratio, 100 steps and one start each, then the Square Attack
with 1,000 queries. Prints a table of accuracies in percent and of seconds, and appends each model's
rows to the CSV as it is done: the same command goes on. `cost` is the time in units of that of the
PGD with 5 restarts on the same model.
"""

import csv
import math
import pathlib
import sys
import time

import numpy as np
import tensorflow as tf
from absl import app, flags, logging

from rar_tf import datasets, environment, evaluation
from rar_tf.attack import Square
from rar_tf.attribution import cross_entropy
from rar_tf.evaluation import Pgd
from rar_tf.reporting import measurements
from rar_tf.serving import zoo

FLAGS = flags.FLAGS

flags.DEFINE_list("models", None, "Entries of the zoo. Default: all of the data set.")
flags.DEFINE_string("dataset", "fashion_mnist", "Data set, of which validation images are taken.")
flags.DEFINE_string("data_dir", None, "Folder of prepared data of tensorflow-datasets.")
flags.DEFINE_string("manual_dir", None, "Folder of manually downloaded data.")
flags.DEFINE_integer("num_examples", 200, "Number of images, from the first.")
flags.DEFINE_integer("seed", 0, "Seed of random starts.")
flags.DEFINE_string("output", "results/accuracy_attacks.csv", "CSV that grows.")

_FIELDS = (
    *("model", "attack", "images", "AA", "seconds", "cost", "unattacked", "seed"),
    *("machine", "command"),
)
_FORMER, _STRONG = "PGD, 100 steps, 5 restarts", "strong"


def dlr(logits, labels):
    """Difference-of-logits ratio `-(z_y - max_{i != y} z_i) / (z_(1) - z_(3))`  [eq. 6 there]."""
    top = tf.sort(logits, direction="DESCENDING")
    label = tf.gather(logits, labels, axis=1, batch_dims=1)
    other = tf.where(tf.argmax(logits, -1, labels.dtype) == labels, top[:, 1], top[:, 0])
    return -(label - other) / (top[:, 0] - top[:, 2] + 1e-12)


def checkpoints(steps):
    """Steps at which APGD may halve its step size  [sec. 3 there]."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return {math.ceil(share * steps) for share in shares[1:] if share < 1}


def apgd(loss_and_gradient, x, y, threat, start, steps=100, momentum=0.75, rho=0.75):
    """Auto-PGD on a batch: whether every iterate keeps the label, bool [B]  [alg. 1 there].

    Args:
      loss_and_gradient: (x [B, ...], y [B]) -> (loss [B], gradient, whether y is the prediction).
      x: [B, H, W, C] images.
      y: [B] labels.
      threat: the l_inf ball.
      start: [B, H, W, C] first points.
      steps: number of steps.
      momentum: weight of the gradient step beside the last step.
      rho: share of steps that must increase the loss for the step size to stay.
    """
    shape = (-1, 1, 1, 1)
    size = np.full(len(x), 2 * threat.epsilon, np.float32)
    current = previous = threat.project(start, x).numpy()
    loss, gradient, stands = (a.numpy() for a in loss_and_gradient(current, y))
    best, best_loss, best_gradient = current.copy(), loss.copy(), gradient.copy()
    increases, last_check = np.zeros(len(x), int), 0
    unchanged, last_best = np.zeros(len(x), bool), best_loss.copy()
    for step in range(steps):
        moved = threat.project(current + size.reshape(shape) * np.sign(gradient), x).numpy()
        if step:
            moved = current + momentum * (moved - current) + (1 - momentum) * (current - previous)
            moved = threat.project(moved, x).numpy()
        previous, current, before = current, moved, loss
        loss, gradient, hit = (a.numpy() for a in loss_and_gradient(current, y))
        stands &= hit
        increases += loss > before
        better = loss > best_loss
        best[better], best_loss[better] = current[better], loss[better]
        best_gradient[better] = gradient[better]
        if step + 1 in checkpoints(steps):
            few = increases < rho * (step + 1 - last_check)
            halve = few | (~unchanged & (best_loss <= last_best))
            size[halve] /= 2
            current, gradient, loss = current.copy(), gradient.copy(), loss.copy()
            current[halve], gradient[halve] = best[halve], best_gradient[halve]
            loss[halve] = best_loss[halve]
            unchanged, last_best, last_check = halve, best_loss.copy(), step + 1
            increases[:] = 0
    return stands


def auto_attack(classifier, images, threat, seed, batch_size=128):
    """Bool [N]: images that withstand APGD-CE, APGD-DLR and the Square Attack, 1,000 queries."""
    stands = evaluation.correct(classifier, images).hits.copy()
    for run, loss in enumerate((cross_entropy, dlr)):
        loss_and_gradient = _loss_and_gradient(classifier, images, loss)
        rows = np.flatnonzero(stands)
        for first in range(0, len(rows), batch_size):
            batch = rows[first : first + batch_size]
            x, y = images.read(batch)
            start = threat.start(tf.constant(x), tf.constant([seed, 100 + run]), first)
            stands[batch] = apgd(loss_and_gradient, x, y, threat, start)
    rows = np.flatnonzero(stands)
    if len(rows):
        standing = evaluation.EvaluationSet(images.read(rows))
        stands[rows] = evaluation.withstands(
            classifier, standing, threat, Square(1000), seed=seed + 1
        ).hits
    return stands


def _loss_and_gradient(classifier, images, loss):
    @tf.function(autograph=False, input_signature=images.signature)
    def loss_and_gradient(x, y):
        with tf.GradientTape() as tape:
            tape.watch(x)
            logits = classifier(x, training=False)
            value = loss(logits, y)
        return value, tape.gradient(value, x), tf.argmax(logits, -1, tf.int32) == y

    return loss_and_gradient


def measure(entry, data):
    """Rows of one model, one for each attack; cost is in seconds of the former strong PGD."""
    images = evaluation.EvaluationSet(data, split="validation", num_examples=FLAGS.num_examples)
    protocol = evaluation.protocol("rar", FLAGS.dataset, data.image_shape)
    classifier = evaluation.logits_of(zoo.load(entry), images).model
    threat, seed = protocol.threat, FLAGS.seed
    attacks = {
        "PGD of the paper": protocol.pgd,
        _FORMER: Pgd(100, threat.epsilon / 10, restarts=5),
        _STRONG: protocol.strong_attack,
    }
    rows = []
    for name in (*attacks, "APGD-CE, APGD-DLR, Square"):
        started, unattacked = time.monotonic(), 0
        if name in attacks:
            result = evaluation.withstands(classifier, images, threat, attacks[name], seed=seed)
            stands, unattacked = result.hits, int(result.unattacked.sum())
        else:
            stands = auto_attack(classifier, images, threat, seed)
        row = {"model": entry, "attack": name, "images": len(images)}
        row |= {"AA": f"{100 * stands.mean():.1f}", "unattacked": unattacked}
        rows.append(row | {"seconds": round(time.monotonic() - started, 1)})
        logging.info("%s %s: AA %s in %.0f s", entry, name, row["AA"], rows[-1]["seconds"])
    former = next(row["seconds"] for row in rows if row["attack"] == _FORMER)
    shared = {
        "seed": seed,
        "machine": environment.hardware()["processor"],
        "command": "python -m benchmarks.accuracy_attacks "
        f"--num_examples={FLAGS.num_examples} --seed={seed}",
    }
    return [row | shared | {"cost": f"{row['seconds'] / former:.2f}"} for row in rows]


def read(path):
    """Rows of the CSV; [] where there is none."""
    if not path.exists():
        return []
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def append(path, rows):
    """Add rows, on the disk when this returns."""
    new = not path.exists()
    with open(path, "a", newline="") as file:
        writer = csv.DictWriter(file, _FIELDS, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(rows)


def main(argv):
    """Exit with status 0 only on success."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.INFO)
    output = pathlib.Path(FLAGS.output)
    try:
        entries = FLAGS.models or [n for n in zoo.names() if n.startswith(FLAGS.dataset + "/")]
        data = datasets.load(FLAGS.dataset, data_dir=FLAGS.data_dir, manual_dir=FLAGS.manual_dir)
        done = {row["model"] for row in read(output)}
        for entry in entries:
            if entry not in done:
                append(output, measure(entry, data))
        print(measurements.accuracy_attacks(read(output)))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
