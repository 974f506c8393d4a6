"""Trains an attribution-robust classifier.

    python -m train.main --dataset=fashion_mnist --objective=ig_norm

Everything a run leaves lies in its workdir: preset.json, train.log, metrics.csv,
checkpoints/, tensorboard/, and at the end model.keras, a plain Keras classifier. Stop with
Ctrl-C and repeat the command to go on.
"""

import pathlib

from absl import flags

from rar_tf import datasets
from rar_tf.cli.command import FLAGS, Stop, hush, say, start, topic
from rar_tf.cli.preset_flags import define_names, define_settings, preset_from_flags
from rar_tf.naming import as_file_name
from rar_tf.runs import Divergence, Interrupted, Workdir, WorkdirError, train
from rar_tf.runs.estimate import estimate
from rar_tf.runs.run import summary
from rar_tf.training import DISTRIBUTIONS, WorkerLost, distribute, make_deterministic

define_names()
topic("Where things are")
flags.DEFINE_string("workdir", None, "Folder of the run; default runs/DATASET/OBJECTIVE.")
flags.DEFINE_string("data_dir", None, "Folder where tensorflow-datasets keeps prepared data.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_bool("export", False, "Also write a SavedModel to WORKDIR/export/1.")

define_settings()
flags.DEFINE_integer("keep_checkpoints", 2, "How many checkpoints to keep, the newest.")

topic("How to run")
flags.DEFINE_bool("dry_run", False, "Print the preset, estimated time and memory, and stop.")
flags.DEFINE_string(
    "distribute", "auto", f"Devices to train on: {', '.join(DISTRIBUTIONS)}; see docs/scaling.md."
)
flags.DEFINE_bool(
    "deterministic", False, "Use deterministic kernels: the same bits on every run, but slower."
)


def run() -> str:
    """One library call between reading flags and saying where everything is."""
    preset = preset_from_flags()
    if FLAGS.deterministic:
        make_deterministic(preset.seed)
    # Before TensorFlow does anything: the devices of other machines are not found later.
    distribution = distribute("none" if FLAGS.dry_run else FLAGS.distribute)
    say(preset.to_json().rstrip())
    data = datasets.load(
        preset.data.name,
        data_dir=FLAGS.data_dir,
        manual_dir=FLAGS.manual_dir,
        image_size=preset.data.image_size,
        seed=preset.seed,
    )
    if FLAGS.dry_run:
        return f"{estimate(preset, data)}; next: the same command without --dry_run"
    default = pathlib.Path(
        "runs", as_file_name(preset.data.name), as_file_name(preset.objective.name)
    )
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


def main() -> None:
    """Run the command line."""
    start(run, __doc__, failures=(WorkdirError, WorkerLost, Divergence))
