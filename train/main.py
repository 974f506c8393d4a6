"""Trains an attribution-robust classifier.

    python -m train.main --dataset=fashion_mnist --objective=ig_norm

Everything a run leaves lies in its workdir: preset.json, train.log, metrics.csv,
checkpoints/, tensorboard/, and at the end model.keras, a plain Keras classifier. Stop with
Ctrl-C and repeat the command to go on.
"""

import dataclasses
import pathlib

from absl import flags

from cli.command import FLAGS, Stop, hush, numbers, say, start, topic
from cli.settings import settings
from rar_tf import datasets
from rar_tf.attack import DECAYS
from rar_tf.models import ARCHITECTURES, INITIALIZERS, PRECISIONS
from rar_tf.naming import OWN, as_file_name
from rar_tf.objective import CATALOGUE
from rar_tf.training import (
    DISTRIBUTIONS,
    Divergence,
    Interrupted,
    Preset,
    Workdir,
    WorkdirError,
    WorkerLost,
    distribute,
    make_deterministic,
    resolve,
    train,
)
from rar_tf.training.estimate import estimate
from rar_tf.training.run import summary
from rar_tf.training.workdir import to_json

DATASETS = ", ".join((*datasets.names(), *datasets.OWN))

# None leaves the preset's value, so that 0 is respected.
topic("What to train")
flags.DEFINE_string("dataset", "fashion_mnist", f"One of {DATASETS}.")
flags.DEFINE_string("objective", "ig_norm", f"One of {', '.join(CATALOGUE)}{OWN}.")
flags.DEFINE_string("schedule", "fast", "fast: minutes. paper: the original's hyperparameters.")
flags.DEFINE_string("architecture", None, f"One of {', '.join(ARCHITECTURES)}{OWN}.")
flags.DEFINE_string("initializer", None, f"Of its weights: {', '.join(INITIALIZERS)}, own.")
flags.DEFINE_float("init_scale", None, "Factor of the initial kernels.")
flags.DEFINE_float("first_init_scale", None, "Factor of the first one, if another.")
flags.DEFINE_string("init_from", None, "scratch, natural (train it first) or a .keras file.")
flags.DEFINE_string(
    "model", None, "Your own classifier, a .keras file, trained on from its weights: short for "
    "--init_from=FILE."
)  # fmt: skip
flags.DEFINE_list("image_size", None, "HEIGHT,WIDTH to scale images to, or the side of a square.")
flags.DEFINE_integer("seed", 0, "Of initial weights, data order and attack starts.")
flags.DEFINE_integer("max_steps", None, "Optimizer steps.")
flags.DEFINE_bool("dry_run", False, "Print the preset, estimated time and memory, and stop.")

