"""The inner maximization: what loss an attack reaches, against its gradient evaluations.

    python -m benchmarks.adversary --zoo=fashion_mnist/ig_norm --plot=docs/adversary.png

Attacks one model of the zoo on validation images from random starts, ascending the loss in the
fast schedule's precision; the loss that is reported is the model's own, in nats. For each number
of steps and each decay the best of a few step sizes counts, so that neither is measured at the
other's.
"""

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from matplotlib.figure import Figure

from rar_tf import datasets, markdown, models
from rar_tf.attack import DECAYS, Attack, LpBall
from rar_tf.attribution import cross_entropy
from rar_tf.environment import hardware, versions
from rar_tf.presets import build, resolve
from rar_tf.serving import zoo

FLAGS = flags.FLAGS
flags.DEFINE_string("zoo", "fashion_mnist/ig_norm", "DATASET/NAME in the zoo.")
flags.DEFINE_list("steps", ["1", "2", "3", "5", "7", "10", "20", "40"], "Steps of the attacks.")
flags.DEFINE_integer("num_examples", 1000, "Validation images.")
flags.DEFINE_integer("seed", 0, "Of the random starts.")
flags.DEFINE_string("plot", None, "Where to draw it.")

# Candidates: the sum of constant steps and the first of decaying ones, in units of epsilon.
_REACHES = {"constant": (1, 2, 3, 4, 6, 8, 12), "linear": (1, 1.5, 2, 3)}
_BATCH_SIZE = 128


def step_size(decay: str, reach: float, steps: int, epsilon: float) -> float:
    """The step size of a candidate."""
    return reach * epsilon / (steps if decay == "constant" else 1)


def reached(model: keras.Model, attack: Attack, images, labels, precision: str) -> float:
    """Mean cross entropy, in nats, where the attack on images [N, H, W, C] uint8 ends."""
    ascended = models.for_double_backprop(model, precision)

    @tf.function(autograph=False)
    def losses(x, y, first_row):
        def score(x_adv):
            return cross_entropy(ascended(x_adv, training=False), y)

        x_adv = attack(score, x, seed=tf.constant([FLAGS.seed, 0]), first_row=first_row)
        return cross_entropy(model(x_adv, training=False), y)

    found = []
    for start in range(0, len(images), _BATCH_SIZE):
        rows = slice(start, start + _BATCH_SIZE)
        x = tf.constant(images[rows] / np.float32(255))
        found.append(losses(x, tf.constant(labels[rows]), tf.constant(start)).numpy())
    return float(np.concatenate(found).mean())


def rows(
    model: keras.Model, images, labels, ball: LpBall, precision: str
) -> list[tuple[int, str, float, float]]:
    """(steps, decay, step size, loss) of the best step size of each."""
    found = []
    for steps in map(int, FLAGS.steps):
        for decay in DECAYS:
            sizes = [step_size(decay, reach, steps, ball.epsilon) for reach in _REACHES[decay]]
            attacks = [Attack(ball, steps, size, decay=decay) for size in sizes]
            values = [reached(model, attack, images, labels, precision) for attack in attacks]
            best = int(np.argmax(values))
            found.append((steps, decay, sizes[best], values[best]))
            print(f"{steps:3d} {decay:8s} {sizes[best]:.4f} {values[best]:.4f}", flush=True)
    return found


def table(found: list[tuple[int, str, float, float]]) -> str:
    """Markdown: a line a number of steps."""
    header = ("steps", "constant: step size", "loss", "linear: first step", "loss")
    lines = []
    for steps in dict.fromkeys(row[0] for row in found):
        pairs = [(size, loss) for count, _, size, loss in found if count == steps]
        lines.append((str(steps), *(f"{value:.4f}" for pair in pairs for value in pair)))
    return markdown.table(header, lines)


def draw(found: list[tuple[int, str, float, float]], path: str, title: str) -> None:
    """Loss against steps, a line a decay."""
    figure = Figure(figsize=(5.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for decay, colour in zip(DECAYS, ("#4477aa", "#cc6677"), strict=True):
        mine = [(steps, loss) for steps, name, _, loss in found if name == decay]
        axes.plot(*zip(*mine, strict=True), "o-", color=colour, label=f"attack_decay={decay}")
    axes.set_xscale("log")
    ticks = sorted({row[0] for row in found})
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("gradient evaluations")
    axes.set_ylabel("loss reached (nats)")
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def main(argv):
    """Prints the table, and where and with what it was measured."""
    del argv
    name = FLAGS.zoo.split("/")[0]
    preset = resolve(name, "madry")
    ball = LpBall(preset.attack.norm, preset.attack.epsilon)
    split = datasets.load(name).require("validation")
    images, labels = split.read(np.arange(min(FLAGS.num_examples, len(split))))
    model = zoo.load(FLAGS.zoo)
    found = rows(model, images, labels, ball, build.precision(preset, model))
    title = f"{FLAGS.zoo}, {len(images)} validation images, epsilon {ball.epsilon:g}"
    print(f"\n{table(found)}\n\n{title}\n{hardware()}\n{versions()}")
    if FLAGS.plot:
        draw(found, FLAGS.plot, title)


if __name__ == "__main__":
    app.run(main)
