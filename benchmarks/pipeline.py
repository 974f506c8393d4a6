"""The share of a training step that waits for data.

    python -m benchmarks.pipeline --dataset=gtsrb --manual_dir=FOLDER

Natural training by the preset, as `train.main` does it. Waiting is the time blocked in `next` of
the batches' iterator, on a machine busy with nothing else; beside it stands the time of a step on
one batch that is always at hand, which tells what the making of batches costs the step.
"""

import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from rar_tf import datasets
from rar_tf.presets import build, resolve

FLAGS = flags.FLAGS

flags.DEFINE_string("dataset", "gtsrb", "Name of a data set.")
flags.DEFINE_string("data_dir", None, "Where tensorflow-datasets keeps prepared data.")
flags.DEFINE_string("manual_dir", None, "Folder with the data set's official files.")
flags.DEFINE_string("objective", "natural", "Of the preset.")
flags.DEFINE_integer("batch_size", None, "Of the preset; default its own.")
flags.DEFINE_integer("steps", 100, "Measured, after a tenth of them that is not.")


def measure(step, batches, steps):
    """[steps, 2] seconds of each step: waiting for its batch, and computing."""
    iterator, times = iter(batches), []
    for _ in range(steps):
        started = time.perf_counter()
        batch = next(iterator)
        came = time.perf_counter()
        float(step(batch)["loss"])
        times.append((came - started, time.perf_counter() - came))
    return np.array(times[steps // 11 :])


def alone(batches, steps):
    """Seconds a batch where nothing else runs."""
    iterator = iter(batches)
    next(iterator)
    started = time.perf_counter()
    for _ in range(steps):
        next(iterator)
    return (time.perf_counter() - started) / steps


def main(argv):
    """Measures and prints."""
    del argv
    data = datasets.load(FLAGS.dataset, data_dir=FLAGS.data_dir, manual_dir=FLAGS.manual_dir)
    preset = resolve(FLAGS.dataset, FLAGS.objective, batch_size=FLAGS.batch_size)
    model = build.robust_model(preset, build.classifier(preset, data.num_classes, data.image_shape))
    model.optimizer.build(model.trainable_variables)
    steps = FLAGS.steps + FLAGS.steps // 10

    def batches():
        return datasets.training_batches(
            data.require("train"),
            batch_size=preset.optimizer.batch_size,
            seed=preset.seed,
            steps=steps,
        )

    step = tf.function(model.train_step)
    first = next(iter(batches()))
    step(first)
    waiting, computing = measure(step, batches(), steps).T
    _, at_hand = measure(step, tf.data.Dataset.from_tensors(first).repeat(), steps).T
    total = waiting + computing
    print(
        f"dataset={FLAGS.dataset} objective={FLAGS.objective} "
        f"batch_size={preset.optimizer.batch_size}"
    )
    print(f"waiting for data: {waiting.sum() / total.sum():.2%} of a step")
    print(f"a step: {total.mean():.4f} s, of which waiting {waiting.mean():.4f} s")
    print(f"a step on a batch at hand: {at_hand.mean():.4f} s")
    print(f"making a batch, nothing else running: {alone(batches(), FLAGS.steps):.4f} s")


if __name__ == "__main__":
    app.run(main)
