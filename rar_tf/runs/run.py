"""One run: a preset, a folder and a data set -> a trained classifier; resumable at any moment."""

import dataclasses
import json
import os
import pathlib

import keras
import numpy as np
from absl import logging

from rar_tf.checks import check_count
from rar_tf.datasets import ImageData, Split, ordered_batches
from rar_tf.models import load_classifier
from rar_tf.naming import is_custom
from rar_tf.presets import Preset, build, differences, natural_start
from rar_tf.runs import checkpoints
from rar_tf.runs.callbacks import (
    Checkpoints,
    GuardFinite,
    Progress,
    Validate,
    read_metrics,
)
from rar_tf.runs.check_objective import try_objective
from rar_tf.runs.interrupts import Interrupted, StopRequest
from rar_tf.runs.workdir import Workdir
from rar_tf.training.distribution import Distribution
from rar_tf.training.loop import run_steps
from rar_tf.training.robust_model import RobustModel
from rar_tf.training.validation import Validator

NUM_VALIDATION_IMAGES = 512
_VALIDATION_BATCH = 128


def train(
    preset: Preset,
    workdir: Workdir,
    data: ImageData,
    *,
    keep_checkpoints: int = 2,
    distribution: Distribution | None = None,
) -> keras.Model:
    """Trains, or goes on training, until `preset.optimizer.max_steps`; then writes model.keras.

    The batch and the random starts of a step are functions of (seed, step) alone, so that
    a run killed at any moment ends, after the same call, with the weights of one that was
    not (bit for bit on the same CPU and thread count). Nor do they depend on the number of
    devices; with several workers, all make this call, and the chief alone uses `workdir`.

    Args:
      preset: all settings.
      workdir: the run's folder.
      data: a data set with training and validation images.
      keep_checkpoints: how many to keep, the newest; with one, a damaged file has none before it.
      distribution: of `distribute`; None for the current strategy of TensorFlow.

    Returns:
      The classifier, images [B, H, W, C] in [0, 1] -> logits.

    Raises:
      WorkdirError: the folder holds another preset, is in use or cannot be written.
      Interrupted: Ctrl-C or SIGTERM; all is saved.
      Divergence: a non-finite loss or gradient.
      WorkerLost: another worker is gone.
      ValueError: settings that do not fit the data or the devices.
    """
    check_count("keep_checkpoints", keep_checkpoints)
    distribution = distribution or Distribution()
    with (
        distribution.detect_lost_workers(),
        distribution.worker_folder(workdir.root, workdir.state()) as folder,
        distribution.strategy.scope(),
    ):
        _check_same_preset(preset, distribution)
        return _Run(data, keep_checkpoints, distribution).train(preset, Workdir(folder))


@dataclasses.dataclass(frozen=True)
class _Run:
    """What the natural start shares with the run it is for."""

    data: ImageData
    keep_checkpoints: int
    distribution: Distribution

    def train(self, preset: Preset, workdir: Workdir) -> keras.Model:
        data = self.data
        build.check_data(preset, data)
        self.distribution.check_batch_size(preset.optimizer.batch_size)
        # Validate every setting before writing a file.
        objective, attack = preset.objective.build(), preset.build_attack()
        if is_custom(preset.objective.name):
            try_objective(preset, objective, attack, data)
        model = None
        if not workdir.model.exists():
            classifier = build.classifier(preset, data.num_classes, data.image_shape)
            model = build.robust_model(preset, classifier)
        with workdir.locked(), workdir.writing():
            workdir.claim(preset)
            with workdir.logging():
                logging.info("%s: data from %s", preset.objective.name, data.source)
                if model is None:
                    logging.info("%s: already trained, %s", preset.objective.name, workdir.model)
                    return load_classifier(workdir.model)
                if preset.model.init_from == "natural":
                    natural = self.train(self.natural_start(preset), workdir.natural)
                    model.classifier.set_weights(natural.get_weights())
                model.optimizer.build(model.trainable_variables)
                self.fit(model, preset, workdir)
                model.optimizer.finalize_variable_values(model.trainable_variables)
                save_classifier(model.classifier, workdir.model)
                return model.classifier

    def natural_start(self, preset: Preset) -> Preset:
        """In batches of the preset's own size where there are fewer images than it would take."""
        natural = natural_start(preset)
        if natural.optimizer.batch_size > len(self.data.require("train")):
            return natural.replace(batch_size=preset.optimizer.batch_size)
        return natural

    def fit(self, model: RobustModel, preset: Preset, workdir: Workdir) -> None:
        """From the latest checkpoint to `preset.optimizer.max_steps`."""
        first_step = checkpoints.restore_latest(workdir.checkpoints, model)
        if first_step:
            logging.info("%s: resuming at step %d", preset.objective.name, first_step)
        steps = preset.optimizer.max_steps - first_step
        if steps <= 0:
            return
        batches = self.distribution.training_batches(
            self.data.require("train"),
            batch_size=preset.optimizer.batch_size,
            seed=preset.seed,
            first_step=first_step,
            steps=steps,
        )
        with StopRequest(self.distribution.any_worker) as stop:
            progress = Progress(
                preset.objective.name,
                first_step,
                preset.optimizer.max_steps,
                preset.optimizer.batch_size,
            )
            callbacks = [
                GuardFinite(workdir.checkpoints),
                _validate(model, preset, workdir, self.data, first_step),
                Checkpoints(
                    workdir.checkpoints,
                    preset.validation.checkpoint_every,
                    preset.optimizer.max_steps,
                    stop,
                    keep=self.keep_checkpoints,
                ),
                progress,
            ]
            try:
                run_steps(model, batches, steps, callbacks)
            finally:
                progress.close()
            reached = checkpoints.step(model)
            if stop.signum is not None and reached < preset.optimizer.max_steps:
                where = "by worker 0" if self.distribution.worker else f"in {workdir.root}"
                raise Interrupted(
                    stop.signum,
                    f"stopped at step {reached} of {preset.optimizer.max_steps}, all saved "
                    f"{where}; the same command goes on from there",
                )


def save_classifier(classifier: keras.Model, path: pathlib.Path) -> None:
    """Writes a `.keras` file that is either whole or not there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp.keras")
    try:
        classifier.save(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def summary(workdir: Workdir) -> dict[str, dict]:
    """First and last row of the run's validations."""
    rows = read_metrics(workdir.metrics)
    return {"start": rows[0], "end": rows[-1]} if rows else {}


def _validate(
    model: RobustModel, preset: Preset, workdir: Workdir, data: ImageData, first_step: int
) -> Validate:
    validation = data.require("validation")
    subset = Split(*validation.read(np.arange(min(NUM_VALIDATION_IMAGES, len(validation)))))
    return Validate(
        Validator(model.classifier, build.ball(preset)),
        ordered_batches(subset, _VALIDATION_BATCH),
        every=preset.validation.validate_every,
        first_step=first_step,
        max_steps=preset.optimizer.max_steps,
        metrics=workdir.metrics,
        tensorboard=workdir.tensorboard,
    )


def _check_same_preset(preset: Preset, distribution: Distribution) -> None:
    mine = preset.to_json()
    chief = distribution.broadcast(mine.encode()).decode()
    if chief != mine:
        differing = differences(json.loads(chief), json.loads(mine))
        raise ValueError(
            "all workers must be started with the same settings. Received, at worker 0 -> at "
            f"worker {distribution.worker}:\n  " + "\n  ".join(differing)
        )
