"""Measures how far a classifier's explanations can be pushed.

    python -m eval.main --workdir=runs/fashion_mnist/ig_norm --num_examples=500
    python -m eval.main --model=mine.keras --dataset=folder:PHOTOS --k=100 --epsilon=0.03

What it leaves lies in --output: report.json, examples.csv (a row an image, as they come) and
pictures/. Stop with Ctrl-C and repeat the command to go on; `python -m eval.report` makes a page
of it.
"""

import json
import pathlib
import sys

from absl import app, flags, logging

from rar_tf import datasets, evaluation, models
from rar_tf.attack import ATTRIBUTIONS, LabelMap
from rar_tf.naming import as_file_name

FLAGS = flags.FLAGS

flags.DEFINE_string("workdir", None, "Folder of a training run; its model.keras is measured.")
flags.DEFINE_string("model", None, "A .keras file, instead of --workdir.")
flags.DEFINE_enum("outputs", "auto", models.OUTPUTS, "What the model puts out.")
flags.DEFINE_string(
    "dataset",
    None,
    f"One of {', '.join((*datasets.names(), *datasets.OWN))}. "
    "Default: what the workdir was trained on.",
)
flags.DEFINE_string("data_dir", None, "Where tensorflow-datasets keeps prepared data.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_list(
    "image_size", None, "HEIGHT,WIDTH to scale images to, or the side of a square. Default: what "
    "the workdir was trained on."
)  # fmt: skip
flags.DEFINE_enum("split", "test", ["train", "validation", "test"], "Which images.")
flags.DEFINE_integer("num_examples", 500, "Images whose maps are attacked, from the first.")
flags.DEFINE_integer("accuracy_examples", None, "Of natural and PGD accuracy; default all; 0 none.")
flags.DEFINE_bool("strong_pgd", True, "Also PGD with 100 steps and 5 restarts, on num_examples.")
flags.DEFINE_enum("protocol", "rar", evaluation.PROTOCOLS, "Whose measurement.")
flags.DEFINE_string(
    "attack",
    "default",
    "original: as the paper; default: cheaper, provisional; strongest: a portfolio; or "
    "MODULE:FUNCTION of your own, from a protocol to a tuple of rar_tf.attack.Ifia.",
)
flags.DEFINE_enum("norm", "inf", ["inf", "2"], "Norm of the threat.")
flags.DEFINE_float("epsilon", None, "Radius in pixel units ([0, 1]); default the protocol's.")
flags.DEFINE_integer("k", None, "Of the top-k intersection; default the protocol's.")
flags.DEFINE_enum("attribution", None, ATTRIBUTIONS, "What is attacked; default the protocol's.")
flags.DEFINE_integer("ig_steps", None, "Nodes or samples of the map; default the protocol's.")
flags.DEFINE_integer("batch_size", 32, "Images at once; rows are written batch by batch.")
flags.DEFINE_integer("chunk", 10, "Nodes of a map at once; memory grows with batch_size * chunk.")
flags.DEFINE_integer("seed", 0, "Of random starts.")
flags.DEFINE_integer("num_pictures", 24, "Of how many attacked images to keep pictures.")
flags.DEFINE_string("output", None, "Folder; default WORKDIR/eval/PROTOCOL-ATTACK.")


def model_and_preset() -> tuple[pathlib.Path, dict]:
    """The file to measure and the preset beside it, if a training run left one there."""
    if (FLAGS.workdir is None) == (FLAGS.model is None):
        raise ValueError(
            "one of --workdir and --model must be given. "
            f"Received: --workdir={FLAGS.workdir}, --model={FLAGS.model}"
        )
    path = pathlib.Path(FLAGS.model or pathlib.Path(FLAGS.workdir) / "model.keras")
    preset = path.parent / "preset.json"
    return path, json.loads(preset.read_text()) if preset.exists() else {}


def _image_size() -> list[int] | None:
    words = FLAGS.image_size
    if words is not None and not all(word.strip().isdigit() for word in words):
        raise ValueError(
            f"--image_size must be numbers with commas between. Received: {','.join(words)}"
        )
    return words and [int(word) for word in words]


def run() -> evaluation.Report:
    """One library call between reading flags and saying what was found."""
    path, preset = model_and_preset()
    name = FLAGS.dataset or preset.get("dataset")
    if name is None:
        raise ValueError(
            "--dataset must be given with a model without preset.json. Received: --dataset=None"
        )
    output = FLAGS.output or str(
        path.parent / "eval" / as_file_name(f"{FLAGS.protocol}-{FLAGS.attack}")
    )
    classifier = models.load_classifier(path)
    data = datasets.load(
        name,
        data_dir=FLAGS.data_dir,
        manual_dir=FLAGS.manual_dir,
        image_size=_image_size() or preset.get("image_size"),
        seed=preset.get("seed", 0),
    )
    label_map = None
    if FLAGS.attribution or FLAGS.ig_steps:
        label_map = LabelMap(FLAGS.attribution or ATTRIBUTIONS[0], FLAGS.ig_steps or 100)
    report = evaluation.evaluate(
        classifier,
        data,
        protocol=evaluation.protocol(
            FLAGS.protocol,
            name,
            data.image_shape,
            norm=2 if FLAGS.norm == "2" else "inf",
            epsilon=FLAGS.epsilon,
            k=FLAGS.k,
            label_map=label_map,
        ),
        attack=FLAGS.attack,
        split=FLAGS.split,
        num_examples=FLAGS.num_examples,
        accuracy_examples=FLAGS.accuracy_examples,
        strong_pgd=FLAGS.strong_pgd,
        outputs=FLAGS.outputs,
        output=output,
        batch_size=FLAGS.batch_size,
        chunk=FLAGS.chunk,
        seed=FLAGS.seed,
        num_pictures=FLAGS.num_pictures,
        model_info={"file": str(path), "preset": preset or None},
    )
    print(evaluation.summary(report))
    print(f"report: {pathlib.Path(output) / 'report.json'}")
    return report


def main(argv):
    """Exit status 0 only on success."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.INFO)
    try:
        run()
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except (ValueError, OSError) as error:
        logging.debug("details", exc_info=True)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
