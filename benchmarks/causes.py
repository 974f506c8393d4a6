"""What moves a map under attack: the pixels, or the gradient, and at which layer.

    python -m benchmarks.causes --models=ig_norm=fashion_mnist/ig_norm,mine=mine.keras

Integrated gradients from black are the pixels times the averaged gradient, `IG(x) = x g(x)`.
Attacks the maps of correctly classified validation images as `eval.main` does, and compares the
clean map x g(x) with

    both        x' g(x'), the attacked map
    pixels      x' g(x)
    gradient    x g(x')
    a layer     x g_L: every layer's derivatives at the points of x's path, but those of layer L
                (for a ReLU its gates, for max pooling its winners) at the points of x''s

by top-k intersection (IN) and Kendall's tau (CO). What is lowest alone is where to look first.
--plot=causes.png draws it.
"""

import keras
import numpy as np
import tensorflow as tf
from absl import app, flags
from matplotlib.figure import Figure

from rar_tf import datasets, evaluation, markdown, models
from rar_tf.attribution import (
    input_gradient,
    kendall_tau,
    label_logit,
    nodes_and_weights,
    saliency,
    top_k_intersection,
)
from rar_tf.environment import hardware, versions
from rar_tf.models import load_classifier
from rar_tf.serving import zoo

FLAGS = flags.FLAGS
flags.DEFINE_list("models", [], "NAME=FILE.keras or NAME=ENTRY of the zoo, of each.")
flags.DEFINE_string("dataset", "fashion_mnist", "Whose validation images.")
flags.DEFINE_string("data_dir", None, "Where tensorflow-datasets keeps prepared data.")
flags.DEFINE_string("manual_dir", None, "Where the archives lie that one downloads oneself.")
flags.DEFINE_string("protocol", "rar", "rar or far.")
flags.DEFINE_integer("num_examples", 100, "Validation images, the correctly classified of them.")
flags.DEFINE_integer("steps", 20, "Midpoint nodes of the averaged gradients.")
flags.DEFINE_integer("seed", 0, "Of the attack's random starts.")
flags.DEFINE_string("plot", None, "Where to draw it.")


def averaged_gradient(network: keras.Model, paths: list[np.ndarray], y: int) -> np.ndarray:
    """Mean of the label's input gradient over the nodes of the first of the stacked paths."""
    points = tf.constant(np.concatenate(paths))
    gradient = input_gradient(label_logit(network), points, tf.fill([len(points)], y))
    return gradient[: len(paths[0])].numpy().mean(0)


def maps(network: keras.Model, borrowing: dict, x: np.ndarray, x_adv: np.ndarray, y: int) -> dict:
    """Attributions [H, W, C] of one image: `clean`, then by cause.

    Args:
      network: the classifier.
      borrowing: {layer: the classifier that borrows this layer's derivatives}.
      x, x_adv: [H, W, C] in [0, 1].
      y: the label.
    """
    nodes = nodes_and_weights("midpoint", FLAGS.steps)[0][:, None, None, None].astype("float32")
    here, there = nodes * x, nodes * x_adv
    before, after = (averaged_gradient(network, [path], y) for path in (here, there))
    whole = {"clean": x * before, "both": x_adv * after, "pixels": x_adv * before}
    return whole | {
        "gradient": x * after,
        **{
            layer: x * averaged_gradient(twin, [here, there], y)
            for layer, twin in borrowing.items()
        },
    }


