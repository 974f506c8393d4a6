"""Estimated time and memory of a run, measured over a few steps."""

import dataclasses
import functools
import math
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from rar_tf.datasets import ImageData, ordered_batches, training_batches
from rar_tf.presets import Preset, build, natural_start
from rar_tf.runs.check_objective import check_pixels
from rar_tf.runs.memory_plan import memory_plan
from rar_tf.runs.validation_callback import validation_images
from rar_tf.training.validation import Validator

_STEPS = 3


@dataclasses.dataclass(frozen=True)
class RunTime:
    """Expected seconds of a run, without its natural start.

    Attributes:
      preparation: tracing and compilation of the step and of the validation.
      step: one step.
      validation: one validation.
      steps: number of steps.
      validations: number of validations.
    """

    preparation: float
    step: float
    validation: float
    steps: int
    validations: int

    @property
    def total(self) -> float:
        """Seconds in all."""
        return self.preparation + self.step * self.steps + self.validation * self.validations


def estimate(preset: Preset, data: ImageData) -> str:
    """Text with the time of a step and of the run, and peak memory, measured over a few steps.

    The run's time has its validations, its natural start and the compilation in it.

    Raises:
      ValueError: settings that do not fit the data or the memory.
    """
    build.check_data(preset, data)
    run = run_time(preset, data)
    total, start = run.total, ""
    if preset.model.init_from == "natural":
        natural = run_time(natural_start(preset), data)
        total += natural.total
        start = f"{natural.total / 60:.1f} minutes for {natural.steps} steps of natural training; "
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return (
        f"estimated: {total / 60:.1f} minutes in all: {start}{run.step:.3f} s a step, "
        f"{run.step * run.steps / 60:.1f} minutes for {run.steps} steps; {run.validations} "
        f"validations of {run.validation:.1f} s; {run.preparation:.0f} s of compilation; "
        f"{peak / 2**30:.2f} GiB peak memory"
    )


def run_time(preset: Preset, data: ImageData) -> RunTime:
    """Expected time of a run, measured over a few steps and a batch of its validation.

    Raises:
      ValueError: settings that do not fit the memory.
    """
    classifier = build.classifier(preset, data.num_classes, data.image_shape)
    plan = memory_plan(preset, classifier, data.image_shape)
    model = build.robust_model(plan.preset, classifier)
    if preset.model.from_file:
        check_pixels(model, data)
    split, size = (
        data.require("train"),
        min(preset.optimizer.batch_size, len(data.require("train"))),
    )
    batches = training_batches(split, batch_size=size, seed=preset.seed, steps=_STEPS + 1)
    step = tf.function(model.train_step)
    first, *times = [
        _seconds(functools.partial(lambda batch: float(step(batch)["loss"]), batch))
        for batch in batches
    ]
    images = validation_images(data)
    validator = Validator(model.adapted.model, build.ball(preset))
    batch = ordered_batches(images, plan.validation_batch).take(1)
    traced, again = (_seconds(lambda: validator(batch)) for _ in range(2))
    settings = preset.validation
    seconds = sum(times) / len(times)
    return RunTime(
        preparation=first - seconds + traced - again,
        step=seconds,
        validation=again * len(images) / min(plan.validation_batch, len(images)),
        steps=preset.optimizer.max_steps,
        # At the start, every so many steps, and at the end.
        validations=1 + math.ceil(preset.optimizer.max_steps / settings.validate_every),
    )


def _seconds(function: Callable[[], Any]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
