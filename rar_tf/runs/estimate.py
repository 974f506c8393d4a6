"""Estimated time and memory of a run, measured over a few steps."""

import resource
import sys
import time

import tensorflow as tf

from rar_tf.datasets import ImageData, training_batches
from rar_tf.presets import Preset, build
from rar_tf.runs.check_objective import check_pixels

_STEPS = 3


def estimate(preset: Preset, data: ImageData) -> str:
    """Text with the time of a step and of the run, and peak memory, measured over a few steps.

    Validation and the natural start are not included in the time; the text names them.

    Raises:
      ValueError: settings that do not fit the data.
    """
    build.check_data(preset, data)
    classifier = build.classifier(preset, data.num_classes, data.image_shape)
    model = build.robust_model(preset, classifier)
    if preset.model.from_file:
        check_pixels(model, data)
    batches = training_batches(
        data.require("train"),
        batch_size=preset.optimizer.batch_size,
        seed=preset.seed,
        steps=_STEPS + 1,
    )
    step = tf.function(model.train_step)
    for i, batch in enumerate(batches):
        float(step(batch)["loss"])
        if i == 0:  # the first step traces
            started = time.perf_counter()
    seconds = (time.perf_counter() - started) / _STEPS
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    max_steps, every = preset.optimizer.max_steps, preset.validation.validate_every
    text = (
        f"estimated: {seconds:.3f} s a step, {seconds * max_steps / 60:.1f} minutes for "
        f"{max_steps} steps (validation every {every} steps on top), "
        f"{peak / 2**30:.2f} GiB peak memory"
    )
    if preset.model.init_from == "natural":
        text += f"; before them, {preset.model.natural_steps} steps of natural training"
    return text