def measure(classifier: keras.Model, selection: evaluation.EvaluationSet) -> tuple[int, dict]:
    """How many images, and {cause: (IN in percent, CO)}, means over them."""
    protocol = evaluation.protocol(FLAGS.protocol, selection.name, selection.image_shape)
    network = evaluation.logits_of(classifier, selection).model
    indices = np.flatnonzero(evaluation.correct(network, selection).hits)
    borrowing = {
        layer: models.with_derivatives_of_second_half(network, [layer])
        for layer in models.nonlinear_layers(network)
    }
    attack = protocol.attack("quick")
    batches = evaluation.attack_maps(network, selection, indices, protocol, attack, seed=FLAGS.seed)
    values: dict[str, list] = {}
    for rows, pictures in batches:
        for row, picture in zip(rows, pictures, strict=True):
            found = maps(network, borrowing, picture.x, picture.x_adv, row.label)
            shown = {cause: saliency(ig[np.newaxis]).numpy() for cause, ig in found.items()}
            clean = shown.pop("clean")
            for cause, moved in shown.items():
                kept = 100 * top_k_intersection(clean, moved, protocol.k)[0]
                values.setdefault(cause, []).append((kept, kendall_tau(clean, moved)[0]))
    return len(indices), {cause: np.mean(pairs, 0) for cause, pairs in values.items()}


def table(found: dict[str, dict]) -> str:
    """Markdown: a line a cause, IN and CO of each model."""
    causes = dict.fromkeys(cause for means in found.values() for cause in means)
    header = ["what moves", *(head for name in found for head in (f"{name}: IN", "CO"))]
    rows = []
    for cause in causes:
        cells = [
            (f"{means[cause][0]:.1f}", f"{means[cause][1]:.3f}") if cause in means else ("", "")
            for means in found.values()
        ]
        rows.append([cause, *(cell for pair in cells for cell in pair)])
    return markdown.table(header, rows)


def draw(found: dict[str, dict], path: str, title: str) -> None:
    """IN and CO by cause, a colour a model."""
    causes = list(dict.fromkeys(cause for means in found.values() for cause in means))
    figure = Figure(figsize=(8.4, 0.7 + 0.42 * len(causes)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    height = 0.8 / len(found)
    colours = ("#4477aa", "#cc6677", "#228833", "#ccbb44", "#66ccee", "#aa3377")
    for number, (axes, label) in enumerate(zip(panels, ("IN (%)", "CO"), strict=True)):
        for row, (name, means) in enumerate(found.items()):
            known = [i for i, cause in enumerate(causes) if cause in means]
            places = [i + (row - (len(found) - 1) / 2) * height for i in known]
            sizes = [means[causes[i]][number] for i in known]
            colour = colours[row % len(colours)]
            bars = axes.barh(places, sizes, 0.9 * height, color=colour, label=name)
            digits = "%.0f" if number == 0 else "%.2f"
            axes.bar_label(bars, fmt=digits, fontsize=7, padding=2)
        axes.set_xlabel(label)
        axes.set_xlim(0, 108 if number == 0 else 1.08)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(range(len(causes)), causes)
    panels[0].invert_yaxis()
    figure.suptitle(title, fontsize=10)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right", frameon=False)
    figure.savefig(path, dpi=130)


def main(argv):
    """Prints the table, and where and with what it was measured."""
    del argv
    if not FLAGS.models or not all("=" in given for given in FLAGS.models):
        raise app.UsageError("--models must name at least one: NAME=FILE.keras or NAME=ENTRY.")
    data = datasets.load(FLAGS.dataset, data_dir=FLAGS.data_dir, manual_dir=FLAGS.manual_dir)
    selection = evaluation.EvaluationSet(data, split="validation", num_examples=FLAGS.num_examples)
    counts, found = {}, {}
    for given in FLAGS.models:
        name, _, file = given.partition("=")
        classifier = load_classifier(file) if file.endswith(".keras") else zoo.load(file)
        counts[name], found[name] = measure(classifier, selection)
    of = ", ".join(f"{name} {count}" for name, count in counts.items())
    title = f"{FLAGS.dataset}, correctly classified of {len(selection)} validation images: {of}"
    print(f"\n{table(found)}\n\n{title}; {FLAGS.steps} nodes, seed {FLAGS.seed}")
    print(f"{hardware()}\n{versions()}")
    if FLAGS.plot:
        draw(found, FLAGS.plot, title)


if __name__ == "__main__":
    app.run(main)
