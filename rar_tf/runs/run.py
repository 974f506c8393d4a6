"""A training run that can be resumed: a preset, a folder and a data set -> a classifier."""

import dataclasses
import json
import math
import os
import pathlib

import keras
from absl import logging

from rar_tf.checks import check_count
from rar_tf.datasets import DataRecord, ImageData, training_batches
from rar_tf.models import (
    AUTO,
    PRECISIONS,
    import_modules,
    load_classifier,
    to_train,
    try_precisions,
)
from rar_tf.naming import is_custom
from rar_tf.presets import Preset, build, differences, natural_start
from rar_tf.runs import checkpoints
from rar_tf.runs.callbacks import Checkpoints, GuardFinite, Progress
from rar_tf.runs.check_objective import check_objective, check_pixels
from rar_tf.runs.data_files import embed_record
from rar_tf.runs.interrupts import Interrupted, StopRequest
from rar_tf.runs.memory_plan import VALIDATION_BATCH, memory_plan
from rar_tf.runs.validation_callback import validation_of
from rar_tf.runs.workdir import Workdir
from rar_tf.training.distribution import Distribution
from rar_tf.training.loop import run_steps
from rar_tf.training.population import PopulationStatistics
from rar_tf.training.robust_model import RobustModel

_NUM_STATISTICS_IMAGES = 2048


def train(
    preset: Preset,
    workdir: Workdir,
    data: ImageData,
    *,
    keep_checkpoints: int = 2,
    distribution: Distribution | None = None,
) -> keras.Model:
    """Trains or resumes training until `preset.optimizer.max_steps`; then writes model.keras.

    The batch and the random starts of a step are functions of (seed, step) alone: a run that was
    killed at any moment ends, after the same call, with the weights of one that was not (bit for
    bit on the same CPU and thread count). They do not depend on the number of devices. All of
    several workers make this call; only the chief uses `workdir`.

    Args:
      preset: all settings of the run.
      workdir: folder of the run.
      data: data set with training and validation images.
      keep_checkpoints: number of newest checkpoints to keep; two allow one to be damaged.
      distribution: value of `distribute`; None for the current strategy of TensorFlow.

    Returns:
      The classifier, with the pixels and outputs that it has, see `RobustModel.adapted`.

    Raises:
      WorkdirError: the folder holds another preset or a run on other data, is in use or cannot be
        written.
      Interrupted: Ctrl-C or SIGTERM, after the state was saved.
      Divergence: a non-finite loss or gradient.
      WorkerLost: another worker is lost.
      ValueError: settings that do not fit the data, the classifier or the devices; no file is
        written then.
    """
    check_count("keep_checkpoints", keep_checkpoints)
    distribution = distribution or Distribution()
    with (
        distribution.detect_lost_workers(),
        distribution.worker_folder(workdir.root, workdir.state()) as folder,
        distribution.strategy.scope(),
    ):
        _check_same_preset(preset, distribution)
        record = DataRecord.of(data)
        _check_same_data(record, distribution)
        return _Run(data, record, keep_checkpoints, distribution).train(preset, Workdir(folder))