topic("Where things are")
flags.DEFINE_string("workdir", None, "Folder of the run; default runs/DATASET/OBJECTIVE.")
flags.DEFINE_string("data_dir", None, "Where tensorflow-datasets keeps prepared data.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_bool("export", False, "Also write a SavedModel to WORKDIR/export/1.")

topic("The objective's settings")
flags.DEFINE_float("weight", None, "lambda or beta of the objective.")
flags.DEFINE_integer("ig_steps", None, "m, the quadrature's intervals in the gradient step.")
flags.DEFINE_integer("attack_ig_steps", None, "m in the attack; 0: it ascends the loss.")
flags.DEFINE_string("ig_rule", None, "left, right, midpoint, trapezoid or gauss_legendre.")
flags.DEFINE_bool("completeness", None, "Take the sum of the attribution as it is.")
flags.DEFINE_integer("chunk", None, "Nodes in memory at once in the gradient step.")
flags.DEFINE_float("gamma", None, "Price of moving, of distributional.")
flags.DEFINE_float("q", None, "Power of the norm, of input_gradient.")
flags.DEFINE_string("layer", None, "Name of a layer, of layer_ig_norm.")
flags.DEFINE_string("attribution", None, "Map of far: integrated_gradients, input_gradient, ...")
flags.DEFINE_string("dissimilarity", None, "Of far: pearson, cosine or l1.")
flags.DEFINE_float("softplus_beta", None, "Sharpness of second derivatives in FAR's attacks.")
flags.DEFINE_string("base", None, "clean or adversarial, of align.")
flags.DEFINE_multi_string("options", None, "NAME=VALUE, a further setting of your own objective.")

topic("The attack in training")
flags.DEFINE_float("epsilon", None, "Radius of the threat, in pixel units (pixels in [0, 1]).")
flags.DEFINE_enum("norm", None, ["inf", "2"], "Norm of the threat.")
flags.DEFINE_integer("attack_steps", None, "Steps of the inner maximization.")
flags.DEFINE_float("attack_step_size", None, "Size of its steps, in pixel units.")
flags.DEFINE_enum("attack_decay", None, DECAYS, "Whether they shrink, from that to 0.")

topic("Optimization")
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
flags.DEFINE_enum("precision", None, PRECISIONS, "Of the computation; weights stay float32.")
flags.DEFINE_float("ema", None, "Momentum of the average of the weights that is saved.")

topic("Validation and checkpoints")
flags.DEFINE_integer("validate_every", None, "Steps between validations.")
flags.DEFINE_integer("checkpoint_every", None, "Steps between checkpoints.")
flags.DEFINE_integer("keep_checkpoints", 2, "How many checkpoints to keep, the newest.")

topic("Devices")
flags.DEFINE_string("distribute", "auto", f"One of {', '.join(DISTRIBUTIONS)}; docs/scaling.md.")
flags.DEFINE_bool("deterministic", False, "The same bits on every run, on GPUs too; slower.")

_NAMED = ("dataset", "objective", "schedule", "seed", "options")


def preset_from_flags() -> Preset:
    """The preset that the flags ask for."""
    overrides = {
        field.name: FLAGS[field.name].value
        for field in dataclasses.fields(Preset)
        if field.name not in _NAMED
    } | {"options": settings("--options", FLAGS.options or ()) or None}
    overrides["norm"] = {None: None, "inf": "inf", "2": 2}[FLAGS.norm]
    for name, kind in (("lr_boundaries", int), ("lr_factors", float), ("image_size", int)):
        if overrides[name] is not None:
            overrides[name] = numbers(kind, name, overrides[name])
    if FLAGS.model is not None:
        overrides["init_from"] = _own_model()
    return resolve(FLAGS.dataset, FLAGS.objective, FLAGS.schedule, seed=FLAGS.seed, **overrides)


def _own_model():
    if FLAGS.init_from is not None:
        raise ValueError(
            "--model=FILE says --init_from=FILE: give one of them. "
            f"Received: --model={FLAGS.model} and --init_from={FLAGS.init_from}"
        )
    if not FLAGS.model.endswith(".keras"):
        raise ValueError(f"--model must be a .keras file. Received: --model={FLAGS.model}")
    return FLAGS.model


def run() -> str:
    """One library call between reading flags and saying where everything is."""
    preset = preset_from_flags()
    if FLAGS.deterministic:
        make_deterministic(preset.seed)
    # Before TensorFlow does anything: the devices of other machines are not found later.
    distribution = distribute("none" if FLAGS.dry_run else FLAGS.distribute)
    say(to_json(preset).rstrip())
    data = datasets.load(
        preset.dataset,
        data_dir=FLAGS.data_dir,
        manual_dir=FLAGS.manual_dir,
        image_size=preset.image_size,
        seed=preset.seed,
    )
    if FLAGS.dry_run:
        return f"{estimate(preset, data)}; next: the same command without --dry_run"
    default = pathlib.Path("runs", as_file_name(preset.dataset), as_file_name(preset.objective))
    workdir = Workdir(pathlib.Path(FLAGS.workdir) if FLAGS.workdir else default)
    try:
        classifier = train(
            preset,
            workdir,
            data,
            keep_checkpoints=FLAGS.keep_checkpoints,
            distribution=distribution,
        )
    except Interrupted as stopped:
        raise Stop(str(stopped), 128 + stopped.signum) from stopped
    if distribution.worker:
        return f"worker {distribution.worker}: done; worker 0 has written {workdir.model}"
    if FLAGS.export:
        from rar_tf.serving import Provenance, export

        hush()
        say(
            f"export: {export(classifier, workdir.export, provenance=Provenance.of(workdir.model))}"
        )
    for when, row in summary(workdir).items():
        say(f"{when:>6}: " + ", ".join(f"{name} {value:.6g}" for name, value in row.items()))
    return f"model: {workdir.model}; next: python -m eval.main --workdir={workdir.root}"


if __name__ == "__main__":
    start(run, failures=(WorkdirError, WorkerLost, Divergence))
