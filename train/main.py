"""Trains an attribution-robust classifier.

    python -m train.main --dataset=fashion_mnist --objective=ig_norm

Everything a run leaves lies in its workdir: preset.json, train.log, metrics.csv,
checkpoints/, tensorboard/, and at the end model.keras, a plain Keras classifier. Stop with
Ctrl-C and repeat the command to go on.
"""

import dataclasses
import json
import pathlib
import sys

from absl import app, flags, logging

from rar_tf import datasets
from rar_tf.models import ARCHITECTURES, INITIALIZERS, PRECISIONS
from rar_tf.naming import OWN, as_file_name
from rar_tf.objective import CATALOGUE
from rar_tf.training import (
    Divergence,
    Interrupted,
    Preset,
    Workdir,
    WorkdirError,
    resolve,
    train,
)
from rar_tf.training.estimate import estimate
from rar_tf.training.run import summary
from rar_tf.training.workdir import to_json

FLAGS = flags.FLAGS
DATASETS = ", ".join((*datasets.names(), *datasets.OWN))

flags.DEFINE_string("dataset", "fashion_mnist", f"One of {DATASETS}.")
flags.DEFINE_string("objective", "ig_norm", f"One of {', '.join(CATALOGUE)}{OWN}.")
flags.DEFINE_string("schedule", "fast", "fast: minutes. paper: the original's hyperparameters.")
flags.DEFINE_string("workdir", None, "Folder of the run; default runs/DATASET/OBJECTIVE.")
flags.DEFINE_string("data_dir", None, "Where tensorflow-datasets keeps prepared data.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_integer("seed", 0, "Of initial weights, data order and attack starts.")
flags.DEFINE_integer("keep_checkpoints", 2, "How many checkpoints to keep, the newest.")
flags.DEFINE_bool("export", False, "Also write a SavedModel to WORKDIR/export/1.")
flags.DEFINE_bool("dry_run", False, "Print the preset, estimated time and memory, and stop.")

# Overrides: None leaves the preset's value, so that 0 is respected.
flags.DEFINE_integer("max_steps", None, "Optimizer steps.")
flags.DEFINE_string("init_from", None, "scratch, natural (train it first) or a .keras file.")
flags.DEFINE_string(
    "model", None, "Your own classifier, a .keras file, trained on from its weights: short for "
    "--init_from=FILE."
)  # fmt: skip
flags.DEFINE_string("architecture", None, f"One of {', '.join(ARCHITECTURES)}{OWN}.")
flags.DEFINE_string("initializer", None, f"Of its weights: one of {', '.join(INITIALIZERS)}.")
flags.DEFINE_list("image_size", None, "HEIGHT,WIDTH to scale images to, or the side of a square.")
flags.DEFINE_integer("batch_size", None, "Global batch size.")
flags.DEFINE_integer("natural_steps", None, "Optimizer steps of the natural start.")
flags.DEFINE_string("optimizer", None, "adam or momentum.")
flags.DEFINE_float("learning_rate", None, "Its peak.")
flags.DEFINE_string("lr_schedule", None, "constant, warmup_cosine or piecewise.")
flags.DEFINE_integer("warmup_steps", None, "Of warmup_cosine.")
flags.DEFINE_list("lr_boundaries", None, "Steps at which piecewise changes.")
flags.DEFINE_list("lr_factors", None, "Factors of the learning rate, one more than boundaries.")
flags.DEFINE_float("adam_epsilon", None, "Epsilon of Adam.")
flags.DEFINE_float("weight_decay", None, "Factor of the L2 loss on kernels.")
flags.DEFINE_float("epsilon", None, "Radius of the threat, in pixel units (pixels in [0, 1]).")
flags.DEFINE_enum("norm", None, ["inf", "2"], "Norm of the threat.")
flags.DEFINE_integer("attack_steps", None, "Steps of the inner maximization.")
flags.DEFINE_float("attack_step_size", None, "Size of its steps, in pixel units.")
flags.DEFINE_float("weight", None, "lambda or beta of the objective.")
flags.DEFINE_integer("ig_steps", None, "m, the quadrature's intervals in the gradient step.")
flags.DEFINE_integer("attack_ig_steps", None, "m in the attack.")
flags.DEFINE_string("ig_rule", None, "left, right, midpoint, trapezoid or gauss_legendre.")
flags.DEFINE_integer("chunk", None, "Nodes in memory at once in the gradient step.")
flags.DEFINE_float("gamma", None, "Price of moving, of distributional.")
flags.DEFINE_float("q", None, "Power of the norm, of input_gradient.")
flags.DEFINE_string("layer", None, "Name of a layer, of layer_ig_norm.")
flags.DEFINE_string("attribution", None, "Map of far: integrated_gradients, input_gradient, ...")
flags.DEFINE_string("dissimilarity", None, "Of far: pearson, cosine or l1.")
flags.DEFINE_float("softplus_beta", None, "Sharpness of second derivatives in FAR's attacks.")
flags.DEFINE_string("base", None, "clean or adversarial, of align.")
flags.DEFINE_multi_string("options", None, "NAME=VALUE, a further setting of your own objective.")
flags.DEFINE_enum("precision", None, PRECISIONS, "Of the computation; weights stay float32.")
flags.DEFINE_float("ema", None, "Momentum of the average of the weights that is saved.")
flags.DEFINE_integer("validate_every", None, "Steps between validations.")
flags.DEFINE_integer("checkpoint_every", None, "Steps between checkpoints.")

_NAMED = ("dataset", "objective", "schedule", "seed", "options")


def preset_from_flags() -> Preset:
    """The preset that the flags ask for."""
    overrides = {
        field.name: FLAGS[field.name].value
        for field in dataclasses.fields(Preset)
        if field.name not in _NAMED
    } | {"options": _options(FLAGS.options)}
    for name, kind in (
        ("norm", _norm),
        ("lr_boundaries", _numbers(int)),
        ("lr_factors", _numbers(float)),
        ("image_size", _numbers(int)),
    ):
        if overrides[name] is not None:
            overrides[name] = kind(name, overrides[name])
    if FLAGS.model is not None:
        overrides["init_from"] = _own_model()
    return resolve(FLAGS.dataset, FLAGS.objective, FLAGS.schedule, seed=FLAGS.seed, **overrides)


def _options(texts):
    """NAME=VALUE as a dict; values as JSON where they are, else as text."""
    options = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"options must be NAME=VALUE. Received: --options={text}")
        try:
            options[name] = json.loads(value)
        except json.JSONDecodeError:
            options[name] = value
    return options or None


