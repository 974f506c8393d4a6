"""Trains an attribution-robust classifier.

    python -m train.main --dataset=fashion_mnist --objective=ig_norm

A run writes to its workdir: preset.json, train.log, metrics.csv, checkpoints/, tensorboard/,
and at the end model.keras, a plain Keras classifier. Stop with Ctrl-C and repeat the command to
resume.
"""

import dataclasses
import pathlib
import shlex

import keras
from absl import flags

from rar_tf import datasets
from rar_tf.cli.command import (
    FLAGS,
    CommandStopped,
    flag_topic,
    print_unless_quiet,
    quiet_tensorflow,
    start,
)
from rar_tf.cli.preset_flags import define_names, define_settings, preset_from_flags
from rar_tf.naming import as_file_name
from rar_tf.presets import Preset
from rar_tf.runs import Divergence, Interrupted, Workdir, WorkdirError, train
from rar_tf.runs.estimate import estimate
from rar_tf.runs.outcome import below_chance, summary
from rar_tf.training import DISTRIBUTIONS, WorkerLost, distribute, make_deterministic

define_names()
flag_topic("Files")
flags.DEFINE_string("workdir", None, "Folder of the run. Default: runs/DATASET/OBJECTIVE.")
flags.DEFINE_string("data_dir", None, "Folder where tensorflow-datasets keeps prepared data.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_bool("export", False, "Also export a SavedModel to WORKDIR/export/1.")

define_settings()
flags.DEFINE_integer("keep_checkpoints", 2, "Number of newest checkpoints to keep.")

flag_topic("Execution")
flags.DEFINE_bool(
    "dry_run", False, "Print the preset and estimated time and memory, without training."
)
flags.DEFINE_string(
    "distribute",
    "auto",
    f"Devices of the training: {', '.join(DISTRIBUTIONS)}; see docs/scaling.md.",
)
flags.DEFINE_bool(
    "deterministic", False, "Use deterministic kernels: the same bits on every run, but slower."
)


def run() -> str:
    """Trains the preset that the flags name; returns the closing line."""
    preset = preset_from_flags()
    if FLAGS.deterministic:
        make_deterministic(preset.seed)
    # Before TensorFlow runs an op, which would fix the set of devices.
    distribution = distribute("none" if FLAGS.dry_run else FLAGS.distribute)
    print_unless_quiet(preset.to_json().rstrip())
    data = _load(preset)
    if FLAGS.dry_run:
        return f"{estimate(preset, data)}; next: the same command without --dry_run"
    default = pathlib.Path(
        "runs", as_file_name(preset.data.name), as_file_name(preset.objective.name)
    )
    workdir = Workdir(pathlib.Path(FLAGS.workdir or default))
    try:
        classifier = train(
            preset,
            workdir,
            data,
            keep_checkpoints=FLAGS.keep_checkpoints,
            distribution=distribution,
        )
    except Interrupted as error:
        raise CommandStopped(str(error), 128 + error.signum) from error
    if distribution.worker:
        return f"worker {distribution.worker}: done; worker 0 has written {workdir.model}"
    if FLAGS.export:
        _export(classifier, workdir, preset)
    rows = summary(workdir)
    for name, row in rows.items():
        metrics = ", ".join(f"{metric} {value:.6g}" for metric, value in row.items())
        print_unless_quiet(f"{name:>6}: {metrics}")
    place = shlex.quote(str(workdir.root))
    chance = below_chance(rows.get("end", {}))
    warning = f" warning: {chance};" if chance else ""
    return f"model: {workdir.model};{warning} next: python -m eval.main --workdir={place}"


def _load(preset: Preset) -> datasets.ImageData:
    if FLAGS.data_dir is not None and not pathlib.Path(FLAGS.data_dir).expanduser().is_dir():
        raise ValueError(f"--data_dir must be a folder. Received: --data_dir={FLAGS.data_dir}")
    return datasets.load(
        preset.data.name,
        data_dir=FLAGS.data_dir,
        manual_dir=FLAGS.manual_dir,
        image_size=preset.data.image_size,
        **preset.data.for_custom_data,
        seed=preset.seed,
    )


def _export(classifier: keras.Model, workdir: Workdir, preset: Preset) -> None:
    from rar_tf.serving import Provenance, export  # Only where it is needed: it loads slowly.

    quiet_tensorflow()
    folder = export(
        classifier,
        workdir.export,
        **dataclasses.asdict(preset.model.convention),
        provenance=Provenance.of(workdir.model),
    )
    print_unless_quiet(f"export: {folder}")


def main() -> None:
    """Run the command line."""
    start(run, __doc__, failures=(WorkdirError, WorkerLost, Divergence))
