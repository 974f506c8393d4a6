"""Measures how far a classifier's explanations can be pushed.

    python -m eval.main --workdir=runs/fashion_mnist/ig_norm --num_examples=500
    python -m eval.main --model=mine.keras --dataset=folder:PHOTOS --k=100 --epsilon=0.03
    python -m eval.main --zoo=fashion_mnist/ig_norm --attack=strongest

What it leaves lies in --output: report.json, examples.csv (a row an image, as they come) and
pictures/. Stop with Ctrl-C and repeat the command to go on; `python -m eval.report` makes a page
of it.
"""

import pathlib
import shlex

from absl import flags

from rar_tf import evaluation, reporting
from rar_tf.cli import evaluated_model as subject
from rar_tf.cli.command import FLAGS, say, start, topic
from rar_tf.naming import as_file_name

topic("How much, and where to")
flags.DEFINE_integer("num_examples", 500, "Images whose maps are attacked, from the first.")
flags.DEFINE_integer("accuracy_examples", None, "Of natural and PGD accuracy; default all; 0 none.")
flags.DEFINE_bool("strong_pgd", True, "Also PGD with 100 steps and 5 restarts, on num_examples.")
flags.DEFINE_integer("batch_size", 32, "Images at once; rows are written batch by batch.")
flags.DEFINE_integer("num_pictures", 24, "Of how many attacked images to keep pictures.")
flags.DEFINE_string(
    "output",
    None,
    "Folder; default WORKDIR/eval/PROTOCOL-ATTACK,"
    " for the zoo's runs/zoo/ENTRY/eval/PROTOCOL-ATTACK.",
)


def run() -> str:
    """One library call between reading flags and saying what was found."""
    model, data, protocol = subject.load()
    name = as_file_name(f"{FLAGS.protocol}-{FLAGS.attack}")
    output = pathlib.Path(FLAGS.output or model.folder / "eval" / name)
    report = evaluation.evaluate(
        model.classifier,
        data,
        protocol=protocol,
        attack=FLAGS.attack,
        split=FLAGS.split,
        num_examples=FLAGS.num_examples,
        accuracy_examples=FLAGS.accuracy_examples,
        strong_pgd=FLAGS.strong_pgd,
        outputs=FLAGS.outputs,
        output=output,
        batch_size=FLAGS.batch_size,
        nodes_per_pass=FLAGS.nodes_per_pass,
        seed=FLAGS.seed,
        num_pictures=FLAGS.num_pictures,
        model_info={"file": model.file, "preset": model.preset or None},
    )
    say(reporting.summary(report))
    found = output / "report.json"
    return f"report: {found}; next: python -m eval.report --results={shlex.quote(str(found))}"


def main() -> None:
    """Run the command line."""
    start(run, __doc__)