def _norm(name, text):
    return 2 if text == "2" else text


def _numbers(kind):
    def parse(name, words):
        try:
            return tuple(kind(word) for word in words)
        except ValueError as error:
            raise ValueError(
                f"--{name} must be numbers with commas between. Received: {','.join(words)}"
            ) from error

    return parse


def _own_model():
    if FLAGS.init_from is not None:
        raise ValueError(
            "--model=FILE says --init_from=FILE: give one of them. "
            f"Received: --model={FLAGS.model} and --init_from={FLAGS.init_from}"
        )
    if not FLAGS.model.endswith(".keras"):
        raise ValueError(f"--model must be a .keras file. Received: --model={FLAGS.model}")
    return FLAGS.model


def run() -> None:
    """One library call between reading flags and saying where everything is."""
    preset = preset_from_flags()
    print(to_json(preset), end="", flush=True)
    data = datasets.load(
        preset.dataset,
        data_dir=FLAGS.data_dir,
        manual_dir=FLAGS.manual_dir,
        image_size=preset.image_size,
        seed=preset.seed,
    )
    if FLAGS.dry_run:
        print(estimate(preset, data))
        return
    default = pathlib.Path("runs", as_file_name(preset.dataset), as_file_name(preset.objective))
    workdir = Workdir(pathlib.Path(FLAGS.workdir) if FLAGS.workdir else default)
    classifier = train(preset, workdir, data, keep_checkpoints=FLAGS.keep_checkpoints)
    if FLAGS.export:
        from rar_tf.serving import Provenance, export

        export(classifier, workdir.export, provenance=Provenance.of(workdir.model))
    for when, row in summary(workdir).items():
        print(f"{when:>6}: " + ", ".join(f"{name} {value:.6g}" for name, value in row.items()))
    print(f"model: {workdir.model}")


def main(argv):
    """Exit status 0 only on success; 128 + signal where the run was asked to stop."""
    if len(argv) > 1:
        raise app.UsageError(f"expected flags only. Received: {' '.join(argv[1:])}")
    logging.set_verbosity(logging.INFO)
    try:
        run()
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(128 + stopped.signum)
    except KeyboardInterrupt:  # outside the steps, or for the second time
        print("stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
    except (ValueError, WorkdirError, Divergence, OSError) as error:
        logging.debug("details", exc_info=True)
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    app.run(main)
