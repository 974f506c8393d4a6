"""What a run will cost: a few real steps, before anything long starts."""

import resource
import sys
import time

import tensorflow as tf

from rar_tf.datasets import ImageData, training_batches
from rar_tf.training import build
from rar_tf.training.presets import Preset
from rar_tf.training.robust_model import RobustModel

_STEPS = 3


def estimate(preset: Preset, data: ImageData) -> str:
    """Time of a step and of the run, and peak memory, measured over a few steps.

    Validation, checkpoints and the natural start come on top; they are named in the text.
    """
    build.check_data(preset, data)
    model = RobustModel(
        build.classifier(preset, data.num_classes, data.image_shape),
        build.objective(preset),
        build.attack(preset),
        seed=preset.seed,
        precision=preset.precision,
    )
    model.compile(build.optimizer(preset))
    batches = training_batches(
        data.require("train"), batch_size=preset.batch_size, seed=preset.seed, steps=_STEPS + 1
    )
    step = tf.function(model.train_step)
    for i, batch in enumerate(batches):
        float(step(batch)["loss"])
        if i == 0:  # the first step traces
            started = time.perf_counter()
    seconds = (time.perf_counter() - started) / _STEPS
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    text = (
        f"estimated: {seconds:.3f} s a step, {seconds * preset.max_steps / 60:.1f} minutes for "
        f"{preset.max_steps} steps (validation every {preset.validate_every} steps on top), "
        f"{peak / 2**30:.2f} GiB peak memory"
    )
    if preset.init_from == "natural":
        text += f"; before them, {preset.natural_steps} steps of natural training"
    return text
