"""Measures the accuracy and attribution robustness of a classifier.

    python -m eval.main --workdir=runs/fashion_mnist/ig_norm --num_examples=500
    python -m eval.main --model=mine.keras --dataset=folder:PHOTOS --k=100 --epsilon=0.03
    python -m eval.main --zoo=fashion_mnist/ig_norm --attack=original

Results lie in --output: report.json, examples.csv (a row for each image, batch by batch) and
pictures/. Stop with Ctrl-C and repeat the command to continue; `python -m eval.report` makes a page
of the results.
"""

import pathlib
import shlex

from absl import flags

from rar_tf import evaluation, reporting
from rar_tf.cli import evaluated_model
from rar_tf.cli.command import FLAGS, flag_topic, print_unless_quiet, start
from rar_tf.cli.settings import define_size, size
from rar_tf.naming import as_file_name

flag_topic("Number of images, and output")
flags.DEFINE_integer("num_examples", 500, "Number of images whose maps are attacked.")
flags.DEFINE_integer(
    "accuracy_examples",
    None,
    "Number of images of natural and PGD accuracy. Default: all; 0: none.",
)
flags.DEFINE_bool(
    "strong_pgd",
    True,
    "Also run the strong attack on predictions, on num_examples: PGD on cross entropy and margins,"
    " then the Square Attack, which needs no gradient.",
)
define_size(
    "batch_size",
    "Number of images in a batch, or auto: 32, or as many as the free memory holds; rows are "
    "written batch by batch.",
)
flags.DEFINE_integer("num_pictures", 24, "Number of attacked images to keep pictures of.")
flags.DEFINE_string(
    "output",
    None,
    "Folder of the results. Default: WORKDIR/eval/PROTOCOL-ATTACK,"
    " for the zoo's runs/zoo/ENTRY/eval/PROTOCOL-ATTACK.",
)


def run() -> str:
    """Evaluate the model that the flags name, and print a summary."""
    model, data, protocol = evaluated_model.load()
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
        **model.convention,
        output=output,
        batch_size=size("batch_size"),
        nodes_per_pass=size("nodes_per_pass"),
        precision=FLAGS.precision,
        seed=FLAGS.seed,
        num_pictures=FLAGS.num_pictures,
        model_info=model.info,
    )
    print_unless_quiet(reporting.summary(report))
    path = output / "report.json"
    return f"report: {path}; next: python -m eval.report --results={shlex.quote(str(path))}"


def main() -> None:
    """Run the command line."""
    start(run, __doc__)
