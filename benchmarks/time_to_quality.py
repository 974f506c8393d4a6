"""From nothing to the four numbers: minutes of training, then NA, AA, IN, CO on the test set.

    python -m benchmarks.time_to_quality --root=runs/time_to_quality --seeds=0,1,2

Trains each objective by its fast preset from a fresh folder, natural start and validations
included, once a seed, and measures the result by `--protocol=rar`: NA and AA on the whole test
set, IN and CO by the default attack. The time is that of the training alone. Rows are kept as they
come; the same command goes on where a stopped one ended, adding up the time that it had taken
before; `--nomeasure` trains alone, for the same command to measure later. Prints the table (means
over the seeds, and their spread) and draws it. Train on a machine that does nothing else; after
each training a step of the paper's schedule is timed, so that the ratio holds elsewhere.
"""

import dataclasses
import json
import pathlib

import numpy as np
from absl import app, flags, logging
from matplotlib.figure import Figure

from benchmarks.step_time import measure as measure_step
from benchmarks.timing import timed
from rar_tf import datasets, evaluation
from rar_tf.environment import hardware, versions
from rar_tf.files import write_atomically
from rar_tf.presets import resolve
from rar_tf.reporting import measurements
from rar_tf.reporting.tables import PUBLISHED
from rar_tf.runs import Workdir, train
from rar_tf.runs.validation_callback import read_metrics

FLAGS = flags.FLAGS
flags.DEFINE_string("root", "runs/time_to_quality", "Folder of the runs and of their rows.")
flags.DEFINE_list("objectives", ["madry", "ig_norm", "ig_sum_norm"], "Which.")
flags.DEFINE_list("seeds", ["0", "1", "2"], "One run each.")
flags.DEFINE_integer("num_examples", 1200, "Test images; maps of those it has right.")
flags.DEFINE_integer("max_steps", None, "Optimizer steps; default the preset's.")
flags.DEFINE_bool("measure", True, "Whether to measure what is trained; else later.")
flags.DEFINE_bool("table", False, "Only print the table.")

_DATASET = "fashion_mnist"
_CHUNK = {"nodes_per_pass": 10}  # all fifty nodes at once do not fit


def run(name: str, seed: int, data: datasets.ImageData, root: pathlib.Path) -> None:
    """Trains one model, measures it with `--measure`, and writes its row."""
    folder = root / f"{name}-{seed}"
    preset = resolve(_DATASET, name, seed=seed, max_steps=FLAGS.max_steps)
    minutes = timed(lambda: train(preset, Workdir(folder / "run"), data), folder / "seconds.json")
    trained = folder / "trained.json"
    if not trained.exists():
        paper = {"objective": name, "schedule": "paper"} | ({} if name == "madry" else _CHUNK)
        kept = {"machine": hardware(), "paper_step": measure_step(paper, 3)}
        write_atomically(trained, json.dumps(kept, default=str).encode())
    if not FLAGS.measure:
        return
    report = evaluation.evaluate(
        train(preset, Workdir(folder / "run"), data),  # already trained: read from its file
        data,
        protocol="rar",
        attack="quick",
        num_examples=FLAGS.num_examples,
        output=folder / "eval",
        model_info={"file": f"{folder.name}/run/model.keras", "preset": None},
    )
    row = {
        "objective": name,
        "seed": seed,
        "minutes": minutes,
        "preset": preset.to_flat(),
        **json.loads(trained.read_text()),
        "validation": read_metrics(folder / "run" / "metrics.csv"),
        "report": dataclasses.asdict(report),
    }
    write_atomically(root / f"{name}-{seed}.json", json.dumps(row, indent=1, default=str).encode())


def rows(root: pathlib.Path) -> list[dict]:
    """The rows so far, by objective and seed."""
    paths = [root / f"{name}-{seed}.json" for name in FLAGS.objectives for seed in FLAGS.seeds]
    return [json.loads(path.read_text()) for path in paths if path.exists()]


def draw(found: list[dict], path: pathlib.Path) -> None:
    """Validation accuracy against minutes, a panel an objective; the published values dashed."""
    figure = Figure(figsize=(4 * len(FLAGS.objectives), 3.4), layout="constrained")
    panels = figure.subplots(1, len(FLAGS.objectives), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, FLAGS.objectives, strict=True):
        published = [float(value) for value in PUBLISHED["rar", _DATASET, name][:2]]
        for row in found:
            if row["objective"] != name:
                continue
            steps = np.array([line["step"] for line in row["validation"]])
            minutes = row["minutes"] * steps / steps[-1]
            for key, colour in (("natural_accuracy", "#4477aa"), ("pgd_accuracy", "#cc6677")):
                values = [100 * line[key] for line in row["validation"]]
                panel.plot(minutes, values, color=colour, linewidth=1)
        for value, colour in zip(published, ("#4477aa", "#cc6677"), strict=True):
            panel.axhline(value, color=colour, linestyle="--", linewidth=0.8)
        panel.set_title(name)
        panel.set_xlabel("minutes, natural start spread over them")
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("validation accuracy (%): natural, PGD")
    figure.savefig(path, dpi=130)


def main(argv):
    """Runs what is missing, then prints the table."""
    del argv
    logging.set_verbosity(logging.INFO)
    root = pathlib.Path(FLAGS.root)
    root.mkdir(parents=True, exist_ok=True)
    if not FLAGS.table:
        data = datasets.load(_DATASET)
        for seed in map(int, FLAGS.seeds):
            for name in FLAGS.objectives:
                if not (root / f"{name}-{seed}.json").exists():
                    run(name, seed, data, root)
    found = rows(root)
    text = measurements.time_to_quality(found, FLAGS.objectives)
    print(text)
    if FLAGS.table:
        return
    given = f"--objectives={','.join(FLAGS.objectives)} --seeds={','.join(FLAGS.seeds)}"
    command = f"python -m benchmarks.time_to_quality {given}"
    (root / "table.md").write_text(f"`{command}`, {versions()}.\n\n{text}\n")
    draw(found, root / "curves.png")


if __name__ == "__main__":
    app.run(main)
