"""What a setting does to the four numbers, on validation images: why presets are what they are.

    python -m benchmarks.ablation --model=ig_norm --model=ig_norm,weight=0.6,max_steps=8000

Each --model is an objective and settings of its fast preset. Trains it, those of the
same natural start from the same natural model, and measures it on images held out from training:
NA and AA (the protocol's PGD) on --accuracy_examples, IN and CO by the default attack on
--num_examples. Writes a row a model to OUTPUT.json as they come (the same command goes on), then
all rows there are as OUTPUT.md, and as OUTPUT.png NA against CO, IN and AA beside the published
values (which are of test images). The test images are not touched. The seconds are those of the
robust training and its validations, without the natural start.
"""

import dataclasses
import json
import pathlib

from absl import app, flags, logging
from matplotlib.figure import Figure

from benchmarks.timing import timed
from rar_tf import datasets, evaluation
from rar_tf.cli.settings import parse_settings
from rar_tf.environment import hardware, versions
from rar_tf.files import write_atomically
from rar_tf.presets import natural_start, resolve
from rar_tf.reporting import measurements
from rar_tf.reporting.tables import PUBLISHED
from rar_tf.runs import train_in, workdir_of

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("model", [], "OBJECTIVE,NAME=VALUE,... of each; none: only the table.")
flags.DEFINE_string("root", "runs/ablation", "Folder of the runs.")
flags.DEFINE_string("output", "results/ablation", "Stem of the files written.")
flags.DEFINE_string("dataset", "fashion_mnist", "Name of a data set.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_string("protocol", "rar", "rar or far.")
flags.DEFINE_integer("num_examples", 100, "Validation images whose maps are attacked.")
flags.DEFINE_integer("accuracy_examples", 5000, "Validation images of the accuracies.")
flags.DEFINE_integer("seed", 0, "Of trainings and attacks.")


def measure(text: str, data: datasets.ImageData) -> dict:
    """The row of one model, such as "ig_norm,weight=0.6"."""
    objective, *given = text.split(",")
    preset = resolve(FLAGS.dataset, objective, seed=FLAGS.seed, **parse_settings("--model", given))
    root = pathlib.Path(FLAGS.root)
    if preset.model.init_from == "natural":
        train_in(root, natural_start(preset), data)
    folder = workdir_of(preset, root).root
    minutes = timed(lambda: train_in(root, preset, data), folder.with_suffix(".json"))
    _, classifier = train_in(root, preset, data)  # already trained: read from its file
    report = evaluation.evaluate(
        classifier,
        data,
        protocol=FLAGS.protocol,
        attack="quick",
        split="validation",
        num_examples=FLAGS.num_examples,
        accuracy_examples=FLAGS.accuracy_examples,
        strong_pgd=False,
        seed=FLAGS.seed,
    )
    return {
        "model": text,
        "minutes": minutes,
        "accuracies": [report.natural_accuracy.value, report.pgd_accuracy.value],
        "metrics": {
            name: dataclasses.asdict(report.metrics[name]) for name in ("top_k", "kendall")
        },
        "attacked": report.counts["attacked"],
        "accuracy_examples": report.natural_accuracy.num_examples,
        "protocol": FLAGS.protocol,
        "seed": FLAGS.seed,
        "preset": preset.to_flat(),
    }


def draw(rows: list[dict], path: pathlib.Path) -> None:
    """NA against CO, IN and AA by the table's numbers; a colour an objective, published hollow."""
    figure = Figure(figsize=(13, 4.8), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    colours = ("#4477aa", "#cc6677", "#228833", "#aa8800", "#aa3377", "#44aaaa")
    names = list(dict.fromkeys(row["preset"]["objective"] for row in rows))
    columns = (
        ("CO: Kendall's tau", 3, lambda row: row["metrics"]["kendall"]["mean"]),
        ("IN: top-k intersection (%)", 2, lambda row: 100 * row["metrics"]["top_k"]["mean"]),
        ("AA: PGD accuracy (%)", 1, lambda row: 100 * row["accuracies"][1]),
    )
    for axis, (label, place, value) in zip(axes, columns, strict=True):
        for name, colour in zip(names, colours * len(names), strict=False):
            for number, row in enumerate(rows, 1):
                if row["preset"]["objective"] != name:
                    continue
                point = value(row), 100 * row["accuracies"][0]
                axis.plot(*point, "o", color=colour, markersize=4)
                axis.annotate(str(number), point, (4, -2), textcoords="offset points", fontsize=7)
            axis.plot([], [], "o", color=colour, label=name)
            if published := PUBLISHED.get((FLAGS.protocol, FLAGS.dataset, name)):
                known = float(published[place]), float(published[0])
                axis.plot(*known, "s", color=colour, fillstyle="none", label=f"{name}, published")
        axis.set_xlabel(label)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("NA: natural accuracy (%), validation images")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    figure.savefig(path, dpi=130)


def main(argv):
    """Measures what is missing, then writes the table and the picture."""
    del argv
    logging.set_verbosity(logging.INFO)
    stem = pathlib.Path(FLAGS.output)
    store = stem.with_suffix(".json")
    rows = json.loads(store.read_text())["rows"] if store.exists() else []
    missing = [text for text in FLAGS.model if text not in [row["model"] for row in rows]]
    data = datasets.load(FLAGS.dataset, manual_dir=FLAGS.manual_dir) if missing else None
    for text in missing:
        logging.info("%s", text)
        rows.append(measure(text, data))
        content = {"hardware": hardware(), "versions": versions(), "rows": rows}
        write_atomically(store, json.dumps(content, indent=1).encode())
    text = measurements.ablation(rows)
    stem.with_suffix(".md").write_text(
        f"`python -m benchmarks.ablation --protocol={FLAGS.protocol} --model=SETTING ...`, "
        f"{FLAGS.dataset}, seed {FLAGS.seed}, validation images (of: how many), on "
        f"{hardware()}.\n\n{text}\n"
    )
    draw(rows, stem.with_suffix(".png"))
    print(text)


if __name__ == "__main__":
    app.run(main)