@dataclasses.dataclass(frozen=True)
class _Run:
    """Arguments that a run and its natural start share."""

    data: ImageData
    record: DataRecord
    keep_checkpoints: int
    distribution: Distribution

    def train(self, preset: Preset, workdir: Workdir, *, is_start: bool = False) -> keras.Model:
        # Validate every setting before writing a file.
        self.check(preset)
        natural_preset = self.natural_start(preset) if preset.model.init_from == "natural" else None
        classifier = None
        if not workdir.model.exists():
            classifier = build.classifier(preset, self.data.num_classes, self.data.image_shape)
        preset, reason = self.with_precision(preset, workdir, classifier)
        model, batch = None, VALIDATION_BATCH
        if classifier is not None:
            plan = memory_plan(preset, classifier, self.data.image_shape)
            model, batch = self.model(plan.preset, classifier), plan.validation_batch
            reason = "; ".join(filter(None, [reason, plan.remark]))
        with workdir.locked(), workdir.writing():
            workdir.claim(preset)
            workdir.claim_data(self.record)
            with workdir.logging():
                logging.info("%s: data from %s", preset.objective.name, self.data.source)
                logging.info(
                    "%s: precision %s, %s",
                    preset.objective.name,
                    preset.optimizer.precision,
                    reason,
                )
                if model is None:
                    logging.info("%s: already trained, %s", preset.objective.name, workdir.model)
                    return load_classifier(workdir.model)
                if natural_preset is not None:
                    natural = self.train(natural_preset, workdir.natural, is_start=True)
                    model.classifier.set_weights(natural.get_weights())
                model.optimizer.build(model.trainable_variables)
                statistics = self.statistics(model, preset)
                self.fit(model, preset, workdir, statistics, is_start, batch)
                model.optimizer.finalize_variable_values(model.trainable_variables)
                if statistics is not None:
                    statistics.estimate()
                save_classifier(model.classifier, workdir.model, self.record)
                return model.classifier

    def check(self, preset: Preset) -> None:
        """Raises ValueError unless the settings fit the data and the devices."""
        import_modules(preset.model.imports or ())
        build.check_data(preset, self.data)
        self.distribution.check_batch_size(preset.optimizer.batch_size)
        if is_custom(preset.objective.name):
            check_objective(preset, preset.objective.build(), preset.build_attack(), self.data)

    def model(self, preset: Preset, classifier: keras.Model) -> RobustModel:
        """The compiled model at its initial weights."""
        model = build.robust_model(preset, classifier)
        if preset.model.from_file:
            check_pixels(model, self.data)
        return model

    def with_precision(
        self, preset: Preset, workdir: Workdir, classifier: keras.Model | None
    ) -> tuple[Preset, str]:
        """The preset with a precision in place of "auto", and the reason for it in words.

        A run that resumes keeps the precision that it was begun with; all workers take the
        chief's.

        Args:
          preset: preset of the run.
          workdir: folder of the run.
          classifier: classifier of the run; None where it is already trained.
        """
        if preset.optimizer.precision != AUTO:
            return preset, "as given"
        begun = workdir.precision()
        if begun is not None or classifier is None:
            return preset.replace(precision=begun or PRECISIONS[0]), "with which the run was begun"
        trial = try_precisions(to_train(classifier, preset.model.convention).model)
        name = self.distribution.broadcast(trial.precision.encode()).decode()
        return preset.replace(precision=name), f"as {trial.reason}"

    def natural_start(self, preset: Preset) -> Preset:
        """Preset of the natural start, with the run's batch size if its own exceeds the data."""
        natural = natural_start(preset)
        if natural.optimizer.batch_size > len(self.data.require("train")):
            return natural.replace(batch_size=preset.optimizer.batch_size)
        return natural

    def statistics(self, model: RobustModel, preset: Preset) -> PopulationStatistics | None:
        """Statistics for validated and saved weights, of unperturbed images; None if frozen."""
        if preset.model.batch_statistics == "frozen":
            return None
        split, batch_size = self.data.require("train"), preset.optimizer.batch_size
        steps = math.ceil(min(_NUM_STATISTICS_IMAGES, len(split)) / batch_size)
        batches = training_batches(split, batch_size=batch_size, seed=preset.seed, steps=steps)
        return PopulationStatistics(model.adapted.model, batches)

    def fit(
        self,
        model: RobustModel,
        preset: Preset,
        workdir: Workdir,
        statistics: PopulationStatistics | None,
        is_start: bool,
        validation_batch: int,
    ) -> None:
        """Train from the latest checkpoint to `preset.optimizer.max_steps`."""
        first_step = checkpoints.restore_latest(workdir.checkpoints, model, data=self.record.digest)
        if first_step:
            logging.info("%s: resuming at step %d", preset.objective.name, first_step)
        max_steps = preset.optimizer.max_steps
        if first_step >= max_steps:
            return
        batches = self.distribution.training_batches(
            self.data.require("train"),
            batch_size=preset.optimizer.batch_size,
            seed=preset.seed,
            first_step=first_step,
            steps=max_steps - first_step,
        )
        with StopRequest(self.distribution.any_worker) as stop:
            progress = Progress(
                preset.objective.name, first_step, max_steps, preset.optimizer.batch_size
            )
            every = preset.validation.checkpoint_every
            callbacks = [
                GuardFinite(workdir.checkpoints),
                validation_of(
                    model, preset, workdir, self.data, statistics, first_step, validation_batch
                ),
                Checkpoints(
                    workdir.checkpoints,
                    every,
                    max_steps,
                    stop,
                    keep=self.keep_checkpoints,
                    data=self.record.digest,
                ),
                progress,
            ]
            try:
                run_steps(model, batches, max_steps - first_step, callbacks)
            finally:
                progress.close()
            step = checkpoints.step(model)
            # After the last step of a natural start there is still the run to stop.
            if stop.poll() and stop.signum and (step < max_steps or is_start):
                place = "by worker 0" if self.distribution.worker else f"in {workdir.root}"
                raise Interrupted(
                    stop.signum,
                    f"stopped at step {step} of {max_steps}, all saved {place}; "
                    "the same command resumes from there",
                )


def save_classifier(
    classifier: keras.Model, path: pathlib.Path, record: DataRecord | None = None
) -> None:
    """Writes a `.keras` file atomically: it is complete or does not exist.

    Args:
      classifier: the classifier.
      path: the file.
      record: record of its training data, whose names and numbers the file then holds.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp.keras")
    try:
        classifier.save(temporary)
        if record is not None:
            embed_record(record, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _check_same_preset(preset: Preset, distribution: Distribution) -> None:
    settings = preset.to_json()
    chief_settings = distribution.broadcast(settings.encode()).decode()
    if chief_settings != settings:
        lines = differences(json.loads(chief_settings), json.loads(settings))
        raise ValueError(
            "all workers must be started with the same settings. Received, at worker 0 -> at "
            f"worker {distribution.worker}:\n  " + "\n  ".join(lines)
        )


def _check_same_data(record: DataRecord, distribution: Distribution) -> None:
    digest = distribution.broadcast(record.digest.encode()).decode()
    if digest != record.digest:
        raise ValueError(
            "all workers must read the same data. Received: digest "
            f"{digest} at worker 0, {record.digest} at worker {distribution.worker}"
        )
